"""Decides whether a file may be executed, by lists of digests and paths.

Rule 1: what is essential runs, whatever a list says; then what is denied does not, then what is
allowed does, and `unknown` decides over the rest.
Rule 2: a file is read only if its digest can change the verdict: nobody has to hash a file whose
size no listed digest has.
Rule 3: the holder imports this: no typing, no dataclasses (see model/denial.py).
"""

from __future__ import annotations

from vedette.model.denial import (
    ALLOW_UNKNOWN,
    ANY_SIZE,
    BY_DIGEST,
    BY_PATH,
    DENY_UNKNOWN,
    UNLISTED,
    UNLISTED_OBSERVED,
    Lists,
)

ALLOWED = 0
"""No reason against it; the others are those of model/denial.py."""


class Policy:
    """Lists, ready to be asked."""

    def __init__(self, lists: Lists) -> None:
        self.lists = lists
        self._denied = frozenset(digest for _, digest in lists.denied)
        self._allowed = frozenset(digest for _, digest in lists.allowed)
        self._denied_sizes = frozenset(size for size, _ in lists.denied)
        self._allowed_sizes = frozenset(size for size, _ in lists.allowed)
        rest = UNLISTED if lists.unknown == DENY_UNKNOWN else UNLISTED_OBSERVED
        self._rest = ALLOWED if lists.unknown == ALLOW_UNKNOWN else rest

    @property
    def has_work(self) -> bool:
        """Whether any execution could be denied or told; otherwise nothing has to be watched."""
        return bool(self._rest or self._denied or self.lists.denied_paths)

    def by_path(self, path: str) -> int:
        """BY_PATH where a path may not run; the path may be a pretence, so it allows nothing."""
        return BY_PATH if path in self.lists.denied_paths else ALLOWED

    def needs_digest(self, size: int) -> bool:
        """Whether a file of this size must be read for its verdict."""
        if size in self._denied_sizes or ANY_SIZE in self._denied_sizes:
            return True
        is_listable = size in self._allowed_sizes or ANY_SIZE in self._allowed_sizes
        return self._rest != ALLOWED and is_listable

    def unread(self) -> int:
        """The verdict on a file that needs no digest."""
        return self._rest

    def by_digest(self, digest: bytes) -> int:
        """The verdict on a file's content."""
        if digest in self._denied:
            return BY_DIGEST
        return ALLOWED if digest in self._allowed else self._rest
