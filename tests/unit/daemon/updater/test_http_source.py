"""Servers that break off, dribble, lie about lengths and lead elsewhere."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler

import pytest
from tests.simulators.repository_server import RepositoryServer
from tests.simulators.tuf_repository import Repository

from vedette.daemon.updater.connections import MAX_REDIRECTS, Connections
from vedette.daemon.updater.http_source import TRIES, HttpSource
from vedette.daemon.updater.pace import Pace
from vedette.errors import AbsentError, FetchError
from vedette.ports.release_source import Reader

CONTENT = bytes(range(256)) * 4000
PATH = "firmware/cam/ab.img"
Answer = Callable[[BaseHTTPRequestHandler], None]


class _Bare(Repository):
    """Only files: keys would take longer than all these tests."""

    def __init__(self) -> None:
        self.files = {"timestamp.json": b"{}", "1.root.json": b"{}"}
        self.targets = {PATH: CONTENT}


@pytest.fixture
def server() -> Iterator[RepositoryServer]:
    with RepositoryServer(_Bare()) as running:
        yield running


@pytest.fixture
def source(server: RepositoryServer) -> Iterator[HttpSource]:
    connections = Connections(silence_s=2.0, step_s=0.4)
    yield HttpSource(
        f"{server.url}/metadata/",
        f"{server.url}/targets/",
        connections=connections,
        pace=Pace(),
        sleep=lambda _: None,
    )
    connections.close()


def whole(reader: Reader) -> bytes:
    found, buffer = bytearray(), memoryview(bytearray(100_000))
    while count := reader.readinto(buffer):
        found += buffer[:count]
    return bytes(found)


def always(answer: Answer) -> Callable[[BaseHTTPRequestHandler, str], bool]:
    def act(handler: BaseHTTPRequestHandler, _: str) -> bool:
        answer(handler)
        return True

    return act


def headers(handler: BaseHTTPRequestHandler, status: int, **fields: object) -> None:
    handler.send_response(status)
    for name, value in fields.items():
        handler.send_header(name.replace("_", "-"), str(value))
    handler.end_headers()


def hang_up(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.flush()
    handler.close_connection = True
    handler.connection.shutdown(2)


def test_a_line_that_breaks_is_taken_up_where_it_broke(
    server: RepositoryServer, source: HttpSource
) -> None:
    breaks = iter([200_000, 500_000])

    def cut(handler: BaseHTTPRequestHandler, _: str) -> bool:
        at = next(breaks, None)
        if at is None:
            return False
        start = int(handler.headers["Range"].removeprefix("bytes=").partition("-")[0])
        headers(
            handler,
            206,
            Content_Range=f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}",
            Content_Length=len(CONTENT) - start,
        )
        handler.wfile.write(CONTENT[start:at])
        hang_up(handler)
        return True

    server.answer = cut
    assert whole(source.target(PATH, ((0, len(CONTENT)),))) == CONTENT
    assert [asked for _, asked in server.asked] == [
        f"bytes={start}-{len(CONTENT) - 1}" for start in (0, 200_000, 500_000)
    ]


def test_a_clean_close_before_the_end_is_noticed(
    server: RepositoryServer, source: HttpSource
) -> None:
    """Without a length a close looks like an end; what was asked for is what counts."""

    def short(handler: BaseHTTPRequestHandler) -> None:
        headers(handler, 200, Connection="close")
        handler.wfile.write(CONTENT[:1000])
        handler.close_connection = True

    server.answer = always(short)
    with pytest.raises(FetchError, match="ended at byte 1000"):
        whole(source.target(PATH, ((0, len(CONTENT)),)))


def test_short_metadata_is_noticed(server: RepositoryServer, source: HttpSource) -> None:
    def short(handler: BaseHTTPRequestHandler) -> None:
        headers(handler, 200, Content_Length=1000)
        handler.wfile.write(b"{")
        hang_up(handler)

    server.answer = always(short)
    with pytest.raises(FetchError):
        source.metadata("timestamp.json", 5000)


def test_a_server_that_ignores_ranges_is_read_from_the_start(
    server: RepositoryServer, source: HttpSource
) -> None:
    server.ignores_ranges = True
    assert whole(source.target(PATH, ((900_000, 1000),))) == CONTENT[900_000:901_000]


def test_a_part_that_begins_elsewhere_is_not_taken(
    server: RepositoryServer, source: HttpSource
) -> None:
    def other(handler: BaseHTTPRequestHandler) -> None:
        headers(handler, 206, Content_Range="bytes 7-106/1000", Content_Length=100)
        handler.wfile.write(CONTENT[:100])

    server.answer = always(other)
    with pytest.raises(FetchError, match="from byte 0, got 7"):
        source.target(PATH, ((0, 100),))


def test_more_than_was_asked_for_is_left(server: RepositoryServer, source: HttpSource) -> None:
    def endless(handler: BaseHTTPRequestHandler) -> None:
        headers(handler, 206, Content_Range="bytes 0-99/*", Connection="close")
        try:
            while True:
                handler.wfile.write(CONTENT)
        except OSError:
            handler.close_connection = True

    server.answer = always(endless)
    assert whole(source.target(PATH, ((0, 100),))) == CONTENT[:100]


@pytest.mark.parametrize("edge", [2**31, 2**32, 2**40])
def test_offsets_around_the_edges_of_32_bits_are_right(
    edge: int, server: RepositoryServer, source: HttpSource
) -> None:
    def far(handler: BaseHTTPRequestHandler) -> None:
        headers(handler, 206, Content_Range=f"bytes {edge - 1}-{edge}/{edge + 1}", Content_Length=2)
        handler.wfile.write(b"ab")

    server.answer = always(far)
    assert whole(source.target(PATH, ((edge - 1, 2),))) == b"ab"
    assert server.asked[-1][1] == f"bytes={edge - 1}-{edge}"


@pytest.mark.parametrize("length", [5001, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**63, 10**30])
def test_metadata_that_says_it_is_too_long_is_not_read(
    length: int, server: RepositoryServer, source: HttpSource
) -> None:
    server.answer = always(lambda handler: headers(handler, 200, Content_Length=length))
    with pytest.raises(FetchError, match="at most 5000 bytes"):
        source.metadata("timestamp.json", 5000)


def test_metadata_without_end_is_left(server: RepositoryServer, source: HttpSource) -> None:
    def endless(handler: BaseHTTPRequestHandler) -> None:
        headers(handler, 200, Connection="close")
        try:
            while True:
                handler.wfile.write(b"x" * 1000)
        except OSError:
            handler.close_connection = True

    server.answer = always(endless)
    with pytest.raises(FetchError, match="at most 5000 bytes"):
        source.metadata("timestamp.json", 5000)


@pytest.mark.parametrize(
    "location",
    [
        "file:///etc/passwd",
        "ftp://127.0.0.1/x",
        "gopher:x",
        "",
        "http:///",
        "//[::1",
        "javascript:1",
    ],
)
def test_a_redirect_that_does_not_lead_to_http_is_refused(
    location: str, server: RepositoryServer, source: HttpSource
) -> None:
    server.answer = always(lambda h: headers(h, 302, Location=location, Content_Length=0))
    with pytest.raises(FetchError):
        source.metadata("timestamp.json", 5000)


def test_a_redirect_to_the_same_kind_is_followed(
    server: RepositoryServer, source: HttpSource
) -> None:
    def once(handler: BaseHTTPRequestHandler, path: str) -> bool:
        if path != "/metadata/timestamp.json":
            return False
        headers(handler, 307, Location="/metadata/1.root.json", Content_Length=0)
        return True

    server.answer = once
    assert source.metadata("timestamp.json", 5000) == b"{}"


def test_a_path_is_asked_for_as_it_is_and_never_ends_early(
    server: RepositoryServer, source: HttpSource
) -> None:
    for path in ("a#b", "a?b", "a b", "a%20b", "\u00fc"):
        with pytest.raises(AbsentError):
            source.target(path, ((0, 1),))
    assert [path for path, _ in server.asked] == [
        "/targets/a%23b", "/targets/a%3Fb", "/targets/a%20b", "/targets/a%20b", "/targets/%C3%BC",
    ]  # fmt: skip


def test_redirects_end(server: RepositoryServer, source: HttpSource) -> None:
    server.answer = always(lambda h: headers(h, 301, Location="/again", Content_Length=0))
    with pytest.raises(FetchError, match="redirects"):
        source.metadata("timestamp.json", 5000)
    assert len(server.asked) % (MAX_REDIRECTS + 1) == 0


def test_content_that_would_be_unpacked_is_refused(
    server: RepositoryServer, source: HttpSource
) -> None:
    server.answer = always(lambda h: headers(h, 200, Content_Encoding="gzip", Content_Length=0))
    with pytest.raises(FetchError, match="plain content"):
        source.metadata("timestamp.json", 5000)


@pytest.mark.parametrize(
    ("status", "error"), [(403, AbsentError), (404, AbsentError), (410, AbsentError)]
)
def test_what_a_server_has_not_is_absent_and_asked_for_once(
    status: int, error: type[Exception], server: RepositoryServer, source: HttpSource
) -> None:
    server.answer = always(lambda handler: headers(handler, status, Content_Length=0))
    with pytest.raises(error):
        source.metadata("timestamp.json", 5000)
    with pytest.raises(error):
        source.target(PATH, ((0, 1),))
    assert len(server.asked) == 2


@pytest.mark.parametrize("status", [204, 206, 416, 429, 500, 503])
def test_a_server_in_trouble_is_asked_again_and_then_left(
    status: int, server: RepositoryServer, source: HttpSource
) -> None:
    server.answer = always(lambda handler: headers(handler, status, Content_Length=0))
    with pytest.raises(FetchError):
        whole(source.target(PATH, ((0, 1),)))
    assert len(server.asked) == TRIES


def test_headers_that_dribble_end(server: RepositoryServer, source: HttpSource) -> None:
    over = threading.Event()

    def dribble(handler: BaseHTTPRequestHandler) -> None:
        try:
            handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
            while not over.wait(0.05):
                handler.wfile.write(b"X-More: 1\r\n")
                handler.wfile.flush()
        except OSError:
            handler.close_connection = True

    server.answer = always(dribble)
    try:
        with pytest.raises(FetchError):
            source.metadata("timestamp.json", 5000)
    finally:
        over.set()


def test_the_length_of_a_chunk_that_dribbles_ends(
    server: RepositoryServer, source: HttpSource
) -> None:
    over = threading.Event()

    def dribble(handler: BaseHTTPRequestHandler) -> None:
        headers(handler, 200, Transfer_Encoding="chunked")
        try:
            while not over.wait(0.05):
                handler.wfile.write(b"0")
                handler.wfile.flush()
        except OSError:
            handler.close_connection = True

    server.answer = always(dribble)
    try:
        with pytest.raises(FetchError):
            source.metadata("timestamp.json", 5000)
    finally:
        over.set()


def test_a_server_below_a_trickle_is_left() -> None:
    now = iter(range(0, 10_000, 5))
    pace = Pace(window_s=60, clock=lambda: float(next(now)), sleep=lambda _: None)
    for _ in range(11):
        pace.took(100)
    with pytest.raises(FetchError, match="too slow"):
        pace.took(100)


def test_waiting_that_we_do_ourselves_is_not_the_servers_fault() -> None:
    now = [0.0]
    pace = Pace(
        1000, window_s=60, clock=lambda: now[0], sleep=lambda s: now.__setitem__(0, now[0] + s)
    )
    for _ in range(500):
        pace.took(1000)
    assert 490 < now[0] < 510, "a limit of 1000 bytes a second was kept"


def test_a_limit_makes_pieces_small_enough_to_be_even() -> None:
    assert Pace(80_000).piece_bytes == 10_000
    assert Pace(100).piece_bytes == 1024
    assert Pace(0).piece_bytes == 256 << 10


def test_nobody_listens(source: HttpSource) -> None:
    connections = Connections(silence_s=1, step_s=1)
    nobody = HttpSource(
        "http://127.0.0.1:9/", "http://127.0.0.1:9/",
        connections=connections, pace=Pace(), sleep=lambda _: None,
    )  # fmt: skip
    with pytest.raises(FetchError, match="cannot be fetched"):
        nobody.metadata("timestamp.json", 10)
    connections.close()
