"""Makes one connection or listener on loopback: what a network sensor must see of itself.

Run as `python -I -m vedette.sensors._prober udp|tcp|listen ADDRESS PORT`, because the sentinel may
not open internet sockets. Standard library only; the exit status is 0 or the errno of what failed.

Rule 1: it drops root's ids first, needs no privilege and stays below its alarm's seconds.
Rule 2: what it sends reaches this host only.
"""

from __future__ import annotations

import os
import signal
import socket
import sys

LIFETIME_S = 20
"""Longer than any proof waits for what it makes; whoever started it ends it."""
NOBODY = 65534


def main(kind: str, address: str, port: int) -> int:
    """Make the connection; returns an errno, 0 for success."""
    signal.alarm(LIFETIME_S)
    try:
        drop_privileges()
        if kind == "udp":
            send_datagram(address, port)
        elif kind == "tcp":
            connect_to_itself(address, port)
        else:
            listen(address, port)
    except OSError as error:
        return error.errno or 1
    return 0


def drop_privileges() -> None:
    """Become nobody where that is allowed; where it is not, there is little to drop."""
    try:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    except PermissionError:
        return


def send_datagram(address: str, port: int) -> None:
    """One byte that nobody awaits."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"\0", (address, port))


def connect_to_itself(address: str, port: int) -> None:
    """A connection that its client closes first: TIME_WAIT keeps it in sight for a minute."""
    with socket.create_server((address, port)) as server:
        # socket.create_connection would load a codec, from files that nobody may not read.
        client = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        client.connect((address, port))
        accepted, _ = server.accept()
        client.close()
        accepted.recv(1)
        accepted.close()


def listen(address: str, port: int) -> None:
    """Listen, say so by one byte on standard output, and stay until ended."""
    with socket.create_server((address, port)):
        os.write(1, b"\n")
        signal.pause()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
