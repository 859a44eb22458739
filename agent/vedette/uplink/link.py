"""The sentinel's end of the uplink: hands messages to the uplink process, never waits for it.

Rule 1: one peer at a time, of the expected user by SO_PEERCRED; all others are shut out.
Rule 2: at most WINDOW messages are in flight, fewer if the broker's Receive Maximum is lower; what
is above is refused at once and stays in the journal.
Rule 3: what the peer sends is parsed strictly; the first bad frame ends the connection. Times and
tiers of its hints are set here.
Rule 4: nothing here imports ssl or paho: those live in the other process.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import stat
import struct
import time
from pathlib import Path
from typing import assert_never

from vedette.codec import link
from vedette.errors import ParseError, UplinkError
from vedette.model.event import Event, EventClass, EventsLost, NameQueried, NameResolved
from vedette.model.message import Message, SessionChanged
from vedette.ports.uplink import Uplink, UplinkListener

WINDOW = 32
"""Messages in flight: enough to hide 100 ms of round trip at 300 a second."""

ASK_S = 30.0
"""Between two questions whether the uplink process lives."""

HINT_TIER = "dns"
LEAVE_TIMEOUT_S = 3.0

_FRAMES_PER_READ = 64
"""Then the loop goes on with other work: a flooding peer must not starve the sensors."""
_SEND_BUFFER_BYTES = 4 * link.MAX_FRAME_BYTES
_UCRED = struct.Struct("3i")  # unix(7) SO_PEERCRED: pid, uid, gid
_DOWN = SessionChanged(is_up=False, reason="", maximum_packet_bytes=0, receive_maximum=0)


class LinkUplink(Uplink):
    """Listens on a SOCK_SEQPACKET path for the uplink process.

    Args:
        path: of the socket, in a folder of ours; it is made searchable for a peer of another user.
        tenant: first part of all topics.
        device: second part of all topics.
        peer_uid: the user the uplink process runs as.
        groups: whose commands are for this device too.
    """

    def __init__(
        self, path: Path, *, tenant: str, device: str, peer_uid: int, groups: tuple[str, ...] = ()
    ) -> None:
        self._path = path
        self._tenant = tenant
        self._device = device
        self._groups = groups
        self._peer_uid = peer_uid
        self._listening: socket.socket | None = None
        self._peer: socket.socket | None = None
        self._opening = b""
        self._listener: UplinkListener | None = None
        self._session = 0
        self._change = _DOWN
        self._in_flight = 0
        self._peer_gone = asyncio.Event()
        self._is_closing = False
        self._is_asked = False
        self._asked_s = 0.0
        self.refused_peers = 0

    async def open(self, listener: UplinkListener, *, birth: Message, will: Message) -> None:
        """Listen; birth and will are given to each uplink process that connects.

        Raises:
            UplinkError: the path cannot be listened on.
        """
        self._listener = listener
        self._opening = link.encode(
            link.Open(self._tenant, self._device, birth, will, self._groups)
        )
        try:
            self._listening = _listen(self._path, self._peer_uid)
        except OSError as error:
            raise UplinkError(
                f"{self._path}: cannot listen for the uplink: {error.strerror}; the folder must "
                "exist, and the capability chown is needed when the uplink has a user of its own"
            ) from error
        asyncio.get_running_loop().add_reader(self._listening, self._accept)

    def reopen(self) -> None:
        """Listen anew where somebody took the socket's name away; the peer that is there stays.

        Raises:
            UplinkError: the path cannot be listened on.
        """
        try:
            listening = _listen(self._path, self._peer_uid)
        except OSError as error:
            raise UplinkError(
                f"{self._path}: cannot listen again for the uplink: {error.strerror}"
            ) from error
        loop = asyncio.get_running_loop()
        if self._listening is not None:
            loop.remove_reader(self._listening)
            self._listening.close()
        self._listening = listening
        loop.add_reader(listening, self._accept)

    def ask(self, now_s: float) -> float:
        """Ask the uplink process every ASK_S whether it lives; it answers at once.

        Args:
            now_s: seconds of a clock that does not jump.

        Returns:
            Seconds for which it has owed an answer; 0.0 where none is owed, or there is no peer.
        """
        if self._peer is None:
            return 0.0
        if self._is_asked:
            return now_s - self._asked_s
        if now_s - self._asked_s >= ASK_S:
            self._is_asked, self._asked_s = True, now_s
            with contextlib.suppress(OSError):  # a full buffer is as good as no answer
                self._peer.send(link.encode(link.Alive()))
        return 0.0

    @property
    def peer_pid(self) -> int:
        """The uplink process; 0 while none is connected."""
        return _credentials(self._peer)[0] if self._peer is not None else 0

    def send(self, message: Message) -> bool:
        """Hand one message over; False when the window is full or the session is down.

        Raises:
            ValueError: the message can never pass: it is larger than a frame.
        """
        if self._peer is None or not self._change.is_up or self._in_flight >= self.window:
            return False
        frame = link.encode(link.Publish(self._session, message))
        try:
            self._peer.send(frame)
        except BlockingIOError:
            return False  # the outcome of what fills the buffer comes later and wakes the sender
        except OSError as error:
            self._drop_peer(f"the uplink process is gone: {error.strerror}")
            return False
        self._in_flight += 1
        return True

    @property
    def window(self) -> int:
        """How many messages may be in flight now."""
        return min(WINDOW, self._change.receive_maximum)

    async def close(self) -> None:
        """Ask the peer to leave in good order, wait a moment for it, then close."""
        self._is_closing = True
        if self._listening is not None:
            asyncio.get_running_loop().remove_reader(self._listening)
            self._listening.close()
            self._listening = None
            self._path.unlink(missing_ok=True)
        if self._peer is not None and self._say_leave():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LEAVE_TIMEOUT_S):
                    await self._peer_gone.wait()
        self._drop_peer("the sentinel stops")

    def _say_leave(self) -> bool:
        if self._peer is None:
            return False
        try:
            self._peer.send(link.encode(link.Leave()))
        except OSError:
            return False
        return True

    def _accept(self) -> None:
        if self._listening is None:
            return
        try:
            found, _ = self._listening.accept()
        except OSError:
            return  # the peer was gone before it was let in
        found.setblocking(False)
        if self._peer is not None:
            self._notice_a_dead_peer(self._peer)
        if self._peer is not None or _credentials(found)[1] != self._peer_uid:
            self.refused_peers += 1
            found.close()
            return
        self._welcome(found)

    def _welcome(self, peer: socket.socket) -> None:
        with contextlib.suppress(OSError):
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
        try:
            peer.send(self._opening)
        except OSError:
            peer.close()
            return
        self._peer = peer
        self._is_asked = False
        self._peer_gone.clear()
        asyncio.get_running_loop().add_reader(peer, self._read)

    def _notice_a_dead_peer(self, peer: socket.socket) -> None:
        """A new uplink may knock before the end of the old one was read."""
        try:
            is_dead = not peer.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            is_dead = False
        except OSError:
            is_dead = True
        if is_dead:
            self._drop_peer("the uplink process ended")

    def _read(self) -> None:
        for _ in range(_FRAMES_PER_READ):
            if self._peer is None:
                return
            try:
                data = self._peer.recv(link.MAX_FRAME_BYTES + 1)
            except BlockingIOError:
                return
            except OSError as error:
                self._drop_peer(f"the uplink process is gone: {error.strerror}")
                return
            if not data:
                self._drop_peer("the uplink process ended")
                return
            try:
                frame = link.decode(data)
            except ParseError as error:
                self._drop_peer(f"the uplink process sent what is no frame: {error}")
                return
            self._take(frame)

    def _take(self, frame: link.Frame) -> None:
        listener = self._listener
        if listener is None:
            return
        match frame:
            case link.Session(session, change):
                self._change_session(session, change)
            case link.Result(session, outcome):
                if session == self._session and self._change.is_up:
                    self._in_flight = max(0, self._in_flight - 1)
                listener.on_outcome(outcome)
            case link.Alive():
                self._is_asked = False
            case link.Hints():
                listener.on_events(_events(frame))
            case link.Down(data, lost):
                listener.on_down(data, lost)
            case link.Hearing(refusal):
                listener.on_hearing(refusal)
            case link.Open() | link.Publish() | link.Leave():
                self._drop_peer("the uplink process sent a frame that only the sentinel sends")
            case _:
                assert_never(frame)

    def _change_session(self, session: int, change: SessionChanged) -> None:
        self._session = session
        self._change = change
        self._in_flight = 0
        if self._listener is not None:
            self._listener.on_session(change)

    def _drop_peer(self, reason: str) -> None:
        peer, self._peer = self._peer, None
        if peer is None:
            return
        asyncio.get_running_loop().remove_reader(peer)
        peer.close()
        self._peer_gone.set()
        was_up = self._change.is_up
        self._change = _DOWN
        self._in_flight = 0
        if self._listener is not None and (was_up or not self._is_closing):
            self._listener.on_session(_DOWN._replace(reason=reason))


def _listen(path: Path, peer_uid: int) -> socket.socket:
    path.unlink(missing_ok=True)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
    try:
        before = os.umask(0o177)
        try:
            listening.bind(str(path))
        finally:
            os.umask(before)
        if peer_uid != os.geteuid():
            os.chown(path, peer_uid, -1)
            # Searchable, not readable: the folder's other sockets have their own modes.
            folder_mode = stat.S_IMODE(path.parent.stat().st_mode)
            path.parent.chmod(folder_mode | stat.S_IXGRP | stat.S_IXOTH)
        listening.listen(2)
    except OSError:
        listening.close()
        raise
    return listening


def _credentials(peer: socket.socket) -> tuple[int, int]:
    """Process and user of the other end, as they were when it connected (unix(7))."""
    raw = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
    pid, uid, _ = _UCRED.unpack(raw)
    return int(pid), int(uid)


def _events(frame: link.Hints) -> tuple[Event, ...]:
    at_s = time.clock_gettime(time.CLOCK_BOOTTIME)
    found: list[Event] = [NameQueried(at_s, HINT_TIER, name, kind) for name, kind in frame.queried]
    found += [
        NameResolved(at_s, HINT_TIER, name, address, ttl_s)
        for name, address, ttl_s in frame.resolved
    ]
    if frame.lost:
        found.append(
            EventsLost(
                at_s, HINT_TIER, EventClass.NETWORK, "link", frame.lost,
                is_exact=False, reason="DNS packets came faster than they were read",
            )
        )  # fmt: skip
    return tuple(found)
