"""A web server for a folder, on loopback, as a release repository is served.

Rule 1: it answers ranges (RFC 9110 section 14), since a device asks for parts of firmwares.
Rule 2: nothing above the folder is served, whatever a path says.
"""

from __future__ import annotations

import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self
from urllib.parse import unquote, urlsplit

PIECE_BYTES = 1 << 18
POLL_S = 0.05

_RANGE = re.compile(r"bytes=(\d{1,18})-(\d{0,18})")


class FolderServer:
    """Serves while it is entered.

    Args:
        folder: whose files; it may be replaced meanwhile.

    Attributes:
        port: on 127.0.0.1.
        sent_bytes: of bodies, so far.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.sent_bytes = 0
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.owner = self
        self.port = int(self._server.server_port)
        self._thread = threading.Thread(
            target=lambda: self._server.serve_forever(poll_interval=POLL_S), daemon=True
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

    def find(self, path: str) -> Path | None:
        """The file of a path, if there is one below the folder; a name may be quoted or plain."""
        plain = urlsplit(path).path.lstrip("/")
        base = self.folder.resolve()
        for name in (plain, unquote(plain)):
            found = (base / name).resolve()
            if found.is_relative_to(base) and found.is_file():
                return found
        return None


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    owner: FolderServer

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hung up is what power cuts do."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        file = self.server.owner.find(self.path)
        if file is None:
            self.send_error(404)
            return
        size = file.stat().st_size
        asked = _RANGE.fullmatch(self.headers.get("Range", ""))
        start = int(asked[1]) if asked else 0
        stop = min(int(asked[2]) + 1, size) if asked and asked[2] else size
        if asked and start >= stop:
            self.send_error(416)
            return
        self.send_response(206 if asked else 200)
        if asked:
            self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{size}")
        self.send_header("Content-Length", str(stop - start))
        self.end_headers()
        with file.open("rb") as stream:
            self._send(stream, start, stop)

    def _send(self, stream: BinaryIO, start: int, stop: int) -> None:
        stream.seek(start)
        left = stop - start
        while left and (piece := stream.read(min(PIECE_BYTES, left))):
            self.server.owner.sent_bytes += len(
                piece
            )  # first: who has read it all may look at once
            self.wfile.write(piece)
            left -= len(piece)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (its name there)
        """Silent."""
