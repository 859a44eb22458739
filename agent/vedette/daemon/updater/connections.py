"""HTTP requests that end: each step of a connection has a limit, and redirects lead only to HTTP.

Rule 1: connecting with its handshake, headers, and each read are bounded in time, whatever trickles
in; headers are bounded in size by http.client.
Rule 2: at most five redirects, from http or https to https, or from http to http; never to a file.
Rule 3: no content coding: what arrives is what is counted.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from http.client import HTTPException
from typing import Any, Final
from urllib.parse import urljoin, urlsplit

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError

import vedette
from vedette.daemon.updater.watchdog import Watchdog
from vedette.errors import AbsentError, FetchError

SCHEMES: Final = ("http", "https")
REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})  # RFC 9110 15.4
ABSENT: Final = frozenset({403, 404, 410})
MAX_REDIRECTS: Final = 5
HTTP_OK: Final = 200
HTTP_PARTIAL: Final = 206

SILENCE_S: Final = 30.0
"""Without any byte."""
STEP_S: Final = 60.0
"""For one step, however many bytes trickle in."""

LINE_ERRORS: Final = (HTTPError, HTTPException, OSError, ValueError)
"""What urllib3 and http.client raise for a line, a server or an address that is not good."""


class Connections:
    """To all servers of one session; one request at a time.

    Args:
        ca_file: certificates to believe instead of the system's; "" for the system's.
        silence_s, step_s: limits, in seconds.
    """

    def __init__(
        self, *, ca_file: str = "", silence_s: float = SILENCE_S, step_s: float = STEP_S
    ) -> None:
        self._step_s, self._ca_file = step_s, ca_file
        self._watchdog = Watchdog(min(0.5, step_s / 4))
        self._pools = urllib3.PoolManager(
            num_pools=4,
            maxsize=1,
            retries=False,
            timeout=urllib3.Timeout(connect=silence_s, read=silence_s),
        )
        self._pools.pool_classes_by_scheme = _watched_pools(self._watchdog, step_s)

    def get(self, url: str, headers: Mapping[str, str]) -> Answer:
        """Ask for a URL, and follow where it leads.

        Raises:
            AbsentError: there is nothing.
            FetchError: it cannot be had now, or leads where we don't go.
        """
        for _ in range(MAX_REDIRECTS + 1):
            response = self._ask(url, headers)
            if response.status not in REDIRECTS:
                return self._checked(response, url)
            response.close()
            url = _next_url(url, response.headers.get("Location", ""))
        raise FetchError(f"{url[:200]!a}: expected at most {MAX_REDIRECTS} redirects, got more")

    def close(self) -> None:
        """End all connections."""
        self._watchdog.close()
        self._pools.clear()

    def _ask(self, url: str, headers: Mapping[str, str]) -> urllib3.BaseHTTPResponse:
        scheme = urlsplit(url).scheme
        if scheme not in SCHEMES:
            raise FetchError(f"expected a URL of http or https, got {url[:200]!a}")
        if scheme == "https" and "ssl_context" not in self._pools.connection_pool_kw:
            self._pools.connection_pool_kw["ssl_context"] = _tls(self._ca_file)
        fields = {
            "User-Agent": f"vedette/{vedette.__version__}",
            "Accept-Encoding": "identity",
            **headers,
        }
        try:
            return self._pools.request(
                "GET",
                url,
                headers=fields,
                redirect=False,
                preload_content=False,
                decode_content=False,
            )
        except LINE_ERRORS as error:
            raise FetchError(f"{url[:200]!a}: cannot be fetched: {error}") from error

    def _checked(self, response: urllib3.BaseHTTPResponse, url: str) -> Answer:
        if response.status in {HTTP_OK, HTTP_PARTIAL}:
            coding = response.headers.get("Content-Encoding", "identity")
            if coding.lower() == "identity":
                return Answer(response, url, self._watchdog, self._step_s)
            response.close()
            raise FetchError(f"{url[:200]!a}: expected plain content, got {coding[:40]!a}")
        response.close()
        if response.status in ABSENT:
            raise AbsentError(f"{url[:200]!a}: not there (HTTP status {response.status})")
        raise FetchError(f"{url[:200]!a}: expected HTTP status 200, got {response.status}")


class Answer:
    """The content of one response, piece by piece.

    Attributes:
        is_partial: it is a part, as asked for (206).
        length: bytes to come, as the server says; None where it does not.
        start: of a part: the offset that it begins at; 0 else.
    """

    def __init__(
        self, response: urllib3.BaseHTTPResponse, url: str, watchdog: Watchdog, step_s: float
    ) -> None:
        self._response, self._url = response, url
        self._watchdog, self._step_s = watchdog, step_s
        self.is_partial = response.status == HTTP_PARTIAL
        self.length = _length(response.headers.get("Content-Length"))
        self.start = _start(response.headers.get("Content-Range", "")) if self.is_partial else 0
        self._left = self.length

    def read(self, most: int) -> bytes:
        """What has come, at most so many bytes; waits for at least one. b"" at the end.

        Raises:
            FetchError: the line broke, or the server is silent.
        """
        try:
            with self._watchdog.limit(self._step_s, self._response.shutdown):
                data = self._response.read1(most)
        except LINE_ERRORS as error:
            self.close()
            raise FetchError(f"{self._url[:200]!a}: broke off: {error}") from error
        if self._left is not None:
            self._left -= len(data)
        return data

    def close(self) -> None:
        """No more of it; the connection is not used again."""
        self._response.close()

    def done(self) -> None:
        """Enough of it was read; at its end the connection may be used again."""
        if self._left == 0:
            self._response.release_conn()
        else:
            self._response.close()


def _next_url(url: str, location: str) -> str:
    try:
        found = urljoin(url, location)
        scheme = urlsplit(found).scheme
    except ValueError as error:
        raise FetchError(f"{url[:200]!a}: redirected to {location[:200]!a}: {error}") from error
    if not location or scheme not in SCHEMES:
        raise FetchError(
            f"{url[:200]!a}: expected a redirect to http or https, got {found[:200]!a}"
        )
    if scheme == "http" and urlsplit(url).scheme == "https":
        raise FetchError(f"{url[:200]!a}: redirected from https to http: refused")
    return found


def _length(text: str | None) -> int | None:
    return int(text) if text is not None and text.isascii() and text.isdecimal() else None


def _start(content_range: str) -> int:
    """Where a part begins: "bytes 500-999/8000" (RFC 9110 14.4); -1 where it does not say."""
    unit, _, rest = content_range.partition(" ")
    first = rest.partition("-")[0]
    if unit != "bytes" or not (first.isascii() and first.isdecimal()):
        return -1
    return int(first)


def _tls(ca_file: str) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=ca_file or None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _watched_pools(watchdog: Watchdog, step_s: float) -> dict[str, Any]:
    """Pools whose connections are watched while they connect and wait for headers."""

    class Plain(HTTPConnection):
        def connect(self) -> None:
            with watchdog.limit(step_s, lambda: _end(self)):
                super().connect()

        def getresponse(self) -> Any:
            with watchdog.limit(step_s, lambda: _end(self)):
                return super().getresponse()

    class Secure(HTTPSConnection):
        def connect(self) -> None:
            with watchdog.limit(step_s, lambda: _end(self)):
                super().connect()

        def getresponse(self) -> Any:
            with watchdog.limit(step_s, lambda: _end(self)):
                return super().getresponse()

    class PlainPool(urllib3.HTTPConnectionPool):
        ConnectionCls = Plain

    class SecurePool(urllib3.HTTPSConnectionPool):
        ConnectionCls = Secure

    return {"http": PlainPool, "https": SecurePool}


def _end(connection: HTTPConnection) -> None:
    if connection.sock is not None:
        connection.sock.shutdown(2)
