"""The hash tree of RFC 6962 section 2.1: appended to leaf by leaf, pruned from the left.

Rule 1: a Frontier is all that appending needs: the roots of the perfect subtrees whose sizes are
the powers of two in `size`, largest first.
Rule 2: with the frontier of what was pruned and the leaves since, every later root, inclusion and
consistency proof can still be made.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import NamedTuple

from vedette.errors import ParseError

HASH_BYTES = 32
EMPTY_ROOT = sha256(b"").digest()


def leaf_hash(data: bytes) -> bytes:
    """The hash of an entry: SHA-256(0x00 || data)."""
    return sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash over two subtrees: SHA-256(0x01 || left || right)."""
    return sha256(b"\x01" + left + right).digest()


class Frontier(NamedTuple):
    """A tree without its leaves.

    Attributes:
        size: how many leaves it has.
        hashes: one for each bit set in `size`, the largest subtree first.
    """

    size: int = 0
    hashes: tuple[bytes, ...] = ()

    def appended(self, leaf_hashes: Iterable[bytes]) -> Frontier:
        """The frontier after more leaves; amortised two hashes a leaf."""
        size, hashes = self.size, list(self.hashes)
        for leaf in leaf_hashes:
            node, bits = leaf, size
            while bits & 1:
                node = node_hash(hashes.pop(), node)
                bits >>= 1
            hashes.append(node)
            size += 1
        return Frontier(size, tuple(hashes))

    def root(self) -> bytes:
        """The tree head (RFC 6962 2.1)."""
        if not self.hashes:
            return EMPTY_ROOT
        root = self.hashes[-1]
        for left in reversed(self.hashes[:-1]):
            root = node_hash(left, root)
        return root


def check_frontier(frontier: Frontier) -> Frontier:
    """Hand back a frontier that came from outside.

    Raises:
        ParseError: size and number or length of the hashes do not belong together.
    """
    if frontier.size < 0 or len(frontier.hashes) != frontier.size.bit_count():
        raise ParseError(
            f"expected one hash for each bit of size {frontier.size}, got {len(frontier.hashes)}"
        )
    if any(len(digest) != HASH_BYTES for digest in frontier.hashes):
        raise ParseError(f"expected hashes of {HASH_BYTES} bytes")
    return frontier


class Tree:
    """Makes proofs from a pruned frontier and the leaves after it.

    Args:
        pruned: the frontier of the leaves that are gone.
        leaf_hashes: those that follow, in order.
    """

    def __init__(self, pruned: Frontier, leaf_hashes: Sequence[bytes]) -> None:
        self._first = pruned.size
        self._leaves = leaf_hashes
        self._nodes: dict[tuple[int, int], bytes] = {}
        start = 0
        sizes = (1 << bit for bit in reversed(range(pruned.size.bit_length())))
        for size, digest in zip(
            (size for size in sizes if pruned.size & size), pruned.hashes, strict=True
        ):
            self._nodes[start, start + size] = digest
            start += size

    @property
    def size(self) -> int:
        """All leaves, the pruned ones included."""
        return self._first + len(self._leaves)

    def root(self, size: int) -> bytes:
        """The tree head over the first `size` leaves.

        Raises:
            ValueError: that many are not there, or not any more.
        """
        return self._hash(0, self._within(size)) if size else EMPTY_ROOT

    def inclusion(self, index: int, size: int) -> list[bytes]:
        """The audit path of a leaf (RFC 6962 2.1.1), the lowest hash first.

        Raises:
            ValueError: the leaf is not there, or not any more.
        """
        if not self._first <= index < self._within(size):
            raise ValueError(f"expected a leaf from {self._first} to {size - 1}, got {index}")
        return self._path(index, 0, size)

    def consistency(self, old: int, new: int) -> list[bytes]:
        """The proof that the tree of size `old` is the beginning of that of size `new` (2.1.2).

        Raises:
            ValueError: one of the trees is not there, or not any more.
        """
        if not 0 < old <= self._within(new):
            raise ValueError(f"expected an older size from 1 to {new}, got {old}")
        return self._subproof(old, 0, new, is_whole=True)

    def _within(self, size: int) -> int:
        if not self._first <= size <= self.size:
            raise ValueError(f"expected a size from {self._first} to {self.size}, got {size}")
        return size

    def _hash(self, start: int, end: int) -> bytes:
        known = self._nodes.get((start, end))
        if known is not None:
            return known
        if end - start == 1:
            if start < self._first:
                raise ValueError(f"leaf {start} is pruned, the first is {self._first}")
            return self._leaves[start - self._first]
        middle = start + _split(end - start)
        return node_hash(self._hash(start, middle), self._hash(middle, end))

    def _path(self, index: int, start: int, end: int) -> list[bytes]:
        if end - start == 1:
            return []
        middle = start + _split(end - start)
        if index < middle:
            return [*self._path(index, start, middle), self._hash(middle, end)]
        return [*self._path(index, middle, end), self._hash(start, middle)]

    def _subproof(self, old: int, start: int, end: int, *, is_whole: bool) -> list[bytes]:
        if old == end:
            return [] if is_whole else [self._hash(start, end)]
        middle = start + _split(end - start)
        if old <= middle:
            left = self._subproof(old, start, middle, is_whole=is_whole)
            return [*left, self._hash(middle, end)]
        right = self._subproof(old, middle, end, is_whole=False)
        return [*right, self._hash(start, middle)]


def is_included(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Whether a leaf hash is in the tree with this root (RFC 9162 2.1.3.2)."""
    if not 0 <= index < size:
        return False
    place, last, found = index, size - 1, leaf
    for digest in proof:
        if last == 0:
            return False
        if place & 1 or place == last:
            found = node_hash(digest, found)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            found = node_hash(found, digest)
        place, last = place >> 1, last >> 1
    return last == 0 and found == root


def is_consistent(
    old: int, old_root: bytes, new: int, new_root: bytes, proof: Sequence[bytes]
) -> bool:
    """Whether the older tree is the beginning of the newer one (RFC 9162 2.1.4.2)."""
    if not 0 < old <= new:
        return False
    if old == new:
        return not proof and old_root == new_root
    path = [old_root, *proof] if old & (old - 1) == 0 else list(proof)
    if not path:
        return False
    place, last = old - 1, new - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    first = second = path[0]
    for digest in path[1:]:
        if last == 0:
            return False
        if place & 1 or place == last:
            first, second = node_hash(digest, first), node_hash(digest, second)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            second = node_hash(second, digest)
        place, last = place >> 1, last >> 1
    return last == 0 and first == old_root and second == new_root


def _split(size: int) -> int:
    """The largest power of two below `size`."""
    return 1 << ((size - 1).bit_length() - 1)
