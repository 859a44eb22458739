"""The uplink process: between the sentinel's socket and the broker, and nothing else.

Rule 1: it holds the TLS key and never the signing key; what it publishes was signed before.
Rule 2: it keeps nothing: the journal is the queue, and whoever restarts this process loses nothing.
Rule 3: it serves the sentinel of the moment; when that ends without saying so, or hangs, the broker
is left with the will, and the process waits for the next sentinel.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import ssl
from collections.abc import Sequence

from vedette.codec import link
from vedette.errors import UplinkError
from vedette.kernel.ticks import next_tick_s
from vedette.model.event import Event, NameQueried, NameResolved
from vedette.model.message import Outcome, SessionChanged
from vedette.uplink import tls
from vedette.uplink.backoff import Backoff
from vedette.uplink.connector import connect
from vedette.uplink.dns import DnsWatch
from vedette.uplink.session import Session
from vedette.uplink.settings import UplinkSettings
from vedette.uplink.wire import Wire

OPENING_TIMEOUT_S = 10.0
SENTINEL_FIRST_S = 0.1
SENTINEL_CAP_S = 5.0
"""How often a missing sentinel's socket is tried: it is local and costs 50 µs."""

HINT_DELAY_S = 0.05
"""DNS packets come in pairs and bursts; one frame for each burst spares the sentinel wake-ups."""

LOSS_PERIOD_S = 60.0
SENTINEL_SILENT_S = 150.0
"""Five questions of the sentinel: one that hangs so long is taken for gone, and the broker is left
with the will, since nobody is left who finds anything."""


