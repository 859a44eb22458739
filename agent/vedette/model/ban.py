"""A file that may not be executed until somebody takes that back."""

from __future__ import annotations

from typing import NamedTuple


class Ban(NamedTuple):
    """One file, by content, by path, or by both: either is enough.

    Attributes:
        ban_id: 16 hex digits; the response that asked for it.
        sha256: of the content in hex, "" for a ban by path alone.
        size_bytes: of the content, 0 where it is not known.
        path: absolute, without links, or "" for a ban by content alone.
    """

    ban_id: str
    sha256: str
    size_bytes: int
    path: str
