"""The eBPF sensor on the real kernel: what it sees, what it counts, and what it leaves behind."""

from __future__ import annotations

import asyncio
import ctypes
import os
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.bench.exec_storm import Programs, build, run_storm
from tests.contract.test_sensor_contract import World, run_until_killed

from vedette.codec import ebpf as codec
from vedette.errors import DeviceError, SensorError
from vedette.model.event import (
    Event,
    EventClass,
    EventsLost,
    ProcessExited,
    ProcessForked,
    ProcessStarted,
)
from vedette.ports.sensor import SensorContext
from vedette.sensors import ebpf
from vedette.sensors._ebpf import object as loading
from vedette.sensors._ebpf import ring
from vedette.sensors.ebpf import EbpfSensor

DEADLINE_S = 10.0
TRUE = str(Path("/bin/true").resolve())

pytestmark = [pytest.mark.kernel, pytest.mark.usefixtures("as_root")]


@pytest.fixture
def world(tmp_path: Path, kernel: None) -> Iterator[World]:
    if not os.access(loading.OBJECT_FILE, os.R_OK):
        pytest.skip("the eBPF programs are not compiled: run make ebpf")
    if not os.access(loading.BTF_FILE, os.R_OK):
        pytest.skip("this kernel has no BTF")
    before = programs_of_ours()
    yield World(tmp_path)
    assert programs_of_ours() == before


def programs_of_ours() -> set[str]:
    """Descriptors of eBPF objects that this process holds."""
    found = set()
    for path in Path("/proc/self/fd").iterdir():
        try:
            target = str(path.readlink())
        except OSError:
            continue
        if "bpf" in target:
            found.add(f"{path.name} {target}")
    return found


def watch(
    world: World,
    story: Callable[[EbpfSensor], Coroutine[Any, Any, None]],
    **options: int | str,
) -> list[Event]:
    """Run a story on an open sensor; returns what it emitted."""
    context = SensorContext(
        world.events.extend, world.run_dir, world.state_dir, options=dict(options)
    )

    async def run() -> None:
        sensor = EbpfSensor(context)
        await sensor.open()
        try:
            await story(sensor)
        finally:
            await sensor.close()

    asyncio.run(run())
    return world.events


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


def ended(world: World, pid: int) -> bool:
    return any(isinstance(e, ProcessExited) and e.pid == pid for e in world.events)


def run_and_see(world: World, *argv: str | bytes, **options: Any) -> ProcessStarted:
    """Run one program under an open sensor; returns what was told of its execution."""
    pids: list[int] = []

    async def story(_: EbpfSensor) -> None:
        pids.append(await run_program(*argv, **options))
        await until(lambda: ended(world, pids[0]))

    watch(world, story)
    return started_by(world, pids[0])[-1]


def test_an_execution_is_told_with_all_that_the_kernel_knows(world: World, tmp_path: Path) -> None:
    folder = tmp_path / "ä \n"
    folder.mkdir()
    before_s = time.clock_gettime(time.CLOCK_BOOTTIME)
    event = run_and_see(world, "/bin/true", "one", "two words", b"\xff", cwd=folder)
    status = Path(TRUE).stat()
    assert event.image == TRUE
    assert (event.argv0, event.command_line) == ("/bin/true", "/bin/true one two words \udcff")
    assert event.is_complete
    assert event.cwd == str(folder.resolve())
    assert (event.device, event.inode) == (status.st_dev, status.st_ino)
    assert event.modified_s == int(status.st_mtime)
    assert (event.ppid, event.uid) == (os.getpid(), os.getuid())
    assert before_s <= event.at_s <= time.clock_gettime(time.CLOCK_BOOTTIME)
    assert abs(event.start_ticks / os.sysconf("SC_CLK_TCK") - event.at_s) < 1.0
    assert event.login_uid == login_uid()


def login_uid() -> int:
    try:
        value = int(Path("/proc/self/loginuid").read_text())
    except OSError:
        return -1
    return -1 if value == 0xFFFFFFFF else value


