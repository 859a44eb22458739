"""`python -m vedette_dev atomic`: runs a corpus of attack commands and says which are detected.

Rule 1: each command runs in an enclosure of its own: no network but a loopback, no capability over
the host, little memory, few processes, a time limit, a root that is thrown away.
Rule 2: a command is detected when the events that the running agent recorded of its own processes
and files make a finding by themselves; a control that does nothing must make none.
Rule 3: not visible is what no source told anything of but the shell itself; the rest is missed.
"""

from __future__ import annotations

import dataclasses
import json
import secrets
import string
import time
from collections.abc import Sequence
from pathlib import Path

from vedette.core.recording import decode
from vedette.errors import DeviceError
from vedette_dev import atomic_table
from vedette_dev.base_root import base_root
from vedette_dev.corpus import INSIDE, Command, read_corpus
from vedette_dev.enclosure import Enclosure, Ended, refusal
from vedette_dev.performance import CONTROL, Performance, Played, Verdict, verdict
from vedette_dev.rules import bundle_of
from vedette_dev.seen import findings_alone, seen_by_word
from vedette_dev.session import Session
from vedette_dev.terminal import BOLD, GREEN, GREY, RED, paint, say
from vedette_dev.tiers import tiers_in_use

TIME_LIMIT_S = 8.0
SETTLE_S = 3.0
"""From a command's end to its last incident, on the slowest tier that sees each execution."""
WORD_CHARS = 10


@dataclasses.dataclass(frozen=True, slots=True)
class Request:
    """What is asked for.

    Attributes:
        folder: for the identity, the recording and the figures; the base lies beside it.
        rules: the folder of Sigma rules.
        only: techniques; empty for all.
        disabled: sensors that may not be used.
        page: where the table goes, or None.
        has_base: whether commands find the programs of a small Debian, not of this host.
        is_again: judge the last run's recording by the rules as they are now; run nothing.
    """

    repository: Path
    folder: Path
    corpus: Path
    rules: Path
    only: tuple[str, ...] = ()
    disabled: tuple[str, ...] = ()
    page: Path | None = None
    has_base: bool = True
    is_again: bool = False


def run(request: Request) -> int:
    """Run the corpus.

    Returns:
        0, also when commands are missed: the figures say so.

    Raises:
        DeviceError: no corpus, no enclosure or no agent.
    """
    commands = [
        command for command in read_corpus(request.corpus)
        if not request.only or command.technique.startswith(request.only)
    ]  # fmt: skip
    if not commands:
        raise DeviceError(f"{request.corpus}: no command of {', '.join(request.only)}")
    request.folder.mkdir(parents=True, exist_ok=True)
    notes = request.folder / "played.json"
    if not request.is_again:
        notes.write_text(json.dumps(_perform(request, commands).document()))
    verdicts, tiers = judge(request, commands, Performance.read(notes))
    for one in verdicts:
        say(_line(one))
    say(paint(atomic_table.summary(verdicts), BOLD))
    figures = atomic_table.document(verdicts, tiers)
    (request.folder / "atomic.json").write_text(json.dumps(figures, indent=1) + "\n")
    if request.page is not None:
        request.page.write_text(atomic_table.page(verdicts, tiers))
        say(f"written to {request.page}")
    return 0


def judge(
    request: Request, commands: Sequence[Command], performance: Performance
) -> tuple[list[Verdict], dict[str, str]]:
    """Say what became of each command that was played.

    Returns:
        The verdicts in the order of the corpus, and the tier of each class.
    """
    settings, inputs = decode(_recording(request).read_bytes())
    seen, rules = seen_by_word(inputs, performance.spans())
    if request.is_again:
        rules = rules._replace(bundle=bundle_of(request.rules))
    by_number = {command.number: command for command in (CONTROL, *commands)}
    verdicts = [
        verdict(by_number[one.number], one, seen[one.word],
                findings_alone(settings, rules, seen[one.word]))
        for one in performance.played if one.number in by_number
    ]  # fmt: skip
    control, *others = verdicts
    if control.findings:
        titles = ", ".join(finding.title for finding in control.findings)
        raise DeviceError(f"expected no finding about a command that does nothing, got: {titles}")
    return others, performance.tiers


def _perform(request: Request, commands: Sequence[Command]) -> Performance:
    base = base_root(request.folder.parent / "base", say) if request.has_base else None
    _recording(request).unlink(missing_ok=True)
    session = Session(
        request.folder / "dev", say, rules=request.rules, record=_recording(request),
        disabled=request.disabled,
    )  # fmt: skip
    with session:
        tree = session.running.root
        if why := refusal(tree):
            raise DeviceError(why)
        tiers = tiers_in_use(session.running.config)
        say(f"watched   by {', '.join(f'{tier} ({name})' for name, tier in tiers.items() if tier)}")
        say(f"{len(commands)} commands, each in a throwaway root without network")
        return Performance(tiers, tuple(_play_all(commands, tree, base)))


def _recording(request: Request) -> Path:
    return request.folder / "recording.vrec"


def _play_all(commands: Sequence[Command], tree: Path, base: Path | None) -> list[Played]:
    played: list[Played] = []
    waiting: list[tuple[float, Enclosure]] = []
    for number, command in enumerate((CONTROL, *commands)):
        enclosure = Enclosure(tree, _word(), base=base)
        began_s = time.clock_gettime(time.CLOCK_BOOTTIME)
        ended = _play(command, enclosure)
        ended_s = time.clock_gettime(time.CLOCK_BOOTTIME)
        is_absent = "not found" in ended.output
        played.append(Played(command.number, enclosure.word, began_s, ended_s, is_absent))
        # Removing the root changes files too: it stays until what the command did has been told.
        waiting.append((time.monotonic() + SETTLE_S, enclosure))
        while waiting and waiting[0][0] < time.monotonic():
            waiting.pop(0)[1].close()
        if number % 10 == 0:
            say(f"          {number} of {len(commands)} played")
    time.sleep(SETTLE_S)
    for _, enclosure in waiting:
        enclosure.close()
    return played


def _play(command: Command, enclosure: Enclosure) -> Ended:
    (enclosure.path / INSIDE.lstrip("/") / command.technique).mkdir(parents=True, exist_ok=True)
    return enclosure.shell(
        command.text, shell=command.shell, timeout_s=TIME_LIMIT_S, has_own_network=True
    )


def _word() -> str:
    return "".join(secrets.choice(string.ascii_lowercase) for _ in range(WORD_CHARS))


def _line(verdict: Verdict) -> str:
    colours = {"detected": GREEN, "missed": RED, "not visible": GREY}
    rules = ", ".join(sorted(finding.title for finding in verdict.findings)) or verdict.reason
    text = f"{verdict.command.number:3} {verdict.command.technique:10} {verdict.outcome:12} {rules}"
    return paint(text, colours[verdict.outcome])
