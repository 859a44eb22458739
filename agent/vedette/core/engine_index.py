"""The index of one field: from a value to the rules that have to be looked at, without a loop.

Rule 1: exact texts, prefixes and suffixes are dictionary look-ups, one for each length there is.
Rule 2: substrings pass a gate that runs in C. A text of 7 bytes or more holds, wherever it stands,
one whole 4-byte word at an offset divisible by 4; so each substring is filed under its 4 possible
words and only every fourth word of the value is looked up (4 KB: 26 us, against 200 us for all
trigrams). Substrings of 5 and 6 bytes need every second word, which pays from MANY of them on;
shorter ones are searched directly.
Rule 3: what has no literal (networks, numbers, ungated patterns) is asked of each new value.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from functools import partial
from typing import TypeAlias, TypeVar

from vedette.core.comparison import Test, compile_test
from vedette.core.cut import SCAN_CHARS, cut
from vedette.core.triggers import literal
from vedette.model.rule import Match

_WORD_BYTES = 4
_WIDE_BYTES = 7  # every window of 7 bytes holds an aligned word
_MEDIUM_BYTES = 5  # every window of 5 bytes holds a word at an even offset
FEW = 16
"""Ours: a search costs 1.4 us in a line of 4 KB and 0.05 in a short one; the gate 26 and 1.5."""

MANY = 32
"""Ours: for shorter substrings, whose gate takes two passes."""

Key = TypeVar("Key")
Value = TypeVar("Value")

Filed: TypeAlias = dict[str, tuple[int, ...]]
"""Rule numbers by text: immutable, so that equal ones may be one object."""

MAX_REMEMBERED_CHARS = 512
"""Ours: longer values hardly ever come twice; bounds a field's memory to 0.5 MB at 1,024 values."""

FREED_TEXTS = 256

_COMMON_BYTES = b" /-.aeinorst"
_COMMON_CHARS = "xvzwy0123kgfhupmdlcbnoiratse-./ "
"""From the rarer to the most common in command lines; what is not here is rarer than these."""
_LOAD_WEIGHT = 2
_ENCODING_ERRORS = "surrogatepass"  # names that are no UTF-8 arrive with lone surrogates


class _Words:
    """Substrings filed under the words they may show, for one alignment."""

    __slots__ = ("_buckets", "_keys", "_offsets", "_step", "texts")

    def __init__(self, step: int) -> None:
        self._step = step
        self._offsets = range(0, _WORD_BYTES, step)
        self._buckets: dict[int, tuple[str, ...]] = {}
        self._keys: set[int] = set()
        self.texts: list[str] = []
        """All that was filed."""

    def add(self, text: str, data: bytes) -> None:
        words = self._window(data)
        self.texts.append(text)
        alone = (text,)
        for word in words:
            before = self._buckets.get(word)
            self._buckets[word] = alone if before is None else before + alone
        self._keys |= words

    def scan(self, value: str, data: bytes, filed: Filed, found: set[int]) -> None:
        """Add the numbers that are filed under the texts which a value holds."""
        view = memoryview(data)
        for offset in self._offsets:
            stop = offset + ((len(data) - offset) & -_WORD_BYTES)
            if stop <= offset:
                return
            for word in self._keys.intersection(view[offset:stop].cast("I")):
                for text in self._buckets[word]:
                    if text in value:
                        found.update(filed[text])

    def take_apart(self) -> Iterator[None]:
        """Let go of what was filed, a little at a time."""
        self._keys = set()
        yield from _emptied(self._buckets)
        while self.texts:
            del self.texts[-FREED_TEXTS:]
            yield

    def _window(self, data: bytes) -> set[int]:
        """The words of the part of a substring that is rarest by the looks of it."""
        pieces = [data[at : at + _WORD_BYTES] for at in range(len(data) - _WORD_BYTES + 1)]
        words = [int.from_bytes(piece, sys.byteorder) for piece in pieces]
        loads = [self._load(piece, word) for piece, word in zip(pieces, words, strict=True)]
        starts = range(len(words) - self._step + 1)
        best = min(starts, key=lambda start: sum(loads[start : start + self._step]))
        return set(words[best : best + self._step])

    def _load(self, piece: bytes, word: int) -> int:
        rare = len(piece.translate(None, _COMMON_BYTES))
        return _LOAD_WEIGHT * len(self._buckets.get(word, ())) - rare


