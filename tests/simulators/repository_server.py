"""A web server for a simulated repository, on loopback, with the faults that servers have."""

from __future__ import annotations

from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from typing import ClassVar
from urllib.parse import unquote

from tests.simulators.tuf_repository import Repository

from vedette_dev.loopback_server import LoopbackServer, OwnedServer


class RepositoryServer(LoopbackServer):
    """Serves metadata below /metadata/ and targets below /targets/ while it is entered.

    Attributes:
        asked: paths with their Range header ("" for none), in their order.
        answer: called first with the handler and the path; returns True where it has answered.
        ignores_ranges: sends whole files whatever was asked.
    """

    def __init__(self, repository: Repository) -> None:
        super().__init__(_Handler)
        self.files, self.targets = repository.files, repository.targets
        self.asked: list[tuple[str, str]] = []
        self.answer: Callable[[BaseHTTPRequestHandler, str], bool] | None = None
        self.ignores_ranges = False

    @property
    def url(self) -> str:
        """Of the repository."""
        return f"http://127.0.0.1:{self.port}"

    def paths(self) -> list[str]:
        """What was asked for."""
        return [path for path, _ in self.asked]

    def find(self, path: str) -> bytes | None:
        """The content of a path."""
        folder, _, name = path.lstrip("/").partition("/")
        return {"metadata": self.files, "targets": self.targets}.get(folder, {}).get(name)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 64 << 10
    disable_nagle_algorithm: ClassVar[bool] = True

    def do_GET(self) -> None:
        server = self.server
        if not isinstance(server, OwnedServer) or not isinstance(server.owner, RepositoryServer):
            raise TypeError("expected our server")
        owner, asked = server.owner, self.headers.get("Range", "")
        owner.asked.append((self.path, asked))
        if owner.answer is not None and owner.answer(self, self.path):
            return
        data = owner.find(self.path)
        if data is None:  # a role whose name is quoted in its file name, or plain on the disk
            data = owner.find(unquote(self.path))
        if data is None:
            self.send_error(404)
            return
        if asked and not owner.ignores_ranges:
            self._send_part(data, asked)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _send_part(self, data: bytes, asked: str) -> None:
        first, _, last = asked.removeprefix("bytes=").partition("-")
        start, stop = int(first), min(int(last) + 1, len(data))
        if start >= len(data):
            self.send_error(416)
            return
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{len(data)}")
        self.send_header("Content-Length", str(stop - start))
        self.end_headers()
        self.wfile.write(data[start:stop])

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (its name there)
        """Silent."""
