"""The directory back-end is its own boot loader."""

from __future__ import annotations

from pathlib import Path

from tests.contract.boot_loaders.boot_loader import BootLoader

from vedette.errors import StoreError
from vedette.ports.slot_backend import SlotContext
from vedette.slots.directory import STATE_FILE, DirectoryBackend
from vedette.store import durable


def refuse_to_write(path: Path, data: bytes) -> None:
    raise StoreError(f"{path}: no space left for {len(data)} bytes")


class Directory(BootLoader):
    """Files in a folder."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._write = durable.write

    def backend(self) -> DirectoryBackend:
        return DirectoryBackend(SlotContext(self.folder, self._write))

    def boot(self) -> None:
        self.backend().boot()

    def damage(self) -> bool:
        (self.folder / STATE_FILE).write_text("committed=c\ntries=9\n")
        return True

    def refuse(self) -> None:
        self._write = refuse_to_write

    def allow(self) -> None:
        self._write = durable.write


boot_loaders = (Directory,)
