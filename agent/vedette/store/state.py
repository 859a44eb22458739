"""Small durable values in two copies: floors, accepted digests, reservations (ports.state.State).

Rule 1: each update writes the copies one after the other, each by write, fsync, rename, fsync of
the folder; so at any moment one of them is whole, and after an update both hold it.
Rule 2: the newer whole copy wins; the other is made whole again at once.
Rule 3: a disk that cannot be written is a problem of each update, not of opening.
Rule 4: two damaged copies stop the caller: floors that vanish must not look like a first start.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path

from vedette.codec import state as codec
from vedette.errors import ParseError, StoreError
from vedette.ports.state import State, StateValue
from vedette.store import durable

COPIES = ("state.a", "state.b")


class FileState(State):
    """Two files in a folder of ours.

    Attributes:
        is_new: nothing was there when it was opened.
        problems: what was wrong when it was opened and was mended, one line each.

    Raises:
        StoreError: a copy is there and none of them is whole.
    """

    def __init__(self, folder: Path) -> None:
        self._lock = threading.Lock()
        self._folder = folder
        self._counter = 0
        self._values: dict[str, StateValue] = {}
        self.is_new = False
        self.problems: list[str] = []
        self._open()
        try:
            durable.make_folder(folder)
        except StoreError as error:  # a read-only disk: what is there is read all the same
            self.problems.append(f"{error}; no counter can be kept")

    def number(self, name: str) -> int:
        """The value of a name as a number; 0 where none was ever set."""
        value = self._values.get(name, 0)
        if not isinstance(value, int):
            raise TypeError(f"expected {name} to be a number, it is {type(value).__name__}")
        return value

    def text(self, name: str) -> str:
        """The value of a name as text; "" where none was ever set."""
        value = self._values.get(name, "")
        if not isinstance(value, str):
            raise TypeError(f"expected {name} to be text, it is {type(value).__name__}")
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        """The value of a name as a list; empty where none was ever set."""
        value = self._values.get(name, ())
        if not isinstance(value, tuple):
            raise TypeError(f"expected {name} to be a list, it is {type(value).__name__}")
        return value

    def update(self, changes: Mapping[str, StateValue]) -> None:
        """Set several values at once; when this returns both copies on the disk hold them.

        Raises:
            StoreError: the disk took neither copy; every value is as it was. When it took one,
                the update stands and the other copy is mended with the next update or opening.
        """
        with self._lock:
            values = {**self._values, **changes}
            if values == self._values:
                return
            self._counter += 1  # even if it fails: two different copies never share a counter
            self._write_both(self._counter, values)
            self._values = values

    def _open(self) -> None:
        found: list[tuple[int, dict[str, StateValue]]] = []
        damaged: list[str] = []
        for name in COPIES:
            try:
                data = durable.read(self._folder / name, codec.MAX_BYTES)
                if data is not None:
                    found.append(codec.decode(data))
            except (ParseError, StoreError) as error:
                damaged.append(f"{self._folder / name}: {error}")
        if damaged and not found:
            raise StoreError(
                f"expected one whole copy of the device's counters, found none: "
                f"{'; '.join(damaged)}. Both copies are needed to refuse old rules; if the disk "
                f"is sound, move {' and '.join(COPIES)} away: the next start begins new counters "
                "and a new epoch of the journal"
            )
        self.is_new = not found
        if found:
            self._counter, self._values = max(found, key=lambda copy: copy[0])
        self.problems = [f"{line}; made again from the other copy" for line in damaged]
        if len(found) == 1 and not damaged:
            self.problems.append(f"{self._folder}: one of {', '.join(COPIES)} was missing")
        if len(found) == 1 or (len(found) > 1 and found[0] != found[1]):
            self._mend()

    def _mend(self) -> None:
        try:
            self._write_both(self._counter, self._values)
        except StoreError as error:
            self.problems.append(f"{error}; only one copy of the counters is left")

    def _write_both(self, counter: int, values: Mapping[str, StateValue]) -> None:
        data = codec.encode(counter, values)
        if len(data) > codec.MAX_BYTES:
            raise StoreError(f"expected at most {codec.MAX_BYTES} bytes of state, got {len(data)}")
        failure: StoreError | None = None
        written = 0
        for name in COPIES:
            try:
                durable.write(self._folder / name, data)
                written += 1
            except StoreError as error:
                failure = failure or error
        if failure is not None and not written:
            raise failure
