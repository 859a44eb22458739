"""What the installer remembers between its runs: what it told of each release, and its last look.

Rule 1: the same step of the same release is told once: a fleet that looks twice a day hears of a
release when something happens to it.
Rule 2: none of it is trusted for more than that: floors are kept elsewhere, twice.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from vedette.codec import strict_json
from vedette.codec.strict_fields import fields, matched, number, visible
from vedette.codec.strict_json import Json
from vedette.errors import ParseError
from vedette.model.release import Release
from vedette.model.update import Step
from vedette.store import durable

FILE = "memory.json"
MAX_BYTES = 256 << 10
MAX_RELEASES = 256
MAX_REASON = 1000

_LOOK = frozenset({"at_s", "result", "reason", "expires_s"})
_WORD = re.compile(r"[a-z0-9 :./_-]{0,1000}")


class Look(NamedTuple):
    """How the last look at the repository ended.

    Attributes:
        at_s: Unix time, as the device believed it.
        result: "fresh", "nothing new", "refused" or "unreachable"; "" before the first.
        reason: for people.
        expires_s: Unix time at which the metadata that is trusted goes stale; 0 for none.
    """

    at_s: int = 0
    result: str = ""
    reason: str = ""
    expires_s: int = 0


class Memory:
    """One file of the installer's; one that is damaged begins anew.

    Args:
        folder: of the installer's.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE
        self.look = Look()
        self._told: dict[str, str] = {}
        try:
            data = durable.read(self._path, MAX_BYTES)
            if data is not None:
                self._read(strict_json.parse(data, max_bytes=MAX_BYTES))
        except ParseError:
            self.look, self._told = Look(), {}

    def is_news(self, release: Release, step: Step, cause: str = "") -> bool:
        """Whether this was not told of a release before; remembers that it was."""
        key, word = _key(release), f"{step}:{cause}"
        told = self._words(release)
        if word in told:
            return False
        self._told.pop(key, None)
        self._told[key] = " ".join((_mark(release), *told, word))
        while len(self._told) > MAX_RELEASES:
            del self._told[next(iter(self._told))]
        return True

    def was_refused(self, release: Release) -> bool:
        """Whether this very release was refused, or given back, when it was tried."""
        return any(word.startswith(f"{Step.REFUSED}:") for word in self._words(release))

    def save(self) -> None:
        """Keep it.

        Raises:
            StoreError: the disk did not take it.
        """
        told: dict[str, Json] = {**self._told}
        document: dict[str, Json] = {"look": self.look._asdict(), "told": told}
        durable.write(self._path, strict_json.canonical(document))

    def _words(self, release: Release) -> list[str]:
        """What was told of this very release: steps with their causes."""
        mark, _, words = self._told.get(_key(release), "").partition(" ")
        return words.split() if mark == _mark(release) else []

    def _read(self, document: Json) -> None:
        found = fields(document, "the installer's memory", frozenset({"look", "told"}))
        look = fields(found["look"], "a look", _LOOK)
        told = found["told"]
        if not isinstance(told, Mapping) or len(told) > MAX_RELEASES:
            raise ParseError(f"expected at most {MAX_RELEASES} releases")
        self.look = Look(
            number(look["at_s"], "a time", 0),
            matched(look["result"], "a result", _WORD),
            visible(look["reason"], "a reason", MAX_REASON),
            number(look["expires_s"], "a time", 0),
        )
        self._told = {
            str(key): matched(value, "what was told", _WORD) for key, value in told.items()
        }


def _mark(release: Release) -> str:
    return f"{release.counter}:{release.target.sha256}"


def _key(release: Release) -> str:
    return f"{release.kind}/{release.name}"