class FieldIndex:
    """Leads from the values of one field to rule numbers; filled by `add`, then frozen.

    Args:
        memo: how many values are remembered.

    Attributes:
        known: what `find` would say of some values: a look there first saves the call.
    """

    def __init__(self, memo: int) -> None:
        self._exact: Filed = {}
        self._prefixes: Filed = {}
        self._suffixes: Filed = {}
        self._prefix_sizes: list[int] = []
        self._suffix_sizes: list[int] = []
        self._first_chars: frozenset[str] = frozenset()
        self._last_chars: frozenset[str] = frozenset()
        self._substrings: Filed = {}
        self._wide = _Words(step=4)
        self._medium = _Words(step=2)
        self._one_by_one: list[str] = []
        self._by_rarest: tuple[tuple[str, tuple[str, ...]], ...] = ()
        self._gates: list[_Words] = []
        self._slow: list[tuple[Test, bool, int]] = []
        self._muted: list[tuple[Test, bool, int]] = []
        self._alone: tuple[int, ...] = ()
        self._generation = memo // 2
        self._older: dict[str, tuple[int, ...]] = {}
        self._forgotten = 0
        self.known: dict[str, tuple[int, ...]] = {}

    def add(self, match: Match, number: int) -> None:
        """File a rule under one of its triggers; not to be called once `find` was.

        Raises:
            RuleError: the match's value cannot be used.
        """
        text = literal(match)
        if match.operator == "equals" and (text or not match.value):
            self._file(self._exact, text, number)
        elif not text:
            test = compile_test([match])
            self._slow.append((test, match.is_cased or match.operator == "re", number))
        elif match.operator == "startswith":
            self._file(self._prefixes, text, number)
            _note_size(self._prefix_sizes, text)
        elif match.operator == "endswith":
            self._file(self._suffixes, text, number)
            _note_size(self._suffix_sizes, text)
        else:
            self._add_substring(text, number)

    def freeze(self) -> None:
        """Choose how to search; nothing is added after this."""
        self._first_chars = frozenset(text[0] for text in self._prefixes)
        self._last_chars = frozenset(text[-1] for text in self._suffixes)
        for gate, few in ((self._wide, FEW), (self._medium, MANY)):
            if len(gate.texts) > few:
                self._gates.append(gate)
            else:
                self._one_by_one += gate.texts
        groups: dict[str, list[str]] = {}
        for text in self._one_by_one:
            groups.setdefault(min(text, key=_rank), []).append(text)
        self._by_rarest = tuple((char, tuple(texts)) for char, texts in groups.items())

    def find(self, value: str) -> tuple[int, ...]:
        """Numbers of the rules that have to be looked at because of this value, in no order."""
        found = self._older.get(value)
        if found is None:
            found = self._scan(value)
            if len(value) > MAX_REMEMBERED_CHARS or not self._generation:
                self._forgotten += 1
                return found
        if len(self.known) >= self._generation:
            self._forgotten += len(self._older)
            self._older = self.known.copy()
            self.known.clear()
        self.known[value] = found
        return found

    def forgotten(self) -> int:
        """Values forgotten for want of room."""
        return self._forgotten

    def mute(self, number: int) -> None:
        """Ask no test of its own of a rule any more; what it is filed under costs nothing."""
        self._muted += [test for test in self._slow if test[2] == number]
        self._slow = [test for test in self._slow if test[2] != number]
        self._forget()

    def unmute(self, number: int) -> None:
        """Ask again what `mute` put aside."""
        self._slow += [test for test in self._muted if test[2] == number]
        self._muted = [test for test in self._muted if test[2] != number]
        self._forget()

    def tests_of(self, raw: str) -> Iterator[tuple[int, Callable[[], bool]]]:
        """The tests that every new value has to pass, with their rules' numbers, to be timed."""
        plain = cut(raw)
        for test, is_plain, number in self._slow:
            yield number, partial(test, plain if is_plain else plain.lower())

    def take_apart(self) -> Iterator[None]:
        """Give back the memory of an index that is no longer used, a little at a time."""
        self._forget()
        yield from self._wide.take_apart()
        yield from self._medium.take_apart()
        self._one_by_one, self._slow, self._muted = [], [], []
        for texts in (self._exact, self._prefixes, self._suffixes, self._substrings):
            yield from _emptied(texts)

    def _forget(self) -> None:
        self.known.clear()
        self._older.clear()

    def _file(self, texts: Filed, text: str, number: int) -> None:
        """File a rule under a text; most texts lead to one rule, and those of a rule share it."""
        if self._alone != (number,):
            self._alone = (number,)
        before = texts.get(text)
        texts[text] = self._alone if before is None else (*before, number)

    def _add_substring(self, text: str, number: int) -> None:
        is_known = text in self._substrings
        self._file(self._substrings, text, number)
        if is_known:
            return
        data = text.encode("utf-8", _ENCODING_ERRORS)
        if len(data) >= _WIDE_BYTES:
            self._wide.add(text, data)
        elif len(data) >= _MEDIUM_BYTES:
            self._medium.add(text, data)
        else:
            self._one_by_one.append(text)

    def _scan(self, raw: str) -> tuple[int, ...]:
        plain = raw if len(raw) <= SCAN_CHARS else cut(raw)
        value = plain.lower()
        found = set(self._exact.get(value, ()))
        # A slice longer than the value is the whole value, which no text of that size equals.
        if value[-1:] in self._last_chars:
            for size in self._suffix_sizes:
                numbers = self._suffixes.get(value[-size:])
                if numbers:
                    found.update(numbers)
        if value[:1] in self._first_chars:
            for size in self._prefix_sizes:
                numbers = self._prefixes.get(value[:size])
                if numbers:
                    found.update(numbers)
        if self._substrings:
            self._scan_substrings(value, found)
        for test, is_plain, number in self._slow:
            if test(plain if is_plain else value):
                found.add(number)
        return tuple(found)

    def _scan_substrings(self, value: str, found: set[int]) -> None:
        for char, texts in self._by_rarest:
            if char in value:
                for text in texts:
                    if text in value:
                        found.update(self._substrings[text])
        if self._gates:
            data = value.encode("utf-8", _ENCODING_ERRORS)
            for gate in self._gates:
                gate.scan(value, data, self._substrings, found)


def _note_size(sizes: list[int], text: str) -> None:
    if len(text) not in sizes:
        sizes.append(len(text))


def _emptied(filed: dict[Key, Value]) -> Iterator[None]:
    while filed:
        for _ in range(min(len(filed), FREED_TEXTS)):
            filed.popitem()
        yield


def _rank(char: str) -> int:
    """How common a character is in paths and command lines; 0 for those that are rarely there."""
    return _COMMON_CHARS.find(char) + 1
