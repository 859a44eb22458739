"""Reads what the device publishes as an operator would: over MQTT, each signature verified.

Rule 1: what an operator would not believe is not passed on; it is said in words instead.
"""

from __future__ import annotations

import collections
import contextlib
import queue
import sys
import threading
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self

from vedette.cli import _fleet_lines
from vedette.cli._fleet_listener import Arrived, Listener
from vedette.cli._fleet_options import read_registry
from vedette.codec import report, topics
from vedette.core.fleet import Fleet, Kind, Note, Publication
from vedette.errors import DeviceError
from vedette.model.update import UpdateReport
from vedette.trust.ed25519 import Ed25519Verifier
from vedette_dev.session import Running
from vedette_dev.terminal import is_colourful

MAX_WAITING = 20_000
DEVICE_TIMEOUT_S = 30.0
LISTENING_TIMEOUT_S = 30.0
_QUIET = frozenset((Kind.STATE, Kind.BIRTH, Kind.REPORT, Kind.DOUBLE, Kind.ENDED))

Take = Callable[[Mapping[str, Any], float], None]


class _Inbox(queue.Queue[Arrived]):
    """Remembers when each item came: what is measured must not wait for our own reading."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self._came_s: collections.deque[float] = collections.deque()

    def _put(self, item: Arrived) -> None:
        self._came_s.append(time.monotonic())
        super()._put(item)

    def take(self) -> tuple[Arrived, float]:
        """The oldest item and when it came; for one reader only."""
        item = self.get()
        return item, self._came_s.popleft()


class Reader:
    """A verifying subscriber in a thread of its own; a context manager.

    Args:
        running: whose broker and registry.
        on_incident: gets the OCSF document of each verified incident and the monotonic time at
            which it came, in the reader's thread.
        on_line: gets a readable line for each of them and for whatever is wrong.
        on_update: gets each verified step of an update.
    """

    def __init__(
        self,
        running: Running,
        on_incident: Take,
        on_line: Callable[[str], None] | None = None,
        on_update: Callable[[UpdateReport], None] | None = None,
    ) -> None:
        self._on_update = on_update
        self._running = running
        self._on_incident = on_incident
        self._on_line = on_line
        self._arrived = _Inbox(MAX_WAITING)
        self._heard = threading.Event()
        self._ends = threading.Event()
        self._listener = Listener(
            "127.0.0.1", running.port, topics.subscriptions(running.tenant), self._arrived
        )
        self._thread = threading.Thread(target=self._read, name="reader", daemon=True)

    def __enter__(self) -> Self:
        operator = self._running.operator
        self._listener.begin(self._running.ca, operator.certificate, operator.key)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._ends.set()
        self._listener.end()
        with contextlib.suppress(queue.Full):
            self._arrived.put_nowait("")
        self._thread.join(5.0)

    def await_listening(self, timeout_s: float = LISTENING_TIMEOUT_S) -> None:
        """Wait until the broker has granted the subscriptions: nothing is missed from then on.

        Raises:
            DeviceError: it has not in time.
        """
        if not self._listener.is_listening.wait(timeout_s):
            port = self._running.port
            raise DeviceError(
                f"expected the broker on port {port} to grant an operator's subscriptions within "
                f"{timeout_s:g} s, it did not: see its log"
            )

    def await_device(self, timeout_s: float = DEVICE_TIMEOUT_S) -> None:
        """Wait until the device has said something that its key signed.

        Raises:
            DeviceError: it has not in time.
        """
        if not self._heard.wait(timeout_s):
            raise DeviceError(
                f"expected a signed message of {self._running.device} within {timeout_s:g} s, got "
                f"none: see the agent's and the broker's logs beside {self._running.config}"
            )

    def _read(self) -> None:
        registry = read_registry(self._running.registry)
        fleet = Fleet(registry, Ed25519Verifier(), time.monotonic())
        while not self._ends.is_set():
            found, came_s = self._arrived.take()
            if isinstance(found, Publication):
                for note in fleet.handle(found, came_s):
                    self._take(note, found, came_s)

    def _take(self, note: Note, publication: Publication, came_s: float) -> None:
        if note.kind in {Kind.INCIDENT, Kind.STATE, Kind.BIRTH, Kind.REPORT}:
            self._heard.set()
        if note.update is not None and self._on_update is not None:
            self._on_update(note.update)
        if note.kind is Kind.INCIDENT:
            document = report.decode(publication.body, publication.content_type)
            if isinstance(document, dict):
                self._on_incident(document, came_s)
        if self._on_line is not None and note.kind not in _QUIET:
            is_coloured = is_colourful(sys.stdout)
            self._on_line(_fleet_lines.text(note, time.time(), is_coloured=is_coloured))
