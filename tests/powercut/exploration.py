"""Which fates of the unsafe changes are tried at each cut: the telling ones, then chance.

Rule: the same seed gives the same states; each cut gets its even share, and what is equal to a
state already tried (same files, same promises) is not tried again.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from tests.powercut.disk import (
    DROPPED,
    EMPTY,
    KEPT,
    SHORT,
    UNFILLED,
    Bytes,
    Change,
    Cut,
    Fate,
    Image,
    Link,
)

_TELLING_WRITES: Final = (EMPTY, SHORT, UNFILLED)
_CHANCE_ROUNDS: Final = 4
"""Times the quota that chance may miss before a cut is thought exhausted."""


@dataclass(frozen=True, slots=True)
class State:
    """One disk after a power cut.

    Attributes:
        done: how many operations were made before the cut.
        marks: what the program had said until then.
        fates: of each unsafe change.
        image: what is found.
    """

    done: int
    marks: tuple[str, ...]
    fates: tuple[Fate, ...]
    image: Image


def explore(cuts: Sequence[Cut], quota: int, seed: int) -> Iterator[State]:
    """Distinct states of these cuts, at most `quota` of each; where that is one, a random one."""
    seen: set[bytes] = set()
    for cut in cuts:
        found = 0
        for fates in _fates(cut.pending, quota, random.Random(f"{seed} {cut.done}")):
            image = cut.image(fates)
            digest = _digest(cut.marks, image)
            if digest in seen:
                continue
            seen.add(digest)
            yield State(cut.done, cut.marks, fates, image)
            found += 1
            if found == quota:
                break


def _fates(
    pending: Sequence[Change], quota: int, chance: random.Random
) -> Iterator[tuple[Fate, ...]]:
    count = len(pending)
    if quota == 1:
        yield tuple(_by_chance(change, chance) for change in pending)
        return
    yield (KEPT,) * count
    if not count:
        return
    yield (DROPPED,) * count
    telling = list(_telling(pending, chance))
    yield from chance.sample(telling, min(len(telling), max(1, quota // 2)))
    for _ in range(quota * _CHANCE_ROUNDS):
        yield tuple(_by_chance(change, chance) for change in pending)


def _telling(pending: Sequence[Change], chance: random.Random) -> Iterator[tuple[Fate, ...]]:
    """One change against all others, every earlier one alone, and each way to tear one write."""
    count = len(pending)
    for place, change in enumerate(pending):
        for fate, other in ((DROPPED, KEPT), (KEPT, DROPPED)):
            yield (other,) * place + (fate,) + (other,) * (count - place - 1)
        yield (KEPT,) * place + (DROPPED,) * (count - place)
        if isinstance(change, Bytes) and change.data:
            for fate in (*_TELLING_WRITES, _torn(change, chance), _torn(change, chance)):
                yield (KEPT,) * place + (fate,) + (KEPT,) * (count - place - 1)


def _by_chance(change: Change, chance: random.Random) -> Fate:
    drawn = chance.random()
    if drawn < 0.4:
        return KEPT
    if drawn < 0.7 or not (isinstance(change, Bytes) and change.data):
        return DROPPED
    return _torn(change, chance)


def _torn(change: Bytes, chance: random.Random) -> Fate:
    return Fate(
        blocks=chance.getrandbits(change.blocks),
        is_grown=chance.random() < 0.5,
        filler=chance.choice((0, 0xA5)),
    )


def _digest(marks: Sequence[str], image: Image) -> bytes:
    total = hashlib.blake2b(repr(marks).encode(), digest_size=16)
    for path, content in image.items():
        total.update(path.encode("utf-8", "surrogateescape"))
        if isinstance(content, Link):
            total.update(b"\0>" + content.target.encode("utf-8", "surrogateescape"))
        elif content is not None:
            total.update(b"\0=%d\0" % len(content) + content)
    return total.digest()
