"""`python _sink.py PORT`: takes what is sent and says how much, for containment.py.

It says "ready" once it runs, listens when it reads a line, says "listens", and answers every
further line with the moment at which the last byte of the newest connection came, and how many
there were.
"""

from __future__ import annotations

import select
import socket
import sys
import time


def main(port: int) -> None:
    """Serve until standard input ends."""
    print("ready", flush=True)
    sys.stdin.readline()
    listener = socket.create_server(("", port))
    print("listens", flush=True)
    newest: socket.socket | None = None
    open_ones: list[socket.socket] = []
    last_s, size_bytes = 0.0, 0
    while True:
        ready, _, _ = select.select([sys.stdin, listener, *open_ones], [], [])
        for source in ready:
            if source is listener:
                newest, _ = listener.accept()
                open_ones.append(newest)
                last_s, size_bytes = time.monotonic(), 0
            elif not isinstance(source, socket.socket):
                if not sys.stdin.readline():
                    return
                print(last_s, size_bytes, flush=True)
            else:
                size = _take(source)
                if not size:
                    open_ones.remove(source)
                    source.close()
                elif source is newest:
                    last_s = time.monotonic()
                    size_bytes += size


def _take(source: socket.socket) -> int:
    """How many bytes came; 0 when the other end has gone."""
    try:
        return len(source.recv(1 << 20))
    except OSError:
        return 0


if __name__ == "__main__":
    main(int(sys.argv[1]))
