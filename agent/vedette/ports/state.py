"""The ports of what is small and must survive a power cut: values, whole files, a secret."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TypeAlias

StateValue: TypeAlias = int | str | tuple[str, ...]


class State(ABC):
    """Named values kept twice: floors, accepted digests, reservations.

    Calls block on the disk. One process owns them; its threads may share the object.
    """

    @abstractmethod
    def number(self, name: str) -> int:
        """The value of a name as a number; 0 where none was ever set."""

    @abstractmethod
    def text(self, name: str) -> str:
        """The value of a name as text; "" where none was ever set."""

    @abstractmethod
    def texts(self, name: str) -> tuple[str, ...]:
        """The value of a name as a list; empty where none was ever set."""

    @abstractmethod
    def update(self, changes: Mapping[str, StateValue]) -> None:
        """Set several values at once; when this returns they are on the disk, all or none.

        Raises:
            StoreError: the disk did not take them; every value is as it was.
        """


class Shelf(ABC):
    """Whole files by name. Calls block on the disk."""

    @abstractmethod
    def names(self) -> list[str]:
        """What is there, in the order of the names."""

    @abstractmethod
    def load(self, name: str) -> bytes | None:
        """The content of a name, or None where there is none.

        Raises:
            StoreError: it is there and cannot be read.
        """

    @abstractmethod
    def save(self, name: str, data: bytes) -> None:
        """Keep a content under a name; when this returns it is on the disk, whole.

        Raises:
            StoreError: the disk did not take it; what had the name before still has it.
        """

    @abstractmethod
    def remove(self, name: str) -> None:
        """Forget a name, if it is there.

        Raises:
            StoreError: the disk did not let it go.
        """


class Cell(ABC):
    """One small file; what it held before is overwritten when it is replaced.

    Calls block on the disk.

    Attributes:
        name: where it is, for people.
    """

    name: str

    @abstractmethod
    def load(self) -> bytes | None:
        """What it holds, or None where there is none.

        Raises:
            StoreError: it is there and cannot be read, or is far too long.
        """

    @abstractmethod
    def replace(self, data: bytes) -> None:
        """Hold this from now on; when this returns it is on the disk and the old is overwritten.

        Raises:
            StoreError: the disk did not take it, and it holds what it held; or the old content
                could not be overwritten.
        """
