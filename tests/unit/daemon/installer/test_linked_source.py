"""An updater that lies: the installer counts, and a broken link stays broken."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence

import pytest

from vedette.codec.install_link import Absent, Data, End, Failed, Frame, Leave, encode
from vedette.daemon.frame_stream import FrameStream
from vedette.daemon.installer.linked_source import LinkedSource, TargetImage
from vedette.errors import AbsentError, FetchError
from vedette.ports.image_source import Run

Link = tuple[LinkedSource, socket.socket]


@pytest.fixture
def link() -> Iterator[Link]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    yield LinkedSource(ours, silence_s=0.2), theirs
    ours.close()
    theirs.close()


def say(theirs: socket.socket, *frames: Frame) -> None:
    theirs.sendall(b"".join(encode(frame) for frame in frames))


def data(content: bytes) -> Data:
    return Data(memoryview(content))


LIES: dict[str, tuple[Sequence[Frame], str]] = {
    "too little": ([data(b"12345"), End()], "5 more bytes"),
    "nothing": ([End()], "10 more bytes"),
    "too much": ([data(b"x" * 11), End()], "got more"),
    "a word that is no answer": ([data(b"12"), Leave()], "expected an answer"),
    "it breaks off": ([data(b"12"), Failed("cut")], "cut"),
}


@pytest.mark.parametrize(("frames", "words"), LIES.values(), ids=LIES.keys())
def test_bytes_are_counted(frames: Sequence[Frame], words: str, link: Link) -> None:
    source, theirs = link
    say(theirs, *frames)
    with pytest.raises(FetchError, match=words):
        _read(source, 10)


def test_metadata_without_end_is_left(link: Link) -> None:
    source, theirs = link
    say(theirs, *(data(b"x" * 1000) for _ in range(6)))
    with pytest.raises(FetchError, match="at most 5000"):
        source.metadata("timestamp.json", 5000)


def test_absent_and_failed_are_told_apart(link: Link) -> None:
    source, theirs = link
    say(theirs, Absent("404"), Failed("500"))
    with pytest.raises(AbsentError, match="404"):
        source.metadata("2.root.json", 10)
    with pytest.raises(FetchError, match="500"):
        source.metadata("timestamp.json", 10)


@pytest.mark.parametrize(
    "garbage", [b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x01\0\0\0?", b"\x05\0\0\0D"]
)
def test_garbage_breaks_the_link_for_good(garbage: bytes, link: Link) -> None:
    source, theirs = link
    theirs.sendall(garbage)
    theirs.shutdown(socket.SHUT_WR)
    for _ in range(2):
        with pytest.raises(FetchError, match=r"broke off|ended"):
            source.metadata("timestamp.json", 10)


def test_a_path_that_nobody_can_ask_for_is_told(link: Link) -> None:
    with pytest.raises(FetchError, match="cannot be asked for"):
        link[0].target("/absolute", ((0, 1),))


def test_silence_ends(link: Link) -> None:
    source, _ = link
    with pytest.raises(FetchError, match="silent"):
        source.metadata("timestamp.json", 10)


def test_an_updater_that_is_gone_is_told(link: Link) -> None:
    source, theirs = link
    theirs.close()
    with pytest.raises(FetchError):
        source.metadata("timestamp.json", 10)
    source.leave()


def test_an_image_is_asked_for_in_runs(link: Link) -> None:
    source, theirs = link
    say(theirs, data(b"abc"), End())
    buffer = memoryview(bytearray(10))
    reader = TargetImage(source, "firmware/cam/x").read([Run(0, 1), Run(2**32, 2)])
    assert reader.readinto(buffer) == 3
    asked = FrameStream(theirs).receive()
    assert asked == ("firmware/cam/x", ((0, 1), (2**32, 2)))


def _read(source: LinkedSource, count: int) -> None:
    reader = source.target("a", ((0, count),))
    buffer = memoryview(bytearray(100))
    while reader.readinto(buffer):
        pass