class Bridge:
    """Serves one sentinel after the other.

    Args:
        settings: where the broker is and how to speak to it.
        context: made before privileges were given up where the key needs it; None without TLS.
        dns: the watch over the DNS packet socket, or None.
    """

    def __init__(
        self, settings: UplinkSettings, context: ssl.SSLContext | None, dns: DnsWatch | None
    ) -> None:
        self._settings = settings
        self._context = context
        self._dns = dns
        self._wire: Wire | None = None
        self._opening: asyncio.Future[link.Open] | None = None
        self._session: Session | None = None
        self._number = 0
        self._stop = asyncio.Event()
        self._hints: list[NameQueried | NameResolved] = []
        self._hint_timer: asyncio.TimerHandle | None = None
        self._loss_timer: asyncio.TimerHandle | None = None
        self._silence_timer: asyncio.TimerHandle | None = None

    def stop(self) -> None:
        """Leave the broker (with the will, unless the sentinel left before) and end."""
        self._stop.set()
        if self._wire is not None:
            self._wire.end("the uplink stops")

    async def run(self) -> None:
        """Serve until `stop`."""
        patience = Backoff(SENTINEL_FIRST_S, SENTINEL_CAP_S, lambda: 1.0)
        while not self._stop.is_set():
            started_s = asyncio.get_running_loop().time()
            with contextlib.suppress(OSError):
                await self._serve()
            pause_s = patience.next_s(asyncio.get_running_loop().time() - started_s)
            await self._pause(pause_s)

    async def _serve(self) -> None:
        self._opening = asyncio.get_running_loop().create_future()
        self._wire = wire = Wire(self._settings.socket, self._take)
        try:
            opening = await self._await_opening(wire)
            if opening is not None:
                self._watch_dns()
                await self._keep_sessions(wire, opening)
        finally:
            self._forget_silence()
            self._unwatch_dns()
            wire.close()
            self._wire = None

    async def _await_opening(self, wire: Wire) -> link.Open | None:
        if self._opening is None:
            return None
        await asyncio.wait(
            (self._opening, wire.ended),
            timeout=OPENING_TIMEOUT_S,
            return_when=asyncio.FIRST_COMPLETED,
        )
        return self._opening.result() if self._opening.done() else None

    async def _keep_sessions(self, wire: Wire, opening: link.Open) -> None:
        async with asyncio.TaskGroup() as group:
            sessions = group.create_task(self._sessions(wire, opening))
            await wire.ended
            sessions.cancel()

    async def _sessions(self, wire: Wire, opening: link.Open) -> None:
        settings = self._settings
        backoff = Backoff(settings.backoff_first_s, settings.backoff_cap_s, _chance)
        loop = asyncio.get_running_loop()
        while True:
            self._number += 1
            lasted_s = 0.0
            try:
                connection = await connect(settings, self._context)
                self._session = session = Session(
                    settings,
                    opening,
                    connection.stream,
                    self._report(wire, self._number),
                    on_down=wire.hand_down,
                    on_hearing=lambda refusal: wire.say(link.Hearing(refusal)),
                )
                change = await session.begin()
                began_s = loop.time()
                if connection.warning:
                    change = change._replace(reason=f"{change.reason}; {connection.warning}")
                wire.say(link.Session(self._number, change))
                reason = await session.lost()
                lasted_s = loop.time() - began_s
            except UplinkError as error:
                reason = str(error)
            finally:
                await self._end_session(with_will=not wire.was_orderly)
            wire.say(link.Session(self._number, _down(reason)))
            await asyncio.sleep(backoff.next_s(lasted_s))

    async def _end_session(self, *, with_will: bool) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.leave(with_will=with_will)

    def _report(self, wire: Wire, number: int) -> _Reporter:
        return _Reporter(wire, number)

    def _take(self, frame: link.Frame) -> None:
        match frame:
            case link.Open():
                if self._opening is not None and not self._opening.done():
                    self._opening.set_result(frame)
            case link.Publish(session, message):
                # One of an older session is sent again by the sentinel, which saw that end.
                if self._session is not None and session == self._number:
                    self._session.publish(message)
            case link.Alive():
                self._answer()
            case _:
                if self._wire is not None:
                    self._wire.end("the sentinel sent a frame that only the uplink sends")

    def _answer(self) -> None:
        """The sentinel asks whether we live; from now on its silence is noticed too."""
        if self._wire is None:
            return
        self._wire.say(link.Alive())
        self._forget_silence()
        loop = asyncio.get_running_loop()
        self._silence_timer = loop.call_later(SENTINEL_SILENT_S, self._wire.end, "it is silent")

    def _forget_silence(self) -> None:
        if self._silence_timer is not None:
            self._silence_timer.cancel()
            self._silence_timer = None

    async def _pause(self, pause_s: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(pause_s):
                await self._stop.wait()

    def hear_names(self, events: Sequence[Event]) -> None:
        """Take what the DNS watch saw; it goes to the sentinel as hints."""
        self._hints += [e for e in events if isinstance(e, NameQueried | NameResolved)]
        if self._hint_timer is None:
            loop = asyncio.get_running_loop()
            self._hint_timer = loop.call_later(HINT_DELAY_S, self._send_hints)

    def use_dns(self, watch: DnsWatch) -> None:
        """Read this watch while a sentinel listens; it must emit to `hear_names`."""
        self._dns = watch

    def _send_hints(self, lost: int = 0) -> None:
        self._hint_timer = None
        found, self._hints = self._hints, []
        if self._wire is None or not (found or lost):
            return
        for start in range(0, max(len(found), 1), link.MAX_HINTS):
            self._wire.hint(link.hints(found[start : start + link.MAX_HINTS], lost))
            lost = 0

    def _watch_dns(self) -> None:
        if self._dns is not None:
            asyncio.get_running_loop().add_reader(self._dns, self._dns.read)
            self._tell_losses()

    def _unwatch_dns(self) -> None:
        for timer in (self._hint_timer, self._loss_timer):
            if timer is not None:
                timer.cancel()
        self._hint_timer = self._loss_timer = None
        if self._dns is not None:
            asyncio.get_running_loop().remove_reader(self._dns)

    def _tell_losses(self) -> None:
        if self._dns is None:
            return
        loop = asyncio.get_running_loop()
        due_s = next_tick_s(loop.time(), LOSS_PERIOD_S)
        self._loss_timer = loop.call_at(due_s, self._tell_losses)
        if (losses := self._dns.losses()) is not None:
            self._send_hints(losses.lost)


class _Reporter:
    """Tells outcomes of one session, and keeps its number."""

    def __init__(self, wire: Wire, number: int) -> None:
        self._wire = wire
        self._number = number

    def __call__(self, outcome: Outcome) -> None:
        self._wire.say(link.Result(self._number, outcome))


def make_context(settings: UplinkSettings) -> ssl.SSLContext | None:
    """The TLS context of these settings; None when they name no CA.

    Raises:
        UplinkError: a file of it cannot be used.
    """
    return tls.context(settings) if settings.tls_ca else None


def make_bridge(
    settings: UplinkSettings, context: ssl.SSLContext | None, dns_fd: int | None
) -> Bridge:
    """A bridge that reads DNS from this descriptor, if there is one."""
    bridge = Bridge(settings, context, None)
    if dns_fd is not None:
        bridge.use_dns(DnsWatch(dns_fd, bridge.hear_names))
    return bridge


def _chance() -> float:
    """A number in [0, 1); not of `random`, whose import costs 0.1 MB."""
    return int.from_bytes(os.urandom(6)) / 2**48


def _down(reason: str) -> SessionChanged:
    return SessionChanged(is_up=False, reason=reason, maximum_packet_bytes=0, receive_maximum=0)
