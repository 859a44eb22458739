"""Responses that were planned or hold, one file each, until nothing of them is left to undo.

Rule 1: when `save` returns, the record survives what comes next: a power cut, or, where the disk
refuses it, at least a kill -9 (the run folder is in memory, and so is what such a response did).
`note` promises the latter alone, without a wait.
Rule 2: a damaged file is set aside and told; it never keeps the others from being read.
"""

from __future__ import annotations

from typing import NamedTuple

from vedette.codec import kept_response
from vedette.codec.kept_response import KeptResponse
from vedette.errors import ParseError, StoreError
from vedette.ports.state import Shelf

_SUFFIX = ".response"
_DAMAGED = ".damaged"


class Found(NamedTuple):
    """What was on the disk; `problems` has one line for each file that cannot be used."""

    kept: tuple[KeptResponse, ...]
    problems: tuple[str, ...]


class ResponseStore:
    """The kept responses of this device. Calls block on the disk; threads may share the object.

    Args:
        lasting: on the disk.
        passing: gone after a reboot; used while the disk refuses.
    """

    def __init__(self, lasting: Shelf, passing: Shelf) -> None:
        self._lasting, self._passing = lasting, passing

    def save(self, kept: KeptResponse) -> str:
        """Keep a response, or keep it anew with other remaining seconds.

        Returns:
            "" when it is on the disk; else why it is only in memory.

        Raises:
            StoreError: neither took it.
        """
        name, data = kept.order.response_id + _SUFFIX, kept_response.encode(kept)
        try:
            self._lasting.save(name, data)
        except StoreError as error:
            self._passing.save(name, data)
            return str(error)
        self._passing.remove(name)
        return ""

    def note(self, kept: KeptResponse) -> None:
        """Keep a response in memory, which outlives a kill -9; on the disk where memory refuses.

        Raises:
            StoreError: neither took it.
        """
        name, data = kept.order.response_id + _SUFFIX, kept_response.encode(kept)
        try:
            self._passing.save(name, data)
        except StoreError:
            self._lasting.save(name, data)

    def remove(self, response_id: str) -> None:
        """Forget a response, if it is there.

        Raises:
            StoreError: the disk did not let it go.
        """
        for shelf in (self._passing, self._lasting):
            if shelf.load(response_id + _SUFFIX) is not None:
                shelf.remove(response_id + _SUFFIX)

    def load(self) -> Found:
        """All that is kept, in the order of their ids."""
        kept: dict[str, KeptResponse] = {}
        problems: list[str] = []
        for shelf in (self._lasting, self._passing):
            for name in _names(shelf, problems):
                found = _read(shelf, name, problems)
                if found is not None:
                    kept[found.order.response_id] = found
        return Found(tuple(kept[one] for one in sorted(kept)), tuple(problems))


def _names(shelf: Shelf, problems: list[str]) -> list[str]:
    try:
        return [name for name in shelf.names() if name.endswith(_SUFFIX)]
    except StoreError as error:
        problems.append(str(error))
        return []


def _read(shelf: Shelf, name: str, problems: list[str]) -> KeptResponse | None:
    data = b""
    try:
        data = shelf.load(name) or b""
        found = _named(name, kept_response.decode(data))
    except StoreError as error:
        problems.append(str(error))
    except ParseError as error:
        problems.append(f"{name}: {error}; what it did can only be undone by hand")
        _set_aside(shelf, name, data, problems)
    else:
        return found
    return None


def _named(name: str, found: KeptResponse) -> KeptResponse:
    if found.order.response_id + _SUFFIX != name:
        raise ParseError(f"expected the response {name}, got {found.order.response_id}")
    return found


def _set_aside(shelf: Shelf, name: str, data: bytes, problems: list[str]) -> None:
    try:
        shelf.save(name.removesuffix(_SUFFIX) + _DAMAGED, data)
        shelf.remove(name)
    except StoreError as error:
        problems.append(str(error))
