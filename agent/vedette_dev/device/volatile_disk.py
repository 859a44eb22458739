"""A disk with a volatile write cache for a device that runs: a network block device for QEMU.

Rule 1: what a flush ended is in the file SAFE; what came after is told as done, and gone when the
power goes, but for what chance keeps of it (device/cut_disk.py: survivors).
Rule 2: the power goes at a write that `cut_when` chooses: it is not told as done, nothing is
answered from then on, and the device is ended in that moment.
Rule 3: only what QEMU asks for is spoken of the protocol; anything else ends the connection.
Protocol: NBD, fixed newstyle with simple replies (github.com/NetworkBlockDevice/nbd, doc/proto.md).
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import socket
import struct
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from vedette.errors import ParseError
from vedette_dev.device.cut_disk import survivors
from vedette_dev.images.build import copy

CACHE_BYTES = 64 << 20
"""What a disk's cache may hold; the oldest of it goes to the disk by itself."""
SAFE, SEEN = "safe.img", "seen.img"
_MAGIC, _OPTION_MAGIC, _REPLY_MAGIC = b"NBDMAGIC", b"IHAVEOPT", 0x3E889045565A9
_FIXED_NEWSTYLE, _NO_ZEROES = 1, 2
_OPTION = struct.Struct(">8sII")
_OPTION_REPLY = struct.Struct(">QIII")
_EXPORT_NAME, _ABORT, _GO = 1, 2, 7
_ACK, _INFO, _UNSUPPORTED = 1, 3, 0x80000001
_EXPORT = struct.Struct(">HQH")
_REQUEST = struct.Struct(">IHHQQI")
_REPLY = struct.Struct(">IIQ")
_REQUEST_MAGIC, _SIMPLE_REPLY_MAGIC = 0x25609513, 0x67446698
_READ, _WRITE, _DISCONNECT, _FLUSH = 0, 1, 2, 3
_FUA = 1
_HAS_FLAGS, _SEND_FLUSH, _SEND_FUA = 1, 4, 8
_EINVAL = 22
_MAX_BYTES = 32 << 20
_JOIN_S = 5.0


class Unsafe(NamedTuple):
    """A write that was told as done and is not safe."""

    offset: int
    data: bytes


class Loss(NamedTuple):
    """What a device lost of what it had been told was done.

    Attributes:
        writes: how many, torn ones among them.
        size_bytes: of these.
    """

    writes: int
    size_bytes: int


