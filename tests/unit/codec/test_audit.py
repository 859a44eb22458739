from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.fuzz import fuzz_audit
from tests.simulators.cuts import taken_when_cut

from vedette.codec import audit
from vedette.codec.audit_execve import MAX_COMMAND_LINE_BYTES
from vedette.errors import ParseError
from vedette.model.event import Event, KernelActivity, ProcessStarted

CALL = (
    b"audit(1795265963.033:%d): arch=c000003e syscall=%d success=%s exit=0 a0=%x a1=%x "
    b"a2=7ffd771d14f0 a3=8 items=2 ppid=717 pid=762 auid=4294967295 uid=1000 gid=0 euid=33 suid=0 "
    b'fsuid=0 egid=44 sgid=0 fsgid=0 tty=(none) ses=4294967295 comm=%s exe=%s key="k"'
)
EXECVE = 59


def call(
    number: int = EXECVE,
    serial: int = 11,
    success: bytes = b"yes",
    exe: bytes = b'"/usr/bin/echo"',
    comm: bytes = b'"echo"',
    a0: int = 0,
    a1: int = 0,
) -> tuple[int, bytes]:
    return audit.AUDIT_SYSCALL, CALL % (serial, number, success, a0, a1, comm, exe)


def execve(fields: bytes, serial: int = 11) -> tuple[int, bytes]:
    return audit.AUDIT_EXECVE, b"audit(1795265963.033:%d): " % serial + fields


def joined(*records: tuple[int, bytes], at_end: bool = True) -> list[Event]:
    join = audit.AuditJoin("audit")
    out: list[Event] = []
    for kind, text in records:
        join.read(kind, text, out)
    if at_end:
        join.flush(out)
        assert join.pending == 0
    return out


def started(*records: tuple[int, bytes], at_end: bool = False) -> ProcessStarted:
    (event,) = joined(*records, at_end=at_end)
    assert isinstance(event, ProcessStarted)
    return event


def test_an_execution_is_whole_with_its_last_argument() -> None:
    event = started(call(), execve(b'argc=5 a0="/bin/echo" a1=612062 a2=783D227922 a3="" a4="n"'))
    assert event == ProcessStarted(
        0.0, "audit", 762, 717, 0, "/usr/bin/echo", "/bin/echo", '/bin/echo a b x="y"  n', True,
        1000, -1, "", "", 0, 0, '/bin/echo\0a b\0x="y"\0\0n',
    )  # fmt: skip


def test_an_argument_longer_than_a_record_is_put_together() -> None:
    records = (
        execve(b'argc=3 a0="/bin/true" a1_len=12 a1[0]=7171'),
        execve(b" a1[1]=7272"),
        execve(b' a1[2]=7373 a2="w"'),
    )
    assert joined(call(), *records[:2], at_end=False) == []
    event = started(call(), *records)
    assert (event.command_line, event.is_complete) == ("/bin/true qqrrss w", True)


def test_records_of_two_executions_may_interleave() -> None:
    out = joined(
        call(serial=1, exe=b'"/one"'),
        call(serial=2, exe=b'"/two"'),
        execve(b'argc=1 a0="2"', serial=2),
        execve(b'argc=1 a0="1"', serial=1),
    )
    assert [(e.image, e.argv0) for e in out if isinstance(e, ProcessStarted)] == [
        ("/two", "2"),
        ("/one", "1"),
    ]


def test_an_execution_whose_arguments_were_lost_is_told_as_incomplete() -> None:
    assert started(call(), at_end=True).is_complete is False
    cut = started(call(), execve(b'argc=3 a0="a" a1="b"'), at_end=True)
    assert (cut.command_line, cut.is_complete) == ("a b", False)


def test_arguments_without_their_call_are_no_event() -> None:
    assert joined(execve(b'argc=1 a0="x"')) == []


@pytest.mark.parametrize(
    ("exe", "image"),
    [
        (b'"/usr/bin/x"', "/usr/bin/x"),
        (b"(null)", ""),
        (b"2F6D656D66643A78202864656C6574656429", "/memfd:x (deleted)"),
        (b"FF", "\udcff"),
    ],
)
def test_the_image_is_read_however_the_kernel_wrote_it(exe: bytes, image: str) -> None:
    assert started(call(exe=exe), execve(b'argc=1 a0="x"')).image == image


def test_a_command_name_cannot_forge_a_field() -> None:
    hexed = b' exe="/fake"'.hex().encode().upper()
    assert started(call(comm=hexed), execve(b'argc=1 a0="x"')).image == "/usr/bin/echo"


@pytest.mark.parametrize(
    ("size", "is_complete"), [(MAX_COMMAND_LINE_BYTES - 3, True), (2_000_000, False)]
)
def test_a_command_line_of_megabytes_is_cut_and_says_so(size: int, *, is_complete: bool) -> None:
    records = [call(), execve(b'argc=2 a0="x" a1_len=%d' % (2 * size))]
    starts = range(0, size, 3700)
    records += [execve(b" a1[0]=" + b"71" * min(3700, size - start)) for start in starts]
    event = started(*records)
    assert event.is_complete is is_complete
    assert len(event.command_line) <= MAX_COMMAND_LINE_BYTES
    assert event.command_line.startswith("x qqq")


def test_more_arguments_than_are_kept_take_bounded_memory() -> None:
    count = 70_000
    join = audit.AuditJoin("audit")
    out: list[Event] = []
    join.read(*call(), out)
    join.read(*execve(b"argc=%d" % (count + 1)), out)
    for start in range(0, count, 500):
        fields = b" ".join(b'a%d=""' % n for n in range(start, start + 500))
        join.read(*execve(fields), out)
    assert join.pending_bytes <= MAX_COMMAND_LINE_BYTES + 1
    join.read(*execve(b'a%d="last"' % count), out)
    assert [e.is_complete for e in out if isinstance(e, ProcessStarted)] == [False]


