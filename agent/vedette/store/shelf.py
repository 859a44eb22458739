"""A folder of whole files, each replaced durably or not at all (ports.state.Shelf)."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from vedette.errors import StoreError
from vedette.ports.state import Shelf
from vedette.store import durable

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,127}")


class FileShelf(Shelf):
    """Files in a folder of ours (0700).

    Args:
        folder: made with the first file.
        max_bytes: longer files are refused, read or written.
    """

    def __init__(self, folder: Path, *, max_bytes: int) -> None:
        self._folder = folder
        self._max_bytes = max_bytes

    def names(self) -> list[str]:
        """What is there, in the order of the names; without what a power cut left half written."""
        return sorted(self.each())

    def each(self) -> Iterator[str]:
        """The same in no order, one at a time: a shelf may hold thousands.

        Raises:
            StoreError: the folder cannot be read.
        """
        try:
            with os.scandir(self._folder) as found:
                for entry in found:
                    if _NAME.fullmatch(entry.name) and not durable.is_temporary(Path(entry.name)):
                        yield entry.name
        except FileNotFoundError:
            return
        except OSError as error:
            raise StoreError(f"{self._folder}: cannot be listed: {error.strerror}") from error

    def load(self, name: str) -> bytes | None:
        """The content of a name, or None where there is none.

        Raises:
            StoreError: it is there and cannot be read.
        """
        return durable.read(self._path(name), self._max_bytes)

    def save(self, name: str, data: bytes) -> None:
        """Keep a content under a name; when this returns it is on the disk, whole.

        Raises:
            StoreError: the disk did not take it; what had the name before still has it.
        """
        if len(data) > self._max_bytes:
            raise StoreError(f"{name}: expected at most {self._max_bytes} bytes, got {len(data)}")
        path = self._path(name)
        durable.make_folder(self._folder)
        durable.write(path, data)

    def remove(self, name: str) -> None:
        """Forget a name, if it is there.

        Raises:
            StoreError: the disk did not let it go.
        """
        durable.remove(self._path(name))

    def _path(self, name: str) -> Path:
        if not _NAME.fullmatch(name) or name.endswith(".new"):
            raise ValueError(f"expected a plain file name, got {name!a}")
        return self._folder / name
