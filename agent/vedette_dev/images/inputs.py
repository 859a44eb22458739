"""The digest of what something is built from: it names the entry of the cache."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path


def digest(*inputs: str | Path) -> bytes:
    """One digest of texts, and of the names, modes and content of files and folders."""
    total = hashlib.sha256()
    for one in inputs:
        for piece in _pieces(one):
            total.update(len(piece).to_bytes(8, "little") + piece)
    return total.digest()


def _pieces(one: str | Path) -> Iterator[bytes]:
    if isinstance(one, str):
        yield one.encode()
        return
    paths = sorted(one.rglob("*")) if one.is_dir() else [one]
    for path in paths:
        if path.is_file() and "__pycache__" not in path.parts:
            yield f"{path.relative_to(one.parent)} {path.stat().st_mode & 0o777:o}".encode()
            yield path.read_bytes()
