"""The eBPF sensor on the real kernel: what it sees, what it counts, and what it leaves behind."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import itertools
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeGuard

import pytest
from tests.bench.exec_storm import Programs, build, run_storm
from tests.contract.test_sensor_contract import World, run_until_killed
from tests.simulators.network import Namespace, join

from vedette.codec import ebpf as codec
from vedette.errors import DeviceError, SensorError
from vedette.model.event import (
    ConnectionOpened,
    Event,
    EventClass,
    EventsLost,
    KernelActivity,
    ListenerOpened,
    ProcessExited,
    ProcessForked,
    ProcessStarted,
)
from vedette.ports.sensor import SensorContext
from vedette.sensors import ebpf
from vedette.sensors._ebpf import cgroups, programs, ring
from vedette.sensors._ebpf import object as loading
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
    """A reader that stands still, with a ring of 64 KB and beside it one that holds everything."""
    code = (
        "import os\n"
        "for number in range(1500):\n"
        "    os.waitpid(os.posix_spawn('/bin/true', ['true', 'x' * 100], {}), 0)\n"
    )
    whole = World(world.run_dir)

    async def mark(word: str) -> None:
        await run_program("/bin/true", word)
        await until(lambda: of_word(world, word) == of_word(whole, word) == 1)

    async def story(sensor: EbpfSensor) -> None:
        control = EbpfSensor(
            SensorContext(whole.events.extend, whole.run_dir, whole.run_dir, (), {"ring_kb": 4096})
        )
        await control.open()
        try:
            await mark("before")
            run_and_block(sys.executable, "-c", code)
            sensor._empty()  # or the mark would not fit either
            await mark("after")
        finally:
            await control.close()

    watch(world, story, ring_kb=64)
    assert lost(whole) == 0
    assert lost(world) > 1000
    # Two processors may take their places in the two rings in another order: at the marks alone.
    assert abs(between_marks(world) + lost(world) - between_marks(whole)) <= 4
    assert all(e.is_exact for e in world.events if isinstance(e, EventsLost))


def between_marks(world: World) -> int:
    """Records about processes; that of a fork that ended gives two events."""
    lines = [getattr(event, "command_line", "") for event in world.events]
    first, last = lines.index("/bin/true before"), lines.index("/bin/true after")
    events = world.events[first:last]
    kinds = (ProcessStarted, ProcessExited, ProcessForked)
    doubles = sum(
        isinstance(one, ProcessForked) and isinstance(two, ProcessExited) and one[:3] == two
        for one, two in itertools.pairwise(events)
    )
    return sum(isinstance(event, kinds) for event in events) - doubles


def run_and_block(*argv: str) -> int:
    """Run a program; the loop stands still meanwhile."""
    pid = os.posix_spawn(argv[0], argv, os.environ)
    os.waitpid(pid, 0)
    return pid


def lost(world: World) -> int:
    return sum(
        e.lost
        for e in world.events
        if isinstance(e, EventsLost) and e.event_class is EventClass.PROCESS
    )


@pytest.fixture(scope="module")
def storm(tmp_path_factory: pytest.TempPathFactory) -> Programs:
    try:
        return build(tmp_path_factory.mktemp("storm"))
    except DeviceError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("reader", ["x86_64", "aarch64"], ids=["mapped", "libbpf"])
def test_nothing_of_a_storm_is_lost(
    world: World, storm: Programs, reader: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = ring.open_ring
    monkeypatch.setattr(ebpf, "open_ring", lambda fd, size: real(fd, size, reader))
    count, target = 2000, list(storm.targets)[-1]

    async def story(_: EbpfSensor) -> None:
        await asyncio.to_thread(run_storm, storm, target, count, "storm-word")
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
    world: World, storm: Programs
) -> None:
    """At the rate of the budget, 8,500 a second (DESIGN section 11): this ring holds 17,500."""
    target = list(storm.targets)[-1]
    stall_s, most, seconds = 2.0, 17_000, list[float]()

    async def story(_: EbpfSensor) -> None:
        end_s = time.monotonic() + stall_s
        while time.monotonic() < end_s:
            if 501 * len(seconds) < most - 501:
                seconds.append(run_storm(storm, target, 500, "storm-word"))
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
    for module in (ebpf, loading, programs):
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


def act_and_see(world: World, code: str, *arguments: str, **options: int | str) -> list[Event]:
    """Run Python code in a process of its own; returns what was told of that process."""
    pids: list[int] = []

    async def story(_: EbpfSensor) -> None:
        pids.append(await run_program(sys.executable, "-c", code, *arguments))
        await until(lambda: ended(world, pids[0]))

    watch(world, story, **options)
    return [event for event in world.events if getattr(event, "pid", 0) == pids[0]]


def pid_of(events: list[Event]) -> int:
    pid: int = getattr(events[0], "pid", 0)
    return pid


def connections(events: list[Event]) -> list[tuple[str, str, int]]:
    return [
        (event.protocol, event.destination_ip, event.destination_port)
        for event in events
        if isinstance(event, ConnectionOpened)
    ]


SERVERS = """
import socket, sys
server = socket.socket(); server.bind(("127.0.0.1", 0)); server.listen()
wide = socket.socket(socket.AF_INET6); wide.bind(("::", 0)); wide.listen()
port, wide_port = server.getsockname()[1], wide.getsockname()[1]
"""


def test_connections_begun_are_told_with_their_process(world: World) -> None:
    events = act_and_see(
        world,
        SERVERS + "socket.create_connection(('127.0.0.1', port))\n"
        "socket.create_connection(('::1', wide_port))\n"
        "socket.create_connection(('127.0.0.1', wide_port))\n"
        "socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', 9))\n"
        "socket.socket(type=socket.SOCK_DGRAM).connect(('127.0.0.2', 9))\n"
        "sender = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)\n"
        "sender.sendto(b'x', ('::1', 9))\n"
        "sender.sendto(b'x', ('::ffff:127.0.0.1', 10))\n",
    )
    listening = [event for event in events if isinstance(event, ListenerOpened)]
    assert [event.address for event in listening] == ["127.0.0.1", "::"]
    port, wide_port = (event.port for event in listening)
    assert connections(events) == [
        ("tcp", "127.0.0.1", port),
        ("tcp", "::1", wide_port),
        ("tcp", "127.0.0.1", wide_port),
        ("udp", "127.0.0.1", 9),
        ("udp", "127.0.0.2", 9),
        ("udp", "::1", 9),
        ("udp", "127.0.0.1", 10),
    ]
    assert all(e.is_initiated for e in events if isinstance(e, ConnectionOpened))
    assert {event.uid for event in listening} == {os.getuid()}


def test_a_bound_datagram_socket_is_a_listener_unless_any_port_would_do(world: World) -> None:
    events = act_and_see(
        world,
        "import socket\n"
        "for port in (0, 45454):\n"
        "    socket.socket(type=socket.SOCK_DGRAM).bind(('127.0.0.1', port))\n"
        "socket.socket(socket.AF_INET6, socket.SOCK_DGRAM).bind(('::', 45455))\n",
    )
    found = [(e.protocol, e.address, e.port) for e in events if isinstance(e, ListenerOpened)]
    assert found == [("udp", "127.0.0.1", 45454), ("udp", "::", 45455)]


def test_what_a_process_repeats_is_told_some_times_and_then_counted(world: World) -> None:
    counted: list[int] = []
    pids: list[int] = []
    code = (
        SERVERS + "for _ in range(50): socket.create_connection(('127.0.0.1', port)).close()\n"
        "sender = socket.socket(type=socket.SOCK_DGRAM)\n"
        "for _ in range(50): sender.sendto(b'x', ('127.0.0.1', 9))\n"
        "for last in range(1, 11): sender.sendto(b'x', ('127.0.0.' + str(last), 10))\n"
    )

    async def story(sensor: EbpfSensor) -> None:
        pids.append(await run_program(sys.executable, "-c", code))
        await until(lambda: ended(world, pids[0]))
        counted.append(sensor.counters()["repeated"])

    watch(world, story)
    found = connections([e for e in world.events if getattr(e, "pid", 0) == pids[0]])
    assert len([one for one in found if one[0] == "tcp"]) == 32
    assert [one for one in found if one[2] == 9] == [("udp", "127.0.0.1", 9)]
    assert len([one for one in found if one[2] == 10]) == 10
    assert counted[0] >= 18 + 49


def test_another_execution_of_the_same_process_is_another_sender(world: World) -> None:
    code = (
        "import os, socket, sys\n"
        "socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', 9))\n"
        "if sys.argv[2:]: os.execv(sys.executable, [sys.executable, '-c', sys.argv[1], 'x'])\n"
    )
    assert len(connections(act_and_see(world, code, code, "again"))) == 2


def test_a_fork_that_acts_is_introduced_before_its_act(world: World) -> None:
    code = (
        "import os, socket\n"
        "child = os.fork()\n"
        "if not child:\n"
        "    socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', 9))\n"
        "    os._exit(0)\n"
        "os.waitpid(child, 0)\n"
    )
    pids: list[int] = []

    async def story(_: EbpfSensor) -> None:
        pids.append(await run_program(sys.executable, "-c", code))
        await until(lambda: ended(world, pids[0]))

    watch(world, story)
    (fork,) = [e for e in world.events if isinstance(e, ProcessForked) and e.ppid == pids[0]]
    its = [type(event) for event in world.events if getattr(event, "pid", 0) == fork.pid]
    assert its == [ProcessForked, ConnectionOpened, ProcessExited]


SERVER = """
import socket, sys
server = socket.socket(); server.bind(("0.0.0.0", 4000)); server.listen()
print("listening", flush=True)
sys.stdin.readline()
"""
CLIENT = 'import socket; socket.create_connection(("10.9.8.1", 4000), 5)'


@pytest.fixture
def cable() -> Iterator[tuple[Namespace, Namespace]]:
    """Two network namespaces with a cable between them: 10.9.8.1 and 10.9.8.2."""
    if shutil.which("ip") is None:
        pytest.skip("there is no ip command: install iproute2")
    with Namespace() as here, Namespace() as elsewhere:
        join(here, "cable", elsewhere, "cable")
        here.run("ip", "address", "add", "10.9.8.1/24", "dev", "cable")
        elsewhere.run("ip", "address", "add", "10.9.8.2/24", "dev", "cable")
        yield here, elsewhere


@contextlib.contextmanager
def serving() -> Iterator[int]:
    """A process that listens on port 4000, in the network namespace of this thread."""
    command = [sys.executable, "-c", SERVER]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        assert server.stdout.readline() == "listening\n"
        yield server.pid
        server.communicate("\n")


@pytest.mark.parametrize("is_older", [False, True], ids=["new service", "older than the agent"])
def test_a_connection_from_elsewhere_is_told_with_who_listens(
    world: World, *, is_older: bool, cable: tuple[Namespace, Namespace]
) -> None:
    here, elsewhere = cable
    services: list[int] = []

    async def story(_: EbpfSensor) -> None:
        if not is_older:
            services.append(stack.enter_context(serving()))
        elsewhere.run(sys.executable, "-c", CLIENT)
        await until(lambda: any(is_accepted(event) for event in world.events))

    with here.entered(), contextlib.ExitStack() as stack:
        if is_older:
            services.append(stack.enter_context(serving()))
        watch(world, story)
    (event,) = [event for event in world.events if is_accepted(event)]
    assert (event.source_ip, event.destination_ip) == ("10.9.8.2", "10.9.8.1")
    assert (event.destination_port, event.pid) == (4000, services[0])
    assert event.source_port > 0


def is_accepted(event: Event) -> TypeGuard[ConnectionOpened]:
    return isinstance(event, ConnectionOpened) and not event.is_initiated


def activities(events: list[Event]) -> list[tuple[str, str]]:
    return [(e.activity, e.target) for e in events if isinstance(e, KernelActivity)]


def test_guarded_calls_that_succeed_are_told(world: World, tmp_path: Path) -> None:
    events = act_and_see(
        world,
        "import ctypes, os, sys\n"
        "libc = ctypes.CDLL(None)\n"
        "libc.unshare(0x20000)\n"
        "libc.mount(b'none', b'/', None, 0x44000, None)\n"  # private: nothing leaves this process
        "point = sys.argv[1].encode()\n"
        "assert libc.mount(b'none', point, b'tmpfs', 0, None) == 0\n"
        "assert libc.mount(b'none', b'/nowhere', b'tmpfs', 0, None) != 0\n"
        "assert libc.umount2(point, 0) == 0\n"
        "os.memfd_create('in memory')\n"
        "os.setresgid(65534, 65534, 65534)\n"
        "os.setresuid(0, 65534, 0)\n"
        "os.setresuid(0, 0, 0)\n",
        str(tmp_path),
    )
    assert activities(events) == [
        ("mount", "/"),
        ("mount", str(tmp_path)),
        ("umount", str(tmp_path)),
        ("memfd_create", "in memory"),
        ("uid_change", "gid 65534"),
        ("uid_change", "65534"),
        ("uid_change", "0"),
    ]


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="int 0x80 is x86's")
def test_calls_of_32_bit_programs_are_told_by_their_own_numbers(world: World) -> None:
    # push rbx; mov ebx, edi; xor ecx, ecx; mov eax, 356 (memfd_create); int 0x80; pop rbx; ret
    events = act_and_see(
        world,
        "import ctypes, mmap\n"
        "page = mmap.mmap(-1, 4096, 0x62, 7)  # below 4 GB, where such a program's memory is\n"
        "page.write(bytes.fromhex('5389fb31c9b864010000cd805bc3'))\n"
        "page.seek(256); page.write(b'narrow\\0')\n"
        "here = ctypes.addressof(ctypes.c_char.from_buffer(page))\n"
        "call = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_uint)(here)\n"
        "assert call(here + 256) >= 0, 'this kernel takes no 32-bit calls'\n",
    )
    assert activities(events) == [("memfd_create", "narrow")]


def test_attaching_to_a_process_is_told_with_its_pid(world: World) -> None:
    events = act_and_see(
        world,
        "import ctypes, os, signal, time\n"
        "libc = ctypes.CDLL(None)\n"
        "child = os.fork()\n"
        "if not child: signal.pause()\n"
        "assert libc.ptrace(16, child, 0, 0) == 0\n"
        "os.waitpid(child, 0x40000000)\n"
        "os.kill(child, 9)\n"
        "os.waitpid(child, 0)\n",
    )
    (fork,) = [e for e in world.events if isinstance(e, ProcessForked) and e.ppid == pid_of(events)]
    assert activities(events) == [("ptrace", str(fork.pid))]


def test_capabilities_given_up_are_told(world: World) -> None:
    events = act_and_see(
        world,
        "from vedette.daemon import privileges\n"
        "privileges.drop_to(frozenset({'net_admin', 'chown'}), keep_bounding=True)\n",
    )
    assert activities(events) == [("capability_change", "0000000000001001")]


def test_loading_an_ebpf_program_is_told_with_its_name(world: World) -> None:
    other = World(world.run_dir)

    async def story(_: EbpfSensor) -> None:
        second = EbpfSensor(other.context())
        await second.open()
        await second.close()
        await until(lambda: "on_exec" in names())

    def names() -> list[str]:
        return [target for activity, target in activities(world.events) if activity == "bpf_load"]

    watch(world, story)
    assert {"on_exec", "on_exit", "on_state"} <= set(names())


def test_a_class_that_is_switched_off_is_left_to_others(world: World) -> None:
    found: list[object] = []

    async def story(sensor: EbpfSensor) -> None:
        await sensor.prove("othersdo")
        await run_program(sys.executable, "-c", "import os; os.memfd_create('x')")
        found.append(dict(sensor.unserved()))

    watch(world, story, calls=False)
    assert found == [{EventClass.KERNEL: "ebpf: switched off by [sensors.ebpf] calls = false"}]
    assert activities(world.events) == []


def test_without_cgroups_connections_are_left_to_others(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cgroups, "mount_point", lambda: "")
    found: list[str] = []

    async def story(sensor: EbpfSensor) -> None:
        await sensor.prove("othersdo")
        found.append(sensor.unserved()[EventClass.NETWORK])

    watch(world, story)
    assert "cgroup v2" in found[0]


def test_connections_cannot_push_executions_out_of_the_ring(world: World) -> None:
    """A flood of datagrams while the reader stands still, and executions after it."""
    code = (
        "import os, socket\n"
        "sender = socket.socket(type=socket.SOCK_DGRAM)\n"
        "for number in range(3000):\n"
        "    sender.sendto(b'x', (f'127.0.{number >> 8}.{number & 255}', 9))\n"
        "for _ in range(20):\n"
        "    os.waitpid(os.posix_spawn('/bin/true', ['true', 'afterwards'], {}), 0)\n"
    )

    async def story(_: EbpfSensor) -> None:
        run_and_block(sys.executable, "-c", code)
        await until(lambda: of_word(world, "afterwards") == 20)

    watch(world, story, ring_kb=64)
    assert lost(world) == 0
    dropped = [e for e in world.events if isinstance(e, EventsLost)]
    told_of = sum(isinstance(e, ConnectionOpened) for e in world.events)
    assert {e.event_class for e in dropped} == {EventClass.NETWORK}
    assert told_of + sum(e.lost for e in dropped) >= 3000


SIGNALS = {
    "kill": "os.kill(target, 18)",
    "tgkill": "import signal; ctypes.CDLL(None).tgkill(target, target, 18)",
    "pidfd_send_signal": "import signal; signal.pidfd_send_signal(os.pidfd_open(target), 18)",
    "sigqueue": "ctypes.CDLL(None).sigqueue(target, 18, ctypes.c_void_p(0))",
}


@pytest.mark.parametrize("way", SIGNALS)
def test_a_signal_to_a_guarded_process_is_told_however_it_is_sent(world: World, way: str) -> None:
    with guarded_process() as process:
        code = f"import ctypes, os, sys\ntarget = int(sys.argv[1])\n{SIGNALS[way]}\n"
        events = against(world, process.pid, code)
        assert activities(events) == [("signal", f"{process.pid} 18")]


def test_reading_the_memory_of_a_guarded_process_is_told(world: World) -> None:
    code = (
        "import ctypes, sys\n"
        "class Part(ctypes.Structure):\n"
        "    _fields_ = [('base', ctypes.c_void_p), ('size', ctypes.c_size_t)]\n"
        "maps = open(f'/proc/{sys.argv[1]}/maps').readline()\n"
        "here, there = ctypes.create_string_buffer(8), int(maps.partition('-')[0], 16)\n"
        "own = Part(ctypes.addressof(here), 8)\n"
        "read = ctypes.CDLL(None).process_vm_readv\n"
        "part = [ctypes.c_void_p, ctypes.c_ulong]\n"
        "read.argtypes = [ctypes.c_int, *part, *part, ctypes.c_ulong]\n"
        "other = Part(there, 8)\n"
        "assert read(int(sys.argv[1]), ctypes.byref(own), 1, ctypes.byref(other), 1, 0) == 8\n"
    )
    with guarded_process() as process:
        events = against(world, process.pid, code)
        assert activities(events) == [("memory_access", str(process.pid))]


def test_signals_among_our_own_and_to_others_are_not_told(world: World) -> None:
    async def story(sensor: EbpfSensor) -> None:
        with guarded_process() as ours, guarded_process() as other:
            await sensor.guard(frozenset({ours.pid}))
            os.kill(ours.pid, 18)  # from its parent
            code = "import os, sys; os.kill(int(sys.argv[1]), 18)"
            pid = await run_program(sys.executable, "-c", code, str(other.pid))
            await until(lambda: ended(world, pid))

    watch(world, story)
    assert not [e for e in world.events if isinstance(e, KernelActivity) and e.activity == "signal"]


def test_a_program_that_is_detached_is_missed(world: World) -> None:
    """BPF_LINK_DETACH through a descriptor by the link's number, as any root may."""

    async def story(sensor: EbpfSensor) -> None:
        assert sensor._programs is not None
        assert await sensor.taken_away() == ""
        kernel_object = sensor._programs._object
        link = kernel_object._libbpf.bpf_link__fd(kernel_object._by_cgroup["on_connect4"])
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", DETACH, link_number(link), stderr=-1
        )
        _, said = await process.communicate()
        assert process.returncode == 0, said
        assert await sensor.taken_away() == "eBPF programs were detached: on_connect4"

    watch(world, story)


