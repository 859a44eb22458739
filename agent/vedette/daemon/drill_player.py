"""Plays one drill: `python -I -m vedette.daemon.drill_player WORD ADDRESS FOLDER`.

Harmless attacks on ourselves, one for each class of events; the word, which stands in the command
line, or the address is in all of them. What it does stays until it is ended, since some sources
only look every few seconds.

Rule 1: it touches nothing but one empty file of its own, one address of loopback and the log.
Rule 2: it says on standard output what this host does not allow, one `category<TAB>reason` a line,
and then "played"; it ends at SIGTERM, or after LIFETIME_S.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import struct
import sys
from collections.abc import Callable
from types import FrameType

LIFETIME_S = 60
PORT = 61619
"""Ours, within the ephemeral ports of no system we know (ip_local_port_range ends at 60999)."""
PLAYED = "played"

_PRIORITY = 8 * 1 + 7  # RFC 3164 4.1.1: user, debug
_DNS_PORT = 53
_DEV_LOG = "/dev/log"


class _EndedError(Exception):
    """Somebody wants it to end."""


class Player:
    """What was played and is to be taken away."""

    def __init__(self, word: str, address: str, folder: str) -> None:
        self._word, self._address = word, address
        self._file = f"{folder}/{word}" if folder else ""
        self._taken = contextlib.ExitStack()

    def play(self) -> None:
        """All of it; says what cannot be played."""
        steps: tuple[tuple[str, Callable[[], None]], ...] = (
            ("kernel_activity", self._set_group),
            ("file_event", self._make_file),
            ("network_connection", self._connect),
            ("service", self._log),
            ("dns_query", self._ask_name),
        )
        for name, act in steps:
            try:
                act()
            except OSError as error:
                _say(f"{name}\t{error.strerror or error}")
        _say(PLAYED)

    def close(self) -> None:
        """Leave nothing behind."""
        self._taken.close()

    def _set_group(self) -> None:
        """A guarded call that changes nothing, and that no rule takes for becoming root."""
        group, effective, _ = os.getresgid()
        os.setresgid(group, effective, -1)

    def _make_file(self) -> None:
        if not self._file:
            raise OSError(0, "no watched folder is one that everybody may write to")
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(self._file, flags, 0o600)
        self._taken.callback(os.unlink, self._file)
        os.close(descriptor)

    def _connect(self) -> None:
        """A listener and a connection to it, both of ours."""
        server = self._taken.enter_context(socket.create_server((self._address, PORT)))
        client = self._taken.enter_context(socket.socket())
        client.settimeout(2.0)
        client.connect((self._address, PORT))
        accepted, _ = server.accept()
        self._taken.callback(accepted.close)

    def _log(self) -> None:
        line = f"<{_PRIORITY}>vedette[{os.getpid()}]: {self._word}"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)
            sender.sendto(line.encode("ascii"), _DEV_LOG)

    def _ask_name(self) -> None:
        """A question that nobody answers: the name is reserved for this (RFC 6761 6.4)."""
        labels = b"".join(bytes([len(x)]) + x.encode() for x in (self._word, "invalid"))
        question = struct.pack(">HHHHHH", 1, 0x0100, 1, 0, 0, 0) + labels + b"\0\0\1\0\1"
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(question, (self._address, _DNS_PORT))


def main(word: str, address: str, folder: str) -> int:
    """Play, and stay until it is ended."""
    signal.signal(signal.SIGTERM, _end)
    signal.signal(signal.SIGALRM, _end)
    signal.alarm(LIFETIME_S)
    player = Player(word, address, folder)
    try:
        player.play()
        while True:
            signal.pause()
    except _EndedError:
        return 0
    finally:
        player.close()


def _end(_number: int, _frame: FrameType | None) -> None:
    raise _EndedError


def _say(line: str) -> None:
    os.write(1, f"{line}\n".encode("utf-8", "replace"))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:4]))