def test_pending_events_are_bounded_and_the_oldest_goes_early() -> None:
    join = audit.AuditJoin("audit")
    out: list[Event] = []
    for serial in range(audit.MAX_PENDING + 10):
        join.read(*call(serial=serial), out)
    assert (join.pending, len(out)) == (audit.MAX_PENDING, 10)


def test_flush_leaves_what_is_newer() -> None:
    join = audit.AuditJoin("audit")
    out: list[Event] = []
    for serial in (5, 6, 7):
        join.read(*call(serial=serial), out)
    join.flush(out, before_serial=7)
    assert (len(out), join.pending) == (2, 1)


ACTIVITIES = {
    "a module with its name": (
        [call(175), (audit.AUDIT_KERN_MODULE, b'audit(1.000:11): name="evil"')],
        ("module_load", "evil"),
    ),
    "a module whose name was lost": ([call(313)], ("module_load", "")),
    "a module taken out": ([call(176)], ("module_unload", "")),
    "a mount": ([call(165)], ("mount", "")),
    "a file in memory": ([call(319)], ("memfd_create", "")),
    "an eBPF program": ([call(321)], ("bpf_load", "")),
    "a mount the new way": ([call(429)], ("mount", "")),
    "an unmount": ([call(166)], ("umount", "")),
    "a process traced": ([call(101, a0=16, a1=4711)], ("ptrace", "4711")),
    "a new user": ([call(105)], ("uid_change", "33")),
    "a new group": ([call(119)], ("uid_change", "gid 44")),
    "capabilities": (
        [call(126), (audit.AUDIT_CAPSET, b"audit(1.000:11): pid=1 cap_pi=0 cap_pe=3f cap_pa=0")],
        ("capability_change", "3f"),
    ),
}


@pytest.mark.parametrize("name", ACTIVITIES)
def test_a_guarded_call_becomes_an_activity(name: str) -> None:
    records, expected = ACTIVITIES[name]
    (event,) = joined(*records)
    assert isinstance(event, KernelActivity)
    assert (event.activity, event.target) == expected
    assert (event.pid, event.uid, event.image) == (762, 1000, "/usr/bin/echo")


@pytest.mark.parametrize("record", [call(success=b"no"), call(165, success=b"no"), call(1)])
def test_what_failed_or_is_not_of_ours_is_no_event(record: tuple[int, bytes]) -> None:
    assert joined(record) == []


def test_other_records_give_their_serial_only() -> None:
    join = audit.AuditJoin("audit")
    out: list[Event] = []
    assert join.read(1305, b"audit(1.234:99): op=set", out) == 99
    assert join.read(audit.AUDIT_EOE, b"audit(1.234:100): ", out) == 100
    assert out == []


def test_a_call_cut_before_its_image_is_refused() -> None:
    text = call()[1]
    assert taken_when_cut(audit.parse_syscall, text, range(text.index(b" exe=") + 1)) == []


BROKEN = {
    "no stamp": b'argc=1 a0="x"',
    "no count": b'audit(1.000:11): a0="x"',
    "an argument too many": b'audit(1.000:11): argc=1 a0="x" a1="y"',
    "an argument left out": b'audit(1.000:11): argc=3 a0="x" a2="y"',
    "an open quote": b'audit(1.000:11): argc=1 a0="x',
    "half a byte": b"audit(1.000:11): argc=1 a0=123",
    "no hex": b"audit(1.000:11): argc=1 a0=xyz!",
    "a count that is none": b"audit(1.000:11): argc=-1",
    "a piece without its argument": b"audit(1.000:11): argc=1 a0[0]=71",
    "a length that is none": b"audit(1.000:11): argc=1 a0_len=x",
    "another word": b"audit(1.000:11): argc=1 pid=7",
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_arguments_are_refused_and_the_execution_is_still_told(name: str) -> None:
    join = audit.AuditJoin("audit")
    out: list[Event] = []
    join.read(*call(), out)
    with pytest.raises(ParseError):
        join.read(audit.AUDIT_EXECVE, BROKEN[name], out)
    join.flush(out)
    assert [e.is_complete for e in out if isinstance(e, ProcessStarted)] == [False]
    assert join.pending_bytes == 0


def test_wall_time_becomes_time_since_boot_and_a_stepped_clock_counts_as_now() -> None:
    join = audit.AuditJoin("audit")
    out: list[Event] = []
    wall_s = 1795265963.033
    for offset_s in (100.0 - wall_s, 5000.0 - wall_s, 3.0 - wall_s):
        join.set_clock(offset_s, 99.0, 101.0)
        join.read(*call(165), out)
    assert [event.at_s for event in out] == [pytest.approx(100.0), 101.0, 101.0]


@given(
    st.lists(
        st.tuples(
            st.sampled_from([1300, 1309, 1322, 1330, 1305]),
            st.one_of(
                st.binary(max_size=200),
                st.builds(lambda data: call()[1] + data, st.binary(max_size=9)),
                st.builds(lambda data: execve(data)[1], st.binary(max_size=60)),
                st.builds(
                    lambda words: execve(b" ".join(words))[1],
                    st.lists(
                        st.sampled_from(
                            [
                                b"argc=2",
                                b'a0="x"',
                                b"a1=71",
                                b"a0_len=4",
                                b"a0[0]=7171",
                                b"a1_len=2",
                            ]
                        )
                    ),
                ),
            ),
        ),
        max_size=6,
    )
)
def test_any_records_give_events_or_a_parse_error(records: list[tuple[int, bytes]]) -> None:
    fuzz_audit.check(records)