def test_a_program_run_by_a_link_has_the_path_of_its_file(world: World, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(TRUE)
    assert run_and_see(world, str(link)).image == TRUE


def test_a_script_is_told_as_its_interpreter(world: World, tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\nexit 0\n")
    script.chmod(0o755)
    event = run_and_see(world, str(script), "argument")
    assert event.image == str(Path("/bin/sh").resolve())
    assert event.command_line == f"/bin/sh {script} argument"


def test_a_program_in_memory_and_one_on_another_mount_are_named(world: World) -> None:
    shared = Path("/dev/shm") / f"vedette-{os.getpid()}"
    shared.write_bytes(Path(TRUE).read_bytes())
    shared.chmod(0o755)
    try:
        assert run_and_see(world, str(shared)).image == str(shared)
    finally:
        shared.unlink()
    code = (
        "import os, sys\n"
        "memory = os.memfd_create('payload')\n"
        "os.write(memory, open(sys.argv[1], 'rb').read())\n"
        "os.execve(memory, ['nothing'], {})\n"
    )
    assert run_and_see(world, sys.executable, "-c", code, TRUE).image == "/memfd:payload"


def test_a_path_too_deep_to_tell_keeps_its_end(world: World, tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*(f"d{number}" for number in range(50)))
    deep.mkdir(parents=True)
    program = deep / "program"
    program.write_bytes(Path(TRUE).read_bytes())
    program.chmod(0o755)
    image = run_and_see(world, str(program)).image
    assert image.startswith(".../d")
    assert image.endswith("/d48/d49/program")


@pytest.mark.parametrize(
    ("size", "is_complete"),
    [(100, True), (4096, True), (7000, True), (9000, False), (120_000, False)],
)
def test_a_command_line_is_told_up_to_its_cap(
    world: World, size: int, *, is_complete: bool
) -> None:
    argument = "x" * size
    event = run_and_see(world, "/bin/true", argument)
    line = f"/bin/true {argument}"
    assert event.is_complete is is_complete
    assert event.command_line == line[: codec.MAX_ARGUMENTS_BYTES]


def test_the_environment_is_told_where_it_was_asked_for(world: World) -> None:
    pids: list[int] = []

    async def story(_: EbpfSensor) -> None:
        environment = {"LD_PRELOAD": "/nowhere.so", "PASSWORD": "hidden"}
        pids.append(await run_program("/bin/true", env=environment, stderr=subprocess.DEVNULL))
        await until(lambda: ended(world, pids[0]))

    watch(world, story, environment="LD_PRELOAD,LD_AUDIT")
    (event,) = started_by(world, pids[0])
    assert event.environment == "LD_PRELOAD=/nowhere.so"


def test_threads_and_forks_that_execute_are_not_told_apart(world: World) -> None:
    code = (
        "import subprocess, threading\n"
        "run = lambda: subprocess.run(['/bin/true'])\n"
        "threads = [threading.Thread(target=run) for _ in 'abc']\n"
        "[t.start() for t in threads]\n"
        "[t.join() for t in threads]\n"
    )
    pids: list[int] = []

    async def story(_: EbpfSensor) -> None:
        pids.append(await run_program(sys.executable, "-c", code))
        await until(lambda: ended(world, pids[0]))

    watch(world, story)
    children = [e for e in world.events if isinstance(e, ProcessStarted) and e.ppid == pids[0]]
    assert len(children) == 3
    assert not [e for e in world.events if isinstance(e, ProcessForked) and e.ppid == pids[0]]
    assert len([e for e in world.events if isinstance(e, ProcessExited) and e.pid == pids[0]]) == 1


def test_a_fork_that_never_executes_is_told_when_it_ends(world: World) -> None:
    code = "import os\nchild = os.fork()\nos._exit(0) if not child else os.waitpid(child, 0)\n"
    pids: list[int] = []

    async def story(_: EbpfSensor) -> None:
        pids.append(await run_program(sys.executable, "-c", code))
        await until(lambda: ended(world, pids[0]))

    watch(world, story)
    (fork,) = [e for e in world.events if isinstance(e, ProcessForked) and e.ppid == pids[0]]
    assert fork.start_ticks >= started_by(world, pids[0])[0].start_ticks
    assert ended(world, fork.pid)


def test_a_daemon_s_way_to_init_is_told(world: World, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    code = (
        "import os, sys\n"
        "if os.fork(): os._exit(0)\n"
        "os.setsid()\n"
        "if os.fork(): os._exit(0)\n"
        "os.execv('/bin/touch', ['touch', sys.argv[1]])\n"
    )
    pids: list[int] = []

    async def story(_: EbpfSensor) -> None:
        pids.append(await run_program(sys.executable, "-c", code, str(mark)))
        await until(lambda: any(is_touch(e, mark) for e in world.events))

    watch(world, story)
    forked = {e.pid: e.ppid for e in world.events if isinstance(e, ProcessForked)}
    (touch,) = [e for e in world.events if is_touch(e, mark)]
    assert isinstance(touch, ProcessStarted)
    assert forked[touch.ppid] == pids[0]


def is_touch(event: Event, mark: Path) -> bool:
    return isinstance(event, ProcessStarted) and event.command_line == f"touch {mark}"


def test_what_does_not_fit_into_the_ring_is_counted_exactly(world: World) -> None:
    """A reader that stands still, and a ring of 64 KB: every execution is told or counted."""
    count = 1500
    code = (
        "import os\n"
        f"for number in range({count}):\n"
        "    os.waitpid(os.posix_spawn('/bin/true', ['true', 'x' * 100], {}), 0)\n"
    )
    pids: list[int] = []

    async def story(sensor: EbpfSensor) -> None:
        pids.append(run_and_block(sys.executable, "-c", code))
        await sensor.prove("afterwards")
        await until(lambda: told(world) + lost(world) >= 2 * count)

    watch(world, story, ring_kb=64)
    of_storm = [e for e in world.events if isinstance(e, ProcessStarted) and e.ppid == pids[0]]
    assert 0 < len(of_storm) < count
    assert lost(world) > 0
    # Executions and ends, and those of the process that made them and of the proof.
    assert told(world) + lost(world) in range(2 * count, 2 * count + 40)
    assert all(e.is_exact for e in world.events if isinstance(e, EventsLost))


def run_and_block(*argv: str) -> int:
    """Run a program; the loop stands still meanwhile."""
    pid = os.posix_spawn(argv[0], argv, os.environ)
    os.waitpid(pid, 0)
    return pid


def told(world: World) -> int:
    return sum(isinstance(e, ProcessStarted | ProcessExited) for e in world.events)


def lost(world: World) -> int:
    return sum(
        e.lost
        for e in world.events
        if isinstance(e, EventsLost) and e.event_class is EventClass.PROCESS
    )


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Programs:
    try:
        return build(tmp_path_factory.mktemp("storm"))
    except DeviceError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("reader", ["x86_64", "aarch64"], ids=["mapped", "libbpf"])
def test_nothing_of_a_storm_is_lost(
    world: World, programs: Programs, reader: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = ring.open_ring
    monkeypatch.setattr(ebpf, "open_ring", lambda fd, size: real(fd, size, reader))
    count, target = 2000, list(programs.targets)[-1]

    async def story(_: EbpfSensor) -> None:
        await asyncio.to_thread(run_storm, programs, target, count, "storm-word")
        await until(lambda: of_word(world, "storm-word") >= count + 1)

    watch(world, story)
    numbers = {
        e.command_line.split(" ")[1]
        for e in world.events
        if isinstance(e, ProcessStarted) and e.command_line.endswith("storm-word")
    }
    assert numbers >= {str(number) for number in range(count)}
    assert lost(world) == 0


def of_word(world: World, word: str) -> int:
    return sum(
        isinstance(e, ProcessStarted) and e.command_line.endswith(word) for e in world.events
    )


def test_two_seconds_of_a_reader_that_stands_still_lose_nothing(
    world: World, programs: Programs
) -> None:
    target = list(programs.targets)[-1]
    stall_s, seconds = 2.0, list[float]()

    async def story(_: EbpfSensor) -> None:
        end_s = time.monotonic() + stall_s
        while time.monotonic() < end_s:
            seconds.append(run_storm(programs, target, 500, "storm-word"))
        await until(lambda: of_word(world, "storm-word") >= 501 * len(seconds))

    watch(world, story, ring_kb=4096)
    assert lost(world) == 0


def test_a_killed_sensor_leaves_no_program_in_the_kernel(world: World) -> None:
    before = loaded_programs()
    said = run_until_killed(EbpfSensor, world)
    assert said == ""
    deadline_s = time.monotonic() + DEADLINE_S
    while loaded_programs() > before and time.monotonic() < deadline_s:
        time.sleep(0.02)  # the kernel takes them back after the process, in a worker of its own
    assert loaded_programs() <= before


def loaded_programs() -> int:
    """How many eBPF programs the kernel holds, whoever loaded them."""
    library = loading.library()
    found, number = 0, ctypes.c_uint32(0)
    while library.bpf_prog_get_next_id(number, ctypes.byref(number)) == 0:
        found += 1
    return found


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("BTF_FILE", "/nowhere/vmlinux", "CONFIG_DEBUG_INFO_BTF"),
        ("OBJECT_FILE", "/nowhere/watch.bpf.o", "make ebpf"),
        ("LIBRARY", "libbpf-of-nowhere.so", "install libbpf"),
    ],
)
def test_what_is_missing_is_named(
    world: World, monkeypatch: pytest.MonkeyPatch, name: str, value: str, message: str
) -> None:
    for module in (ebpf, loading):
        if hasattr(module, name):
            monkeypatch.setattr(module, name, value)

    async def story(_: EbpfSensor) -> None:
        pytest.fail("it opened")

    with pytest.raises(SensorError, match=message):
        watch(world, story)


def test_without_the_capability_it_says_which(world: World) -> None:
    code = (
        "import asyncio, sys\n"
        "from pathlib import Path\n"
        "from vedette.daemon import privileges\n"
        "from vedette.errors import SensorError\n"
        "from vedette.ports.sensor import SensorContext\n"
        "from vedette.sensors.ebpf import EbpfSensor\n"
        "privileges.drop_to(frozenset({'net_admin'}))\n"
        "here = Path(sys.argv[1])\n"
        "async def run():\n"
        "    sensor = EbpfSensor(SensorContext(lambda batch: None, here, here))\n"
        "    try:\n"
        "        await sensor.open()\n"
        "    except SensorError as error:\n"
        "        print(error)\n"
        "asyncio.run(run())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(world.run_dir)], capture_output=True, text=True, check=True
    )
    assert "CAP_BPF" in done.stdout
