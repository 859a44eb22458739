"""The audit sensor on the real kernel: what it sees, what it counts, and what it leaves behind."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.contract.test_sensor_contract import World, kernel_state, run_until_killed

from vedette.codec import audit_control as control
from vedette.codec import syscalls
from vedette.errors import SensorError
from vedette.model.event import Event, EventClass, EventsLost, KernelActivity, ProcessStarted
from vedette.sensors import _audit_rules, _audit_seat, _audit_state
from vedette.sensors._audit_link import AuditLink
from vedette.sensors.audit import AuditSensor

DEADLINE_S = 10.0
TRUE = str(Path("/bin/true").resolve())

pytestmark = [pytest.mark.kernel, pytest.mark.usefixtures("as_root")]


@pytest.fixture
def world(tmp_path: Path, kernel: None) -> Iterator[World]:
    """A kernel in a known state, whatever an agent that was killed earlier has left of its own."""
    try:
        found = status()
    except OSError as error:
        pytest.skip(f"this kernel has no audit: {error}")
    set_queue(backlog_limit=64, backlog_wait_time=15000)
    try:
        before = kernel_state()
        world = World(tmp_path)
        yield world
        AuditSensor.restore(world.run_dir)
        assert kernel_state() == before
    finally:
        set_queue(backlog_limit=found.backlog_limit, backlog_wait_time=found.backlog_wait_time)


def set_queue(*, backlog_limit: int, backlog_wait_time: int) -> None:
    with AuditLink() as link:
        link.set(control.change(control.STATUS_BACKLOG_LIMIT, backlog_limit=backlog_limit))
        wait = control.STATUS_BACKLOG_WAIT_TIME
        link.set(control.change(wait, backlog_wait_time=backlog_wait_time))


def watch(world: World, story: Callable[[AuditSensor], Coroutine[Any, Any, None]]) -> None:
    async def run() -> None:
        sensor = AuditSensor(world.context())
        await sensor.open()
        try:
            await story(sensor)
        finally:
            await sensor.close()

    asyncio.run(run())


async def until(is_true: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not is_true():  # noqa: ASYNC110 - the condition is a list that a sensor fills
            await asyncio.sleep(0.01)


async def run_program(*argv: str | bytes, **options: Any) -> int:
    process = await asyncio.create_subprocess_exec(*argv, **options)
    await process.wait()
    return process.pid


def started_by(world: World, pid: int) -> list[ProcessStarted]:
    return [e for e in world.events if isinstance(e, ProcessStarted) and e.pid == pid]


def activities_of(world: World, pid: int) -> list[tuple[str, str]]:
    return [
        (e.activity, e.target)
        for e in world.events
        if isinstance(e, KernelActivity) and e.pid == pid
    ]


ARGUMENTS = {
    "plain words": ["a", "b"],
    "blanks and quotes": ["a b", 'c="d"', "it's", ""],
    "control characters": ["\x01\t\n\x7f"],
    "other scripts": ["säge", "日本"],
    "words that look like fields": ["a0=1", "argc=9", "exe=/x", "a1_len=5"],
    "bytes that are no text": [os.fsdecode(b"\xff\xfe")],
    "an argument of three records": ["x" * 9000, "last"],
    "many arguments": [str(n) for n in range(3000)],
}


@pytest.mark.parametrize("name", ARGUMENTS)
def test_every_argument_is_seen_as_it_was(name: str, world: World) -> None:
    arguments = ["true", *ARGUMENTS[name]]

    async def story(_: AuditSensor) -> None:
        pid = await run_program(*arguments, executable="/bin/true")
        await until(lambda: bool(started_by(world, pid)))
        (event,) = started_by(world, pid)
        assert event.command_line == " ".join(arguments)
        assert (event.argv0, event.is_complete) == ("true", True)
        assert (event.uid, event.ppid) == (os.getuid(), os.getpid())
        assert event.image == TRUE

    watch(world, story)


def test_an_execution_that_fails_is_no_event(world: World) -> None:
    async def story(_: AuditSensor) -> None:
        with contextlib.suppress(OSError):
            await run_program("/nowhere/at/all")
        pid = await run_program("true", "after")
        await until(lambda: bool(started_by(world, pid)))
        assert not [
            e for e in world.events if isinstance(e, ProcessStarted) and "nowhere" in e.command_line
        ]

    watch(world, story)


GUARDED = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
match sys.argv[1]:
    case "uid":
        os.setresuid(65534, 65534, 65534)
    case "gid":
        os.setresgid(65533, 65533, 65533)
    case "mount":
        assert libc.unshare(0x00020000) == 0
        assert libc.mount(b"none", b"/", None, 0x40000 | 0x4000, None) == 0
    case "ptrace":
        pid = os.fork()
        if not pid:
            os.read(0, 1)
            os._exit(0)
        PTRACE_ATTACH, PTRACE_KILL = 16, 8
        assert libc.ptrace(PTRACE_ATTACH, pid, 0, 0) == 0
        os.waitpid(pid, 0x40000000)
        os.kill(pid, 9)
        os.waitpid(pid, 0)
        print(pid)
"""


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        ("uid", ("uid_change", "65534")),
        ("gid", ("uid_change", "gid 65533")),
        ("mount", ("mount", "")),
        ("ptrace", ("ptrace", "")),
    ],
)
def test_guarded_calls_are_seen(what: str, expected: tuple[str, str], world: World) -> None:
    async def story(_: AuditSensor) -> None:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", GUARDED, what, stdout=-1, stderr=-1, stdin=-1
        )
        said, complaints = await process.communicate()
        if process.returncode:
            pytest.skip(f"the call is not allowed here: {complaints.decode()[-80:]}")
        wanted = (expected[0], said.decode().strip() or expected[1])
        await until(lambda: wanted in activities_of(world, process.pid))

    watch(world, story)


