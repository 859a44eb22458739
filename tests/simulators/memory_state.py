"""State and Shelf in memory, for tests of what decides; they can be told to refuse."""

from __future__ import annotations

from collections.abc import Mapping

from vedette.errors import StoreError
from vedette.ports.state import Shelf, State, StateValue


class MemoryState(State):
    """Values in a dict; while `is_full` every update is refused."""

    def __init__(self) -> None:
        self.values: dict[str, StateValue] = {}
        self.is_full = False

    def number(self, name: str) -> int:
        value = self.values.get(name, 0)
        assert isinstance(value, int)
        return value

    def text(self, name: str) -> str:
        value = self.values.get(name, "")
        assert isinstance(value, str)
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        value = self.values.get(name, ())
        assert isinstance(value, tuple)
        return value

    def update(self, changes: Mapping[str, StateValue]) -> None:
        if self.is_full:
            raise StoreError("no space left (simulated)")
        self.values.update(changes)


class MemoryShelf(Shelf):
    """Files in a dict; while `is_full` every save is refused."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.is_full = False

    def names(self) -> list[str]:
        return sorted(self.files)

    def load(self, name: str) -> bytes | None:
        return self.files.get(name)

    def save(self, name: str, data: bytes) -> None:
        if self.is_full:
            raise StoreError("no space left (simulated)")
        self.files[name] = data

    def remove(self, name: str) -> None:
        self.files.pop(name, None)