def link_number(link: int) -> str:
    """By which anybody finds it, of a link that this process holds."""
    return Path(f"/proc/self/fdinfo/{link}").read_text().split("link_id:")[1].split()[0]


DETACH = """
import ctypes, os, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
BPF_LINK_GET_FD_BY_ID, BPF_LINK_DETACH = 30, 34
number = {"x86_64": 321, "aarch64": 280}[os.uname().machine]
def call(command, *words):
    attribute = ctypes.create_string_buffer(struct.pack(f"={len(words)}I", *words), 64)
    result = libc.syscall(number, command, attribute, 64)
    assert result >= 0, os.strerror(ctypes.get_errno())
    return result
call(BPF_LINK_DETACH, call(BPF_LINK_GET_FD_BY_ID, int(sys.argv[1])))
"""


@contextlib.contextmanager
def guarded_process() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "600"]) as process:
        try:
            yield process
        finally:
            process.kill()


def against(world: World, target: int, code: str) -> list[Event]:
    """What is told of a program that does something to a guarded process."""
    pids: list[int] = []

    async def story(sensor: EbpfSensor) -> None:
        await sensor.guard(frozenset({target}))
        pids.append(await run_program(sys.executable, "-c", code, str(target)))
        await until(lambda: ended(world, pids[0]))

    watch(world, story)
    return [e for e in world.events if getattr(e, "pid", 0) == pids[0]]
