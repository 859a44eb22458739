"""A bounded memory of answers: what was asked lately is not worked out again.

Rule 1: bounded by entries and by characters, so that a flood of long, never repeated lines costs no
more than a quiet day.
Rule 2: two generations instead of a queue: when the young one is full the old one is forgotten
whole. Asking costs one look-up, keeping costs one store, and what is asked often stays.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Answer = TypeVar("Answer")

_CHARS_PER_ENTRY = 160
"""Ours: the mean size of an event's text on a device; longer ones leave room for fewer."""

_MAX_SHARE = 16
"""Ours: an entry larger than this part of a generation is not kept: it would push out too many."""


class Memo(Generic[Key, Answer]):
    """Answers by key; None is never an answer.

    Args:
        size: entries kept at most, 0 for none.
    """

    __slots__ = ("_chars", "_max_chars", "_max_entries", "_old", "_young", "evicted")

    def __init__(self, size: int) -> None:
        self._max_entries = size // 2
        self._max_chars = self._max_entries * _CHARS_PER_ENTRY
        self._young: dict[Key, Answer] = {}
        self._old: dict[Key, Answer] = {}
        self._chars = 0
        self.evicted = 0
        """Answers forgotten for want of room, those never kept for their size included."""

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def find(self, key: Key) -> Answer | None:
        """The answer kept for a key, or None."""
        answer = self._young.get(key)
        return self._old.get(key) if answer is None else answer

    def keep(self, key: Key, answer: Answer, chars: int) -> None:
        """Keep an answer whose key holds this many characters of text."""
        if self._max_entries == 0 or chars * _MAX_SHARE > self._max_chars:
            self.evicted += 1
            return
        if len(self._young) >= self._max_entries or self._chars + chars > self._max_chars:
            self.evicted += len(self._old)
            self._old = self._young
            self._young = {}
            self._chars = 0
        self._young[key] = answer
        self._chars += chars

    def clear(self) -> None:
        """Forget all answers, because they may be wrong now; none counts as evicted."""
        self._young, self._old = {}, {}
        self._chars = 0
