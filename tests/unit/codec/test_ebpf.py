"""Records of our eBPF programs: whole, cut, with a tail, and any bytes at all."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette.codec import ebpf
from vedette.codec.ebpf import RecordReader
from vedette.errors import ParseError
from vedette.model.event import (
    ConnectionOpened,
    Event,
    KernelActivity,
    ListenerOpened,
    ProcessExited,
    ProcessForked,
    ProcessStarted,
)

AT_NS = 12_345_678_900
V4 = bytes((192, 0, 2, 7)) + bytes(12)
V6 = bytes.fromhex("20010db8000000000000000000000001")


def execution(
    image: bytes = b"wget\0bin\0usr\0",
    folder: bytes = b"tmp\0",
    arguments: bytes = b"wget\0-q\0http://x/\xff\0",
    environment: bytes = b"",
    flags: int = 0,
    login_uid: int = 0xFFFFFFFF,
) -> bytes:
    fixed = ebpf.EXEC.pack(
        AT_NS, ebpf.KIND_EXEC, flags, 42, 3_219_999_999, 77, 1_700_000_000, 5, 8 << 20 | 0x101, 41,
        1000, login_uid, len(image), len(folder), len(arguments), len(environment),
    )  # fmt: skip
    return fixed + image + folder + arguments + environment


def socket(kind: int, flags: int, family: int, local: bytes, remote: bytes) -> bytes:
    return ebpf.SOCKET.pack(AT_NS, kind, flags, 42, 1000, 6, family, 4000, 23, 0, local, remote)


def activity(number: int, value: int, text: bytes, tail: int = 0) -> bytes:
    fixed = ebpf.ACTIVITY.pack(AT_NS, ebpf.KIND_ACTIVITY, 0, 42, 0, number, len(text), value)
    return fixed + text + bytes(tail)


def reader(variables: frozenset[bytes] = frozenset()) -> RecordReader:
    return RecordReader("ebpf", 100, {5: "/system.slice/x.service"}.get, variables)  # type: ignore[arg-type]


def read(data: bytes, **options: frozenset[bytes]) -> list[Event]:
    out: list[Event] = []
    reader(**options).read(data, out)
    return out


def started(data: bytes, **options: frozenset[bytes]) -> ProcessStarted:
    (event,) = read(data, **options)
    assert isinstance(event, ProcessStarted)
    return event


WHOLE = [
    execution(),
    ebpf.FORK.pack(AT_NS, ebpf.KIND_FORK, 0, 42, 3_219_999_999, 41, 0),
    ebpf.HEAD.pack(AT_NS, ebpf.KIND_EXIT, 0, 42),
    socket(ebpf.KIND_CONNECTION, ebpf.IS_INITIATED, 2, V4, V4),
    socket(ebpf.KIND_LISTENER, 0, 10, V6, bytes(16)),
    activity(4, 0, b"/mnt\0"),
]


def test_an_execution_is_read() -> None:
    event = started(execution())
    assert event == ProcessStarted(
        at_s=12.3456789, tier="ebpf", pid=42, ppid=41, start_ticks=321, image="/usr/bin/wget",
        argv0="wget", command_line="wget -q http://x/\udcff", is_complete=True, uid=1000,
        login_uid=-1, cwd="/tmp", cgroup="/system.slice/x.service",
        device=0x100801, inode=77, modified_s=1_700_000_000,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("image", "folder", "flags", "expected"),
    [
        (b"", b"", 0, ("", "/")),
        (b"memfd:x\0", b"b\0a\0", 0, ("/memfd:x", "/a/b")),
        (b"x\0b\0", b"y\0", ebpf.IMAGE_CUT | ebpf.FOLDER_CUT, (".../b/x", ".../y")),
        (b"\xc3\xa4\0", b"\xff\0", 0, ("/ä", "/\udcff")),
    ],
)
def test_a_path_is_put_together(
    image: bytes, folder: bytes, flags: int, expected: tuple[str, str]
) -> None:
    event = started(execution(image=image, folder=folder, flags=flags))
    assert (event.image, event.cwd) == expected


def test_a_path_kept_from_before_is_not_taken_for_one_that_was_cut() -> None:
    records, out = reader(), list[Event]()
    records.read(execution(), out)
    records.read(execution(flags=ebpf.IMAGE_CUT), out)
    records.read(execution(), out)
    images = [event.image for event in out if isinstance(event, ProcessStarted)]
    assert images == ["/usr/bin/wget", ".../usr/bin/wget", "/usr/bin/wget"]


def test_many_paths_are_read_right_after_the_kept_ones_are_forgotten() -> None:
    records, out = reader(), list[Event]()
    for number in range(1500):
        records.read(execution(image=b"%d\0bin\0" % number), out)
    assert [e.image for e in out if isinstance(e, ProcessStarted)] == [
        f"/bin/{number}" for number in range(1500)
    ]


@pytest.mark.parametrize("flag", [ebpf.ARGUMENTS_CUT, ebpf.ARGUMENTS_UNREADABLE])
def test_arguments_that_are_not_whole_are_said_to_be(flag: int) -> None:
    assert not started(execution(flags=flag)).is_complete


def test_only_the_variables_asked_for_are_told() -> None:
    environment = b"HOME=/root\0LD_PRELOAD=/tmp/x.so\0SECRET=1\0LD_PRELOADX=2"
    event = started(execution(environment=environment), variables=frozenset({b"LD_PRELOAD"}))
    assert event.environment == "LD_PRELOAD=/tmp/x.so"
    assert started(execution(environment=environment)).environment == ""


def test_arguments_with_spaces_are_told_apart() -> None:
    assert started(execution(arguments=b"sh\0-c\0id; ls\0")).arguments == "sh\0-c\0id; ls"
    assert started(execution(arguments=b"sh\0-c\0id\0")).arguments == ""


def test_a_fork_and_an_end_are_read() -> None:
    fork = ebpf.FORK.pack(AT_NS, ebpf.KIND_FORK, 0, 42, 3_219_999_999, 41, 0)
    assert read(fork) == [ProcessForked(12.3456789, "ebpf", 42, 41, 321)]
    ended = ebpf.FORK.pack(AT_NS, ebpf.KIND_FORK, ebpf.HAS_ENDED, 42, 3_219_999_999, 41, 0)
    assert read(ended) == [*read(fork), ProcessExited(12.3456789, "ebpf", 42)]
    assert read(ebpf.HEAD.pack(AT_NS, ebpf.KIND_EXIT, 0, 42)) == [
        ProcessExited(12.3456789, "ebpf", 42)
    ]


def test_a_connection_is_told_from_who_began_it() -> None:
    ours = socket(ebpf.KIND_CONNECTION, ebpf.IS_INITIATED, 2, bytes(16), V4)
    assert read(ours) == [
        ConnectionOpened(12.3456789, "ebpf", "tcp", True, "", 4000, "192.0.2.7", 23, 42, 1000)
    ]
    theirs = socket(ebpf.KIND_CONNECTION, 0, 10, V6, bytes(15) + b"\1")
    assert read(theirs) == [
        ConnectionOpened(
            12.3456789, "ebpf", "tcp", False, "::1", 23, "2001:db8::1", 4000, 42, 1000, True
        )
    ]


def test_a_listener_on_every_address_is_read() -> None:
    every = socket(ebpf.KIND_LISTENER, 0, 10, bytes(16), bytes(16))
    assert read(every) == [ListenerOpened(12.3456789, "ebpf", "tcp", "::", 4000, 42, 1000)]


@pytest.mark.parametrize(
    ("number", "value", "text", "expected"),
    [
        (1, 0, b"nf_tables\0\0\0", ("module_load", "nf_tables")),
        (3, 0, b"/mnt/\xff", ("mount", "/mnt/\udcff")),
        (5, 77, b"", ("ptrace", "77")),
        (6, 1000, b"", ("uid_change", "1000")),
        (6, 1000, b"gid", ("uid_change", "gid 1000")),
        (7, 0x3F, b"", ("capability_change", "000000000000003f")),
        (8, 26, b"on_exec", ("bpf_load", "on_exec")),
        (9, 0, b"payload", ("memfd_create", "payload")),
    ],
)
def test_an_activity_is_told_in_words(
    number: int, value: int, text: bytes, expected: tuple[str, str]
) -> None:
    (event,) = read(activity(number, value, text, tail=32))
    assert isinstance(event, KernelActivity)
    assert (event.activity, event.target) == expected


@pytest.mark.parametrize("data", WHOLE, ids=["exec", "fork", "exit", "socket", "listener", "act"])
def test_a_record_cut_anywhere_is_refused(data: bytes) -> None:
    for cut in range(len(data)):
        with pytest.raises(ParseError):
            read(data[:cut])


@pytest.mark.parametrize("data", WHOLE[:5], ids=["exec", "fork", "exit", "socket", "listener"])
def test_a_record_with_a_tail_is_refused(data: bytes) -> None:
    with pytest.raises(ParseError, match="expected"):
        read(data + b"\0")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (ebpf.HEAD.pack(0, 0, 0, 0), "a known kind, got 0"),
        (ebpf.HEAD.pack(0, 99, 0, 0), "a known kind, got 99"),
        (socket(ebpf.KIND_CONNECTION, 0, 1, V4, V4), "family 2 or 10, got 1"),
        (activity(0, 0, b""), "a known activity, got 0"),
        (activity(len(ebpf.ACTIVITIES) + 1, 0, b""), "a known activity"),
    ],
)
def test_what_no_kernel_says_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(ParseError, match=message):
        read(data)


@given(st.binary(max_size=300), st.sampled_from(range(8)))
def test_any_bytes_give_events_or_a_parse_error(data: bytes, kind: int) -> None:
    out: list[Event] = []
    whole = data[:8] + bytes((kind, 0)) + data[10:]
    for given_bytes in (data, whole):
        with contextlib.suppress(ParseError):
            reader().read(given_bytes, out)


@given(st.binary(max_size=64), st.binary(max_size=64), st.binary(max_size=64), st.integers(0, 63))
def test_any_names_and_arguments_are_read(
    image: bytes, folder: bytes, arguments: bytes, flags: int
) -> None:
    event = started(execution(image, folder, arguments, flags=flags))
    assert event.command_line.count(" ") >= arguments.removesuffix(b"\0").count(b"\0")
