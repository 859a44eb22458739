"""A web server for a folder, on loopback, as a release repository is served.

Rule 1: it answers ranges (RFC 9110 section 14), since a device asks for parts of firmwares.
Rule 2: nothing above the folder is served, whatever a path says.
"""

from __future__ import annotations

import re
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote, urlsplit

from vedette_dev.loopback_server import LoopbackServer, OwnedServer

PIECE_BYTES = 1 << 18

_RANGE = re.compile(r"bytes=(\d{1,18})-(\d{0,18})")


class FolderServer(LoopbackServer):
    """Serves while it is entered.

    Args:
        folder: whose files; it may be replaced meanwhile.

    Attributes:
        sent_bytes: of bodies, so far.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(_Handler)
        self.folder = folder
        self.sent_bytes = 0

    def find(self, path: str) -> Path | None:
        """The file of a path, if there is one below the folder; a name may be quoted or plain."""
        plain = urlsplit(path).path.lstrip("/")
        base = self.folder.resolve()
        for name in (plain, unquote(plain)):
            found = (base / name).resolve()
            if found.is_relative_to(base) and found.is_file():
                return found
        return None


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        file = self._owner().find(self.path)
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
            self._owner().sent_bytes += len(piece)  # first: who has read it all may look at once
            self.wfile.write(piece)
            left -= len(piece)

    def _owner(self) -> FolderServer:
        server = self.server
        if not isinstance(server, OwnedServer) or not isinstance(server.owner, FolderServer):
            raise TypeError("expected the server of a folder")
        return server.owner

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (its name there)
        """Silent."""
