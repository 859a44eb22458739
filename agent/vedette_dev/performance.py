"""What was played of a corpus, and what became of each command.

Rule: what a file says is only as good as the recording beside it; both are written by one run.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from vedette.errors import DeviceError
from vedette.model.finding import Finding
from vedette_dev.corpus import Command
from vedette_dev.seen import Seen

ABSENT = "the program it needs does not exist here, so nothing took place"
BUILT_INS = "built-ins of the shell and reads of files alone: no execution, no change"
CONTROL = Command(-1, "", "control", "sh", ":")
"""Does nothing: what is found of it is the enclosure's doing."""


@dataclasses.dataclass(frozen=True, slots=True)
class Played:
    """One command as it was played.

    Attributes:
        number: of the command in its corpus.
        word: of its enclosure.
        began_s: CLOCK_BOOTTIME.
        ended_s: CLOCK_BOOTTIME.
        is_absent: whether its shell said that a program was not found.
    """

    number: int
    word: str
    began_s: float
    ended_s: float
    is_absent: bool


@dataclasses.dataclass(frozen=True, slots=True)
class Performance:
    """A run: the tier of each class, and what was played in its order."""

    tiers: dict[str, str]
    played: tuple[Played, ...]

    def spans(self) -> dict[str, tuple[float, float]]:
        """When each enclosure was in use, by word."""
        return {one.word: (one.began_s, one.ended_s) for one in self.played}

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {"tiers": self.tiers, "played": [dataclasses.asdict(one) for one in self.played]}

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read what an earlier run wrote.

        Raises:
            DeviceError: there was none.
        """
        try:
            found = json.loads(path.read_text())
            played = tuple(Played(**one) for one in found["played"])
            return cls(found["tiers"], played)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DeviceError(
                f"{path}: {error}: run `make atomic` without --again first"
            ) from error


@dataclasses.dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one command.

    Attributes:
        outcome: "detected", "not visible" or "missed".
        reason: why it is not visible, or "".
        findings: of its own processes and files, each rule once.
    """

    command: Command
    outcome: str
    reason: str
    findings: tuple[Finding, ...]


def verdict(command: Command, played: Played, seen: Seen, findings: Sequence[Finding]) -> Verdict:
    """Judge one command by what the agent saw of it."""
    if findings:
        return Verdict(command, "detected", "", tuple(findings))
    if seen.is_anything:
        return Verdict(command, "missed", "", ())
    return Verdict(command, "not visible", ABSENT if played.is_absent else BUILT_INS, ())
