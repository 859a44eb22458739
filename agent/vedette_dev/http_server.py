"""A web server for attacks: one body for every question, in a thread of its own."""

from __future__ import annotations

import contextlib
import http.server
import threading

POLL_S = 0.1


def serving(address: str, body: bytes) -> http.server.HTTPServer:
    """A server that answers already; who asked for it shuts it down and closes it."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            with contextlib.suppress(ConnectionError):  # who asked was killed by the agent
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.HTTPServer((address, 0), Handler)
    threading.Thread(
        target=server.serve_forever, kwargs={"poll_interval": POLL_S}, daemon=True
    ).start()
    return server
