"""What the agent says of itself: rules refused, journal mended, parts restarted, uplink closed.

Rule: each becomes a finding with the rule id "vedette:<condition>", joined and sent like any other;
what merely ends or happens as planned is a journal entry.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from vedette.codec import ocsf, strict_json
from vedette.core.outbox import Condition
from vedette.daemon import keeper_report
from vedette.daemon.content_source import Chosen
from vedette.daemon.delivery import DEAF, SILENT
from vedette.daemon.shell import Shell
from vedette.errors import ParseError
from vedette.model.finding import Severity
from vedette.model.journal import Entry
from vedette.model.playbook import Playbooks
from vedette.model.profile import Profile
from vedette.model.rule import Bundle
from vedette.ports.journal import Journal

REMEMBERED = 64
"""Newest notes about the uplink that are looked at for what an earlier process told."""

_NOTE = "uplink"
_UPLINK = {
    Condition.OFFLINE: (Severity.MEDIUM, "The broker cannot be reached"),
    Condition.REFUSED: (Severity.HIGH, "The broker refuses what this device publishes"),
    Condition.TOO_LARGE: (Severity.HIGH, "A report is larger than the broker takes"),
    Condition.UNHEARD: (Severity.LOW, "Nobody has subscribed to this device's reports"),
    Condition.BUDGET: (Severity.HIGH, "The data budget of the day is used up"),
    Condition.BARREN: (Severity.HIGH, "Sessions end before anything is acknowledged"),
    SILENT: (Severity.HIGH, "The uplink process has stopped answering"),
    DEAF: (Severity.HIGH, "The broker does not let this device hear its operators"),
}
"""Unheard is low: it is so from each first start until an operator subscribes."""


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

    def folder_lost(self, folder: Path) -> None:
        """A folder of ours was removed or replaced under us."""
        self._finding(
            "folder-lost", "A folder of the agent was removed while it ran", Severity.CRITICAL,
            f"{folder} was removed or replaced: what is written there is lost at the end; find "
            "out who did it, and restart the agent",
        )  # fmt: skip

    def state_in_memory(self, folder: Path) -> None:
        """The state does not outlive this start of the device."""
        self._finding(
            "state-in-memory", "The agent's state lies in memory and is lost at the next start",
            Severity.HIGH,
            f"{folder} is on a file system in memory: key, trust and journal do not outlive this "
            "start; find out why the device's data partition is not mounted there (its console "
            "says what was tried)",
        )  # fmt: skip

    def left(self, problems: Sequence[str]) -> None:
        """What a source could not put back in the kernel when it was closed."""
        if problems:
            self._finding(
                "not-restored", "The kernel could not be left as it was found", Severity.HIGH,
                "\n".join(problems),
            )  # fmt: skip

    def rules(self, chosen: Chosen[Bundle]) -> None:
        """Which rules run from now on, and what was wrong with others."""
        bundle = chosen.content
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

    def profile(self, chosen: Chosen[Profile], firmware: str) -> None:
        """Which profile the device is held against from now on, and what was wrong with others."""
        profile = chosen.content
        if chosen.refused:
            self._finding(
                "profile-refused", "An offered profile was refused", Severity.HIGH, chosen.refused
            )
        if chosen.problems:
            self._problems("profile-mended", "The profile had to be mended", chosen.problems)
        if profile is None:
            return
        claim = {"digest": profile.digest, "counter": profile.counter, "firmware": firmware}
        self._shell.note("profile", ocsf.canonical(claim))
        if profile.firmware != firmware:
            self._finding(
                "stale-profile", "The profile is of another firmware and is not used",
                Severity.MEDIUM, f"it was learnt on {profile.firmware or 'no known firmware'}, "
                f"this is {firmware or 'no known firmware'}; learn and sign it again: vedette "
                "learn start",
            )  # fmt: skip
        elif chosen.is_stale:
            self._finding(
                "stale-profile", "The profile in use has passed its date", Severity.LOW,
                "have a newer one signed; this one is used until one is accepted",
            )  # fmt: skip

    def playbooks(self, chosen: Chosen[Playbooks]) -> None:
        """Which playbooks answer findings from now on, and what was wrong with others."""
        if chosen.refused:
            title = "An offered set of playbooks was refused"
            self._finding("playbooks-refused", title, Severity.HIGH, chosen.refused)
        if chosen.problems:
            self._problems("playbooks-mended", "Playbooks had to be mended", chosen.problems)
        if chosen.content is not None:
            claim = {"digest": chosen.digest, "counter": chosen.content.counter}
            self._shell.note("playbooks", ocsf.canonical(claim))
        if chosen.is_stale:
            self._finding(
                "stale-playbooks", "The playbooks in use have passed their date", Severity.LOW,
                "have newer ones signed; these are used until some are accepted",
            )  # fmt: skip

    def learning_started(self, wanted_s: int) -> None:
        """An operator lets the device learn."""
        self._finding(
            "learning-started", "This device learns what is normal for it", Severity.LOW,
            f"what it does in the next {wanted_s} s is trusted until a person reviews it",
        )  # fmt: skip

    def learning_done(self, wanted_s: int) -> None:
        """The time of a learning run is over."""
        self._finding(
            "learning-done", "This device has learnt what is normal for it",
            Severity.INFORMATIONAL, f"it learnt for {wanted_s} s; review it and have it signed: "
            "vedette learn write FILE, vedette profile sign FILE",
        )  # fmt: skip

    def learning_stopped(self, reason: str) -> None:
        """A learning run cannot go on."""
        title = "Learning ended before its time"
        self._finding("learning-stopped", title, Severity.MEDIUM, reason)

    def learning_lost(self, reason: str) -> None:
        """What was learnt could not be kept, or not be read again."""
        self._finding("learning-lost", "What was learnt is at risk", Severity.MEDIUM, reason)

    def reload_refused(self, reason: str) -> None:
        """A changed configuration was not taken."""
        self._finding(
            "reload-refused", "The changed configuration was refused; the old one is in use",
            Severity.MEDIUM, reason,
        )  # fmt: skip

    def uplink(self, condition: str, detail: str) -> None:
        """A condition of the way out began (with its detail) or ended ("")."""
        body = ocsf.canonical({"condition": condition, "detail": detail})
        self._shell.note(_NOTE, body, is_routine=True)
        if detail:
            severity, title = _UPLINK[condition]
            self._finding(condition, title, severity, detail)

    def checkpoints(self, condition: str, reason: str) -> None:
        """The journal cannot be signed as it should be."""
        self._finding(
            condition, "The chain of the journal's checkpoints is broken or stuck",
            Severity.CRITICAL, reason,
        )  # fmt: skip

    def parts(self) -> None:
        """Parts that the keeper or systemd had to restart."""
        for folder in (self._run_dir, self._run_dir / keeper_report.ENDED):
            self._parts_in(folder)

    def _parts_in(self, folder: Path) -> None:
        with contextlib.suppress(OSError, ParseError):  # there is one of the two
            for part in keeper_report.take_new(folder):
                self._shell.report(
                    "part-restarted", f"{part.name} had to be restarted", Severity.HIGH,
                    {"Class": part.name, "Reason": part.last_end, "Restarts": str(part.restarts)},
                )  # fmt: skip

    def _problems(self, condition: str, title: str, lines: Sequence[str]) -> None:
        self._finding(condition, title, Severity.CRITICAL, "\n".join(lines))

    def _finding(self, condition: str, title: str, severity: Severity, reason: str) -> None:
        self._shell.report(condition, title, severity, {"Reason": reason})


async def told_before(journal: Journal, *, not_of_boot: str = "") -> dict[str, str]:
    """Conditions of the uplink that an earlier process told and did not see end, with details.

    Args:
        journal: where they were noted.
        not_of_boot: leave out what was noted under this boot id.
    """
    newest: dict[str, str] = {}
    for entry in await journal.entries(_NOTE, REMEMBERED):
        if entry.boot == not_of_boot:
            continue
        condition, detail = _read_note(entry)
        newest.setdefault(condition, detail)
    return {condition: detail for condition, detail in newest.items() if detail}


def _read_note(entry: Entry) -> tuple[str, str]:
    body = entry.draft.body
    try:
        found = strict_json.parse(body, max_bytes=len(body))
    except ParseError:
        return "", ""
    note: Mapping[str, object] = found if isinstance(found, dict) else {}
    return str(note.get("condition", "")), str(note.get("detail", ""))
