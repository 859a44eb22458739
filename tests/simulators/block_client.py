"""A client of network block devices, as QEMU is one: it asks for the export and sends requests."""

from __future__ import annotations

import socket
import struct
from types import TracebackType
from typing import Self

_READ, _WRITE, _DISCONNECT, _FLUSH = 0, 1, 2, 3
_STRUCTURED, _GO = 8, 7
_INFO, _ACK, _UNSUPPORTED = 3, 1, 0x80000001


class BlockClient:
    """A context manager; every reply is checked against what the protocol asks for.

    Attributes:
        size_bytes: of the disk.
    """

    def __init__(self, url: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(10.0)
        self._socket.connect(url.removeprefix("nbd:unix:"))
        assert self.receive(16) == b"NBDMAGICIHAVEOPT"
        assert self.receive(2) == struct.pack(">H", 3)
        self._socket.sendall(struct.pack(">I", 3))
        assert self._ask(_STRUCTURED, b"") == [(_UNSUPPORTED, b"")]
        (kind, export), (last, _) = self._ask(_GO, struct.pack(">IH", 0, 0))
        assert (kind, last) == (_INFO, _ACK)
        _, self.size_bytes, self.flags = struct.unpack(">HQH", export)
        self._handle = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._socket.close()

    def write(self, offset: int, data: bytes, *, is_fua: bool = False) -> None:
        """Write, and wait until it is told as done."""
        self.send(_WRITE, offset, len(data), data, flags=int(is_fua))
        assert self.reply() == 0

    def read(self, offset: int, size: int) -> bytes:
        """What the device sees there."""
        self.send(_READ, offset, size)
        assert self.reply() == 0
        return self.receive(size)

    def flush(self) -> None:
        """Make safe what was told as done."""
        self.send(_FLUSH, 0, 0)
        assert self.reply() == 0

    def leave(self) -> None:
        """End in good order, as a QEMU that powers off does."""
        self.send(_DISCONNECT, 0, 0)
        self._socket.close()

    def send(self, kind: int, offset: int, size: int, data: bytes = b"", *, flags: int = 0) -> None:
        """Send a request, whatever it is."""
        self._handle += 1
        head = struct.pack(">IHHQQI", 0x25609513, flags, kind, self._handle, offset, size)
        self._socket.sendall(head + data)

    def reply(self) -> int:
        """The error of the next reply."""
        magic, error, handle = struct.unpack(">IIQ", self.receive(16))
        assert (magic, handle) == (0x67446698, self._handle)
        return int(error)

    def is_ended(self) -> bool:
        """Whether the server has closed the connection."""
        return self._socket.recv(1) == b""

    def _ask(self, option: int, data: bytes) -> list[tuple[int, bytes]]:
        self._socket.sendall(b"IHAVEOPT" + struct.pack(">II", option, len(data)) + data)
        found = []
        while True:
            magic, same, kind, size = struct.unpack(">QIII", self.receive(20))
            assert (magic, same) == (0x3E889045565A9, option)
            found.append((kind, self.receive(size)))
            if kind != _INFO:
                return found

    def receive(self, size: int) -> bytes:
        """Exactly so many bytes."""
        data = b""
        while len(data) < size:
            piece = self._socket.recv(size - len(data))
            assert piece, f"the server left after {len(data)} of {size} bytes"
            data += piece
        return data
