"""What the agent says of itself: rules refused, journal mended, parts restarted, uplink closed.

Rule: each becomes a finding with the rule id "vedette:<condition>", joined and sent like any other;
what merely ends or happens as planned is a journal entry.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

from vedette.codec import ocsf
from vedette.daemon import keeper_report
from vedette.daemon.rule_source import Chosen
from vedette.daemon.shell import Shell
from vedette.errors import ParseError
from vedette.model.finding import Severity


class OwnReports:
    """Tells the shell about the agent's own condition.

    Args:
        shell: takes findings and notes.
        run_dir: where the keeper leaves its report.
    """

    def __init__(self, shell: Shell, run_dir: Path) -> None:
        self._shell = shell
        self._run_dir = run_dir

    def mended(self, lines: Sequence[str]) -> None:
        """What an earlier run left was damaged or in the way, and was mended."""
        if lines:
            self._problems("mended", "What an earlier run left had to be mended", lines)

    def left(self, problems: Sequence[str]) -> None:
        """What a source could not put back in the kernel when it was closed."""
        if problems:
            self._finding(
                "not-restored", "The kernel could not be left as it was found", Severity.HIGH,
                "\n".join(problems),
            )  # fmt: skip

    def rules(self, chosen: Chosen) -> None:
        """Which rules run from now on, and what was wrong with others."""
        bundle = chosen.bundle
        if bundle is None:
            self._finding(
                "no-rules", "No rules can be used: nothing is detected", Severity.CRITICAL,
                chosen.refused,
            )  # fmt: skip
        else:
            claim = {"digest": bundle.digest, "counter": bundle.counter}
            self._shell.note("rules", ocsf.canonical(claim))
            if chosen.refused:
                self._finding(
                    "rules-refused", "An offered bundle of rules was refused", Severity.HIGH,
                    chosen.refused,
                )  # fmt: skip
        if chosen.is_stale:
            self._finding(
                "stale-rules", "The rules in use have passed their date", Severity.LOW,
                "have a newer bundle signed; these are used until one is accepted",
            )  # fmt: skip
        if chosen.problems:
            self._problems("rules-mended", "Rules or trust had to be mended", chosen.problems)

    def reload_refused(self, reason: str) -> None:
        """A changed configuration was not taken."""
        self._finding(
            "reload-refused", "The changed configuration was refused; the old one is in use",
            Severity.MEDIUM, reason,
        )  # fmt: skip

    def uplink(self, condition: str, detail: str) -> None:
        """A condition of the way out began (with its detail) or ended ("")."""
        if not detail:
            self._shell.note("uplink", ocsf.canonical({"ended": condition}))
            return
        severity = Severity.MEDIUM if condition == "uplink-down" else Severity.HIGH
        self._finding(condition, f"The way out has a problem: {condition}", severity, detail)

    def parts(self) -> None:
        """Parts that the keeper had to restart."""
        with contextlib.suppress(OSError, ParseError):  # the keeper is optional
            for part in keeper_report.read(self._run_dir):
                if part.restarts:
                    self._shell.report(
                        "part-restarted", f"{part.name} had to be restarted", Severity.HIGH,
                        {"Class": part.name, "Reason": part.last_end},
                    )  # fmt: skip

    def _problems(self, condition: str, title: str, lines: Sequence[str]) -> None:
        self._finding(condition, title, Severity.CRITICAL, "\n".join(lines))

    def _finding(self, condition: str, title: str, severity: Severity, reason: str) -> None:
        self._shell.report(condition, title, severity, {"Reason": reason})