class VolatileDisk:
    """A context manager for a disk that is served from `power_on` to the cut, again and again.

    Args:
        disk: what it begins with; it is copied.
        folder: for its files.

    Attributes:
        url: for QEMU, while it is served.
        is_cut: set when the power went.
        safe: the disk as the last cut left it.
    """

    def __init__(self, disk: Path, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.safe, self._seen = folder / SAFE, folder / SEEN
        copy(disk, self.safe)
        self.is_cut = threading.Event()
        self.url = ""
        self._cut_when: Callable[[int, int], bool] = _never
        self._on_cut: Callable[[], None] = lambda: None
        self._served = contextlib.ExitStack()
        self._files: list[int] = []
        self._connection: socket.socket | None = None
        self._unsafe: list[Unsafe] = []
        self._cached = 0
        self._lock = threading.Lock()
        self._ends = threading.Event()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._served.close()

    def power_on(self, on_cut: Callable[[], None]) -> None:
        """Serve what is safe, and forget the rest; a server from before ends.

        Args:
            on_cut: ends the device; called in the server's thread, in the moment of the cut.
        """
        self._served.close()
        copy(self.safe, self._seen)
        self.is_cut.clear()
        self._ends.clear()
        self._unsafe.clear()
        self._cached, self._on_cut = 0, on_cut
        self._cut_when = _never
        for path in (self.safe, self._seen):
            self._files.append(os.open(path, os.O_RDWR | os.O_CLOEXEC))
            self._served.callback(os.close, self._files[-1])
        self._served.callback(self._files.clear)
        # Sockets have short names (unix(7): 107 bytes), folders have not.
        place = Path(tempfile.mkdtemp(prefix="vedette-disk-"))
        self._served.callback(shutil.rmtree, place, ignore_errors=True)
        self.url = f"nbd:unix:{place / 'disk'}"
        listener = socket.socket(socket.AF_UNIX)
        self._served.callback(listener.close)
        listener.bind(str(place / "disk"))
        listener.listen(1)
        server = threading.Thread(
            target=self._serve, args=(listener,), name="volatile-disk", daemon=True
        )
        self._served.callback(server.join, _JOIN_S)
        self._served.callback(self._hang_up, listener)
        server.start()

    def _hang_up(self, listener: socket.socket) -> None:
        self._ends.set()
        for one in (listener, self._connection):
            if one is not None:
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)  # wakes who waits for it

    def cut_when(self, wanted: Callable[[int, int], bool]) -> None:
        """Have the power go at the first write for which this says so.

        Args:
            wanted: gets the write's offset and size, in the server's thread.
        """
        with self._lock:
            self._cut_when = wanted

    def cut_now(self) -> None:
        """The power goes, whatever the device does."""
        with self._lock:
            self._cut()

    def _cut(self) -> None:
        if not self.is_cut.is_set():
            self.is_cut.set()
            self._on_cut()

    def lose(self, chance: random.Random) -> Loss:
        """Once the power went: `safe` becomes the disk as the cut left it.

        Args:
            chance: which of the unsafe writes are on it, and where the last one is torn.
        """
        with self._lock:
            sizes = [len(one.data) for one in self._unsafe]
            kept, torn_at = survivors(sizes, chance)
            for number in kept:
                offset, data = self._unsafe[number]
                is_torn = number == kept[-1] and torn_at >= 0
                os.pwrite(self._files[0], data[:torn_at] if is_torn else data, offset)
            gone = set(range(len(sizes))) - set(kept)
            size = sum(sizes[number] for number in gone)
            if torn_at >= 0 and torn_at < sizes[kept[-1]]:
                gone.add(kept[-1])
                size += sizes[kept[-1]] - torn_at
            self._unsafe.clear()
            return Loss(len(gone), size)

    def read(self, offset: int, size: int) -> bytes:
        """What is safe there."""
        return os.pread(self._files[0], size, offset)

    def written(self, _part: object) -> object:
        """Nothing is known to be as it was: equal to no other."""
        return object()

    def _serve(self, listener: socket.socket) -> None:
        while not self._ends.is_set():
            try:
                self._connection, _ = listener.accept()
                with self._connection:
                    _greet(self._connection, self.safe.stat().st_size)
                    while self._answer(self._connection):
                        pass
            except (OSError, ParseError):
                continue  # QEMU was ended, as devices are; its next start connects again

    def _answer(self, one: socket.socket) -> bool:
        """Answer one request; returns whether there may be another."""
        magic, flags, kind, handle, offset, size = _REQUEST.unpack(_receive(one, _REQUEST.size))
        if magic != _REQUEST_MAGIC or size > _MAX_BYTES:
            raise ParseError(f"NBD: expected a request of at most {_MAX_BYTES} bytes, got {size}")
        data = _receive(one, size) if kind == _WRITE else b""
        if kind == _DISCONNECT:
            return False
        with self._lock:
            if kind == _WRITE and self._cut_when(offset, size):
                self._cut()
            if self.is_cut.is_set():
                return True  # the device hears nothing more
            error, found = self._do(kind, offset, size, data, is_fua=bool(flags & _FUA))
        one.sendall(_REPLY.pack(_SIMPLE_REPLY_MAGIC, error, handle) + found)
        return True

    def _do(
        self, kind: int, offset: int, size: int, data: bytes, *, is_fua: bool
    ) -> tuple[int, bytes]:
        if kind == _READ:
            return 0, os.pread(self._files[1], size, offset)
        if kind == _FLUSH:
            self._make_safe(len(self._unsafe))
            return 0, b""
        if kind != _WRITE:
            return _EINVAL, b""
        os.pwrite(self._files[1], data, offset)
        self._unsafe.append(Unsafe(offset, data))
        self._cached += size
        while self._cached > CACHE_BYTES:
            self._make_safe(1)
        if is_fua:  # what it overwrites must not come back: all before it goes first
            self._make_safe(len(self._unsafe))
        return 0, b""

    def _make_safe(self, count: int) -> None:
        for offset, data in self._unsafe[:count]:
            os.pwrite(self._files[0], data, offset)
            self._cached -= len(data)
        del self._unsafe[:count]


def _never(_offset: int, _size: int) -> bool:
    return False


def _greet(one: socket.socket, size: int) -> None:
    """Agree on the one export there is.

    Raises:
        ParseError: what comes is not the protocol.
    """
    one.sendall(_MAGIC + _OPTION_MAGIC + struct.pack(">H", _FIXED_NEWSTYLE | _NO_ZEROES))
    _receive(one, 4)
    flags = _HAS_FLAGS | _SEND_FLUSH | _SEND_FUA
    while True:
        magic, option, length = _OPTION.unpack(_receive(one, _OPTION.size))
        if magic != _OPTION_MAGIC or length > _MAX_BYTES:
            raise ParseError(f"NBD: expected an option, got {magic!a} and {length} bytes")
        _receive(one, length)
        if option == _EXPORT_NAME:
            one.sendall(struct.pack(">QH", size, flags))
            return
        if option == _ABORT:
            raise ParseError("NBD: the client left")
        if option == _GO:
            _reply(one, option, _INFO, _EXPORT.pack(0, size, flags))
            _reply(one, option, _ACK, b"")
            return
        _reply(one, option, _UNSUPPORTED, b"")


def _reply(one: socket.socket, option: int, kind: int, data: bytes) -> None:
    one.sendall(_OPTION_REPLY.pack(_REPLY_MAGIC, option, kind, len(data)) + data)


def _receive(one: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        piece = one.recv(min(size - len(data), 1 << 20))
        if not piece:
            raise ParseError(f"NBD: expected {size} bytes, the client left after {len(data)}")
        data += piece
    return bytes(data)
