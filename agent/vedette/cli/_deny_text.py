"""The doctor's lines about denying executions: whether it works, and what it cannot deny."""

from __future__ import annotations

from vedette.codec.strict_json import Json
from vedette.daemon.config import Deny
from vedette.daemon.health import Fact

CANNOT = (
    "programs that were never a file (memfd); rules tell of files in memory, and of running them",
    "what a shell, an interpreter or BusyBox is given to run; rules tell of their command lines",
    "what the loader is given (ld.so FILE) and forced libraries; rules tell of both",
    "what remote file systems hold, and what runs already; rules judge them like all others",
)
"""Each is detected instead of denied: tests/unit/cli/test_deny_text.py holds the rules to it."""


def facts(deny: Deny, answer: dict[str, Json] | None) -> tuple[Fact, ...]:
    """The lines.

    Args:
        deny: the configuration's table.
        answer: what a running agent says of its holder, None where none runs.
    """
    if not deny.enabled:
        words = "executions are detected, not denied: [deny] enabled = false"
        return (Fact("deny", is_good=True, found=words),)
    limits = tuple(Fact("cannot", is_good=True, found=f"deny {words}") for words in CANNOT)
    return (*_working(answer), *limits)


def _working(answer: dict[str, Json] | None) -> tuple[Fact, ...]:
    if answer is None:
        return (Fact("deny", is_good=True, found="enabled; a running agent says how it works"),)
    if not answer.get("running"):
        advice = "see vedette incidents list for the reason (holder-lost)"
        return (Fact("deny", is_good=False, found="no holder runs: all may run", advice=advice),)
    words = (
        f"{answer.get('bans')} files denied; {answer.get('file_systems')} file systems watched, "
        f"{answer.get('asked')} executions asked about, {answer.get('denied')} denied"
    )
    if not answer.get("cached"):
        words += "; this kernel asks about each execution (Linux 5.19 and later need not)"
    problems = answer.get("problems")
    told = [str(problem) for problem in problems] if isinstance(problems, list) else []
    return (
        Fact("deny", is_good=True, found=words),
        *(Fact("deny", is_good=False, found="in part", advice=problem) for problem in told),
    )
