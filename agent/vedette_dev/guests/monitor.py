"""Asks QEMU's monitor, as a person would at its prompt."""

from __future__ import annotations

import socket
from pathlib import Path

PROMPT = b"(qemu)"
TIMEOUT_S = 10.0


def ask(place: Path, command: str) -> str:
    """Give it a command; returns what it says to that, its prompt included.

    Args:
        place: its socket.
        command: such as "set_link n0 off".

    Raises:
        OSError: it is not there, or does not answer in time.
    """
    with socket.socket(socket.AF_UNIX) as one:
        one.settimeout(TIMEOUT_S)
        one.connect(str(place))
        _read_prompt(one)
        one.sendall(f"{command}\n".encode())
        return _read_prompt(one)


def _read_prompt(one: socket.socket) -> str:
    said = b""
    while not said.rstrip().endswith(PROMPT):
        piece = one.recv(4096)
        if not piece:
            raise ConnectionError("it closed the connection")
        said += piece
    return said.decode("utf-8", "replace")