def test_what_does_not_fit_is_counted(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_audit_seat, "BUFFER_BYTES", 64 << 10)
    monkeypatch.setattr(_audit_seat, "BACKLOG_RECORDS", 64)
    total = 400

    async def story(sensor: AuditSensor) -> None:
        for number in range(total):  # the loop stands still meanwhile, so nothing is read
            subprocess.run(["/bin/true", f"storm-{number}"], check=True)  # noqa: ASYNC221
        await until(lambda: storm_seen(world.events) + lost(world.events) >= total)
        assert 0 < storm_seen(world.events) < total
        assert lost(world.events) == sensor.counters()["dropped"]
        classes = {e.event_class for e in world.events if isinstance(e, EventsLost)}
        assert classes == {EventClass.PROCESS, EventClass.KERNEL}

    watch(world, story)


def storm_seen(events: list[Event]) -> int:
    return sum(isinstance(e, ProcessStarted) and "storm-" in e.command_line for e in events)


def lost(events: list[Event]) -> int:
    return sum(e.lost for e in events if isinstance(e, EventsLost))


def test_a_killed_owner_leaves_rules_and_restore_takes_them_back(world: World) -> None:
    before = kernel_state()
    assert run_until_killed(AuditSensor, world) == ""
    with AuditLink() as link:
        keys = [control.parse_rule(rule).key for rule in link.rules()]
        assert _audit_rules.KEY in keys
        assert link.status().backlog_wait_time == 0
    said = AuditSensor.restore(world.run_dir)
    assert any("rules" in line for line in said)
    assert any("backlog_wait_time" in line for line in said)
    assert kernel_state() == before
    assert AuditSensor.restore(world.run_dir) == []


def test_restore_leaves_a_living_owner_alone(world: World) -> None:
    async def story(_: AuditSensor) -> None:
        during = kernel_state()
        assert AuditSensor.restore(world.run_dir) == []
        assert kernel_state() == during
        with pytest.raises(SensorError, match=f"pid {os.getpid()} already watches"):
            await AuditSensor(world.context()).open()
        assert kernel_state() == during

    watch(world, story)


def test_a_setting_changed_by_somebody_else_meanwhile_is_theirs(world: World) -> None:
    found = status().backlog_limit

    async def story(_: AuditSensor) -> None:
        with AuditLink() as link:
            link.set(control.change(control.STATUS_BACKLOG_LIMIT, backlog_limit=777))

    try:
        watch(world, story)
        assert status().backlog_limit == 777
    finally:
        with AuditLink() as link:
            link.set(control.change(control.STATUS_BACKLOG_LIMIT, backlog_limit=found))


def test_nothing_is_hidden_from_somebody_who_has_rules(world: World) -> None:
    theirs = control.pack_rule(
        control.Rule(
            control.FILTER_EXIT,
            control.ACTION_ALWAYS,
            ((control.FIELD_ARCH, 0xC000003E), (control.FIELD_SUCCESS, 1)),
            (165,),
            "somebody",
        )
    )

    async def story(sensor: AuditSensor) -> None:
        with AuditLink() as link:
            filters = {control.parse_rule(rule).filter for rule in link.rules()}
        assert filters == {control.FILTER_EXIT}
        await sensor.prove("stillproven")

    with AuditLink() as link:
        link.add(theirs)
        try:
            watch(world, story)
            assert [control.parse_rule(rule).key for rule in link.rules()] == ["somebody"]
        finally:
            link.delete(theirs)


