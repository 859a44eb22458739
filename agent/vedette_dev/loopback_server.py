"""A web server of ours on 127.0.0.1, running in threads while it is entered."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

POLL_S = 0.02
"""How soon it ends when it is left."""


class LoopbackServer:
    """Serves by a handler, whose `server.owner` is this.

    Attributes:
        port: drawn by the kernel; it is held from the making on.
    """

    def __init__(self, handler: type[BaseHTTPRequestHandler]) -> None:
        self._server = OwnedServer(("127.0.0.1", 0), handler)
        self._server.owner = self
        self.port = int(self._server.server_port)
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": POLL_S}, daemon=True
        )

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class OwnedServer(ThreadingHTTPServer):
    """What a handler sees of it."""

    daemon_threads = True
    owner: LoopbackServer

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hung up is what devices, and tests, do."""
