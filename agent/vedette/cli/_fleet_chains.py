"""The file in which `vedette fleet watch` keeps where it stands in the chains of checkpoints."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from vedette.codec import kept_chains
from vedette.codec.chain_link import Link
from vedette.errors import InputError, ParseError


class KeptChains:
    """Reads it once, and writes it whenever a chain has grown.

    Args:
        path: of the file; None keeps nothing.
        write: replaces a file at once and whole.
    """

    def __init__(self, path: Path | None, write: Callable[[Path, bytes], None]) -> None:
        self._path, self._write = path, write
        self._written = b""

    def read(self) -> dict[tuple[str, str], Link]:
        """Where the last watch stood; empty at the first.

        Raises:
            InputError: it is another file.
        """
        if self._path is None or not os.path.lexists(self._path):
            return {}
        try:
            return kept_chains.parse(self._path.read_bytes())
        except ParseError as error:
            raise InputError(
                f"{self._path}: {error}; it is not what fleet watch wrote: find out why, and name "
                "another file to begin anew"
            ) from error

    def keep(self, links: Mapping[tuple[str, str], Link]) -> None:
        """Write where we stand, if that is new."""
        data = kept_chains.encode(links)
        if self._path is not None and data != self._written:
            self._write(self._path, data)
            self._written = data