OWNER = """
import os, sys
from vedette.codec import audit_control as control
from vedette.sensors._audit_link import AuditLink, open_socket, register
link = open_socket()
register(link, os.getpid())
print("owner", flush=True)
sys.stdin.read()
"""


def test_it_steps_aside_for_another_owner_and_says_whose_pid(world: World) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", OWNER],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as owner:  # fmt: skip
        assert owner.stdin is not None
        assert owner.stdout is not None
        assert owner.stdout.readline() == "owner\n"
        during = kernel_state()
        with pytest.raises(SensorError, match=rf"owned by pid {owner.pid} \(python"):
            asyncio.run(AuditSensor(world.context()).open())
        assert kernel_state() == during
        assert _audit_state.load(world.run_dir) is None
        owner.send_signal(signal.SIGKILL)
    with AuditLink() as link:
        link.set(control.change(control.STATUS_PID, pid=0))  # the kernel finds the owner gone


def test_a_damaged_record_of_the_state_is_reported_and_stays(world: World) -> None:
    path = world.run_dir / _audit_state.FILE_NAME
    path.write_text('{"pid": "x"')
    (line,) = AuditSensor.restore(world.run_dir)
    assert "could not undo" in line
    with pytest.raises(SensorError, match="delete the file"):
        asyncio.run(AuditSensor(world.context()).open())
    path.unlink()


def status() -> control.Status:
    with AuditLink() as link:
        return link.status()


def test_executions_that_a_better_source_tells_are_not_asked_for(world: World) -> None:
    async def story(sensor: AuditSensor) -> None:
        before = watched_calls()
        sensor.narrow(frozenset({EventClass.KERNEL}))
        assert before - watched_calls() == EXECUTIONS
        await sensor.prove("narrowed")
        pid = await run_program("/bin/true", "unheard")
        await run_program(sys.executable, "-c", "import os; os.setuid(os.getuid())")
        await until(lambda: any(isinstance(e, KernelActivity) for e in world.events))
        assert not started_by(world, pid)
        sensor.narrow(frozenset({EventClass.KERNEL, EventClass.PROCESS}))
        assert watched_calls() == before
        await sensor.prove("wide-again")
        pid = await run_program("/bin/true", "heard")
        await until(lambda: bool(started_by(world, pid)))

    watch(world, story)


EXECUTIONS = {
    number for abi in syscalls.abis(os.uname().machine) for number in abi.of("execve", "execveat")
}


def watched_calls() -> set[int]:
    """Numbers of the system calls that rules of ours watch."""
    with AuditLink() as link:
        parsed = [control.parse_rule(rule) for rule in link.rules()]
    ours = [rule for rule in parsed if rule.key == _audit_rules.KEY]
    return {number for rule in ours for number in rule.syscalls}


AGAINST = {
    "kill": ("os.kill(target, 18)", "signal", "{} 18"),
    "tgkill": ("ctypes.CDLL(None).tgkill(target, target, 18)", "signal", "{} 18"),
}


@pytest.mark.parametrize("way", AGAINST)
def test_a_signal_to_a_guarded_process_is_told(way: str, world: World) -> None:
    call, activity, target = AGAINST[way]

    async def story(sensor: AuditSensor) -> None:
        ours = await asyncio.create_subprocess_exec("sleep", "600")
        try:
            await sensor.guard(frozenset({ours.pid}))
            assert await sensor.taken_away() == ""
            code = f"import ctypes, os, sys; target = int(sys.argv[1]); {call}"
            pid = await run_program(sys.executable, "-c", code, str(ours.pid))
            wanted = (activity, target.format(ours.pid))
            await until(lambda: wanted in activities_of(world, pid))
            await sensor.guard(frozenset())
            assert await sensor.taken_away() == ""
        finally:
            ours.kill()
            await ours.wait()

    watch(world, story)


TAKEN = {
    "a rule is deleted": ("rule", "1 of our audit rules were deleted"),
    "all rules are deleted": ("rules", "of our audit rules were deleted"),
    "audit is switched off": ("off", "audit was switched off"),
}


@pytest.mark.parametrize("way", TAKEN)
def test_what_is_taken_from_audit_is_missed(way: str, world: World) -> None:
    what, expected = TAKEN[way]

    async def story(sensor: AuditSensor) -> None:
        assert sensor._seat is not None
        assert await sensor.taken_away() == ""
        with AuditLink() as link:
            if what == "off":
                link.set(control.change(control.STATUS_ENABLED, enabled=0))
            else:
                keyed = [r for r in sensor._seat.rules if control.parse_rule(r).key]
                for rule in keyed[: 1 if what == "rule" else None]:
                    assert link.delete(rule)
        assert expected in await sensor.taken_away()

    watch(world, story)
