"""From an attack's start to its containment on a busy machine, and how far it got.

Rule 1: it runs in a network of its own with the agent, a broker and a peer, beside a loop of
executions and one spinning process for each core; all that is contained is the run's own.
Rule 2: an attack logs its own progress in memory (intruder.c): it began when its first instruction
ran and is contained when it got no further, whoever stopped it; one that was ended before it did
anything counts as 0 ms. For a blocked peer the receiver tells how far it got.
Rule 3: beside it, in the same run, how far the same attack gets while the agent observes.
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import os
import secrets
import shutil
import signal
import statistics
import string
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.bench._agent import REPOSITORY
from tests.bench.figure import Figure, figure, to_line

from vedette.errors import DeviceError
from vedette.model.finding import Severity
from vedette.model.playbook import Step
from vedette.model.rule import Bundle, Match, Rule
from vedette_dev.enforcement import LASTS_S, Enforcement, playbook
from vedette_dev.session import Session

RUNS, QUICK_RUNS = 200, 20
FREE_RUNS = 3
COUNT = 2_000
"""Steps of an attack that nobody stops: some seconds beside processes that spin."""
STILL_S = 0.25
"""An attack that has not moved for so long is contained: it wants to move every 20 us, and waits
some milliseconds for a core."""
BEGIN_S = 2.0
"""So long after its start an attack that was stopped before its first instruction is known."""
DEADLINE_S = 60.0
PEERS, OURS, PORT = "10.77.0.0/16", "10.77.255.254/16", 7777
"""Each attack sends to another address: a block that a person undid is not made again for an hour
(core/active_responses.py, FORGIVEN_S)."""
SOURCE = Path(__file__).with_name("intruder.c")
SINK = Path(__file__).with_name("_sink.py")
BUDGETS = {"kill p50": 5.0, "kill p99": 25.0, "block_peer p99": 50.0}
UNITS = {"kill": "files", "freeze": "files", "quarantine": "uses", "block_peer": "KB"}


class Run(NamedTuple):
    """One attack: milliseconds until it got no further, and how far."""

    contained_ms: float
    steps: int


def figures(*, is_quick: bool) -> Iterator[Figure]:
    """In a network of its own: this module again, as a program."""
    if os.geteuid() != 0 or shutil.which("unshare") is None or shutil.which("gcc") is None:
        raise DeviceError("needs root, unshare (util-linux) and gcc")
    argv = ["unshare", "--net", sys.executable, "-m", "tests.bench.containment"]
    environment = {**os.environ, "PYTHONPATH": "agent:."}
    done = subprocess.run(
        [*argv, "--quick"] if is_quick else argv,
        cwd=REPOSITORY, env=environment, stdout=subprocess.PIPE, text=True, check=False,
    )  # fmt: skip
    for line in done.stdout.splitlines():
        found = json.loads(line)
        yield Figure(**found)
    if done.returncode:
        raise DeviceError(f"the measurement left with {done.returncode}")


def main(*, is_quick: bool) -> int:
    """Measure and print one JSON line for each figure."""
    runs = QUICK_RUNS if is_quick else RUNS
    word = "".join(secrets.choice(string.ascii_lowercase) for _ in range(8))
    place = REPOSITORY / "build"
    place.mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory(dir=place) as name,
        peer() as sink,
        Session(Path(name) / ".dev", lambda _: None, rules=REPOSITORY / "rules") as session,
        busy(Path(name)),
    ):
        scene = Scene(session, Path(name), word, sink)
        for kind in UNITS:
            free = scene.measure(kind, FREE_RUNS, is_enforced=False)
            held = scene.measure(kind, runs, is_enforced=True)
            for found in _figures(kind, free, held):
                print(to_line(found), flush=True)
    return 0


def _figures(kind: str, free: Sequence[Run], held: Sequence[Run]) -> Iterator[Figure]:
    times = sorted(one.contained_ms for one in held)
    note = f"{len(held)} runs, {os.cpu_count()} cores busy with something else"
    for name, value in (("p50", statistics.median(times)), ("p99", _p99(times))):
        budget = BUDGETS.get(f"{kind} {name}")
        yield figure(
            f"attack to {kind}: {name}", [value], "ms", budget, note if budget is None
            else f"budget; {note}",
        )  # fmt: skip
    steps = sorted(float(one.steps) for one in held)
    unit = UNITS[kind]
    note = f"beside the same attack while the agent observes; at most {steps[-1]:.0f} {unit}"
    without = statistics.median(one.steps for one in free)
    yield figure(f"attack to {kind}: how far it got", steps, unit, without, note)


def _p99(values: Sequence[float]) -> float:
    return values[max(0, -(-99 * len(values) // 100) - 1)]


class Scene:
    """Attacks against one running agent.

    Args:
        session: the agent.
        folder: where programs and logs are; its `hot` is watched.
        word: of everything that may be contained.
        sink: reads how many KB the peer has got from which port, and when the last of them came.
    """

    def __init__(self, session: Session, folder: Path, word: str, sink: Sink) -> None:
        self._session, self._word, self._sink = session, word, sink
        self._folder = folder
        self._hot = session.running.root
        self._peers = map(str, ipaddress.ip_network(PEERS).hosts())
        self._intruder = folder / "intruder"
        _compile(self._intruder)

    def measure(self, kind: str, runs: int, *, is_enforced: bool) -> list[Run]:
        """Play one kind of attack so many times."""
        name = f"{self._word}-{kind}"
        program = Path(shutil.copy(self._intruder, self._folder / name))
        rules = (_rule(kind, name),)
        steps = {
            "kill": (Step("kill", "process", 0),),
            "freeze": (Step("freeze", "process", LASTS_S),),
            "quarantine": (Step("quarantine", "file", LASTS_S),),
            "block_peer": (Step("block_peer", "peer", LASTS_S),),
        }[kind]
        books = (playbook(f"bench-{kind}".replace("_", "-"), [rules[0].rule_id], steps),)
        bundle = Bundle("bench", 1, 0, 0, rules, (), "")
        chosen = books if is_enforced else ()
        with Enforcement(self._session.running, self._word, chosen, bundle) as enforcement:
            return [self._play(kind, program, number, enforcement) for number in range(runs)]

    def _play(self, kind: str, program: Path, number: int, enforcement: Enforcement) -> Run:
        log = self._folder / f"{program.name}-{number}.log"
        target = self._hot / f"{self._word}-{number}"
        argv = {
            "kill": ["files", log, target, COUNT],
            "freeze": ["files", log, target, COUNT],
            "quarantine": ["file", log, target / f"{self._word}-dropped", COUNT],
            "block_peer": ["send", log, next(self._peers), PORT, COUNT],
        }[kind]
        target.mkdir()
        process = subprocess.Popen([program, *map(str, argv)], stdin=subprocess.DEVNULL)
        try:
            found = self._until_still(kind, log, process)
        finally:
            enforcement.undo_all()
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGKILL)
            process.wait(DEADLINE_S)
            shutil.rmtree(target, ignore_errors=True)
            log.unlink(missing_ok=True)
        return found

    def _until_still(self, kind: str, log: Path, process: subprocess.Popen[bytes]) -> Run:
        """Wait until it got no further for a while, or has ended."""
        spawned_s = time.monotonic()
        while time.monotonic() < spawned_s + DEADLINE_S:
            began_s, last_s, steps = _read_log(log)
            has_ended = process.poll() is not None
            still_s = STILL_S if began_s else BEGIN_S
            if has_ended or time.monotonic() - max(last_s, spawned_s) > still_s:
                if kind == "block_peer":
                    last_s, steps = self._sink.got()
                return Run(max(0.0, last_s - began_s) * 1000, steps)
            time.sleep(0.01)
        raise DeviceError(f"{kind}: an attack neither ended nor was stopped in {DEADLINE_S:g} s")


def _rule(kind: str, name: str) -> Rule:
    category = {"quarantine": "file_event", "block_peer": "network_connection"}.get(
        kind, "process_creation"
    )
    field, value = ("Image", f"/{name}") if kind != "quarantine" else (
        "TargetFilename", "-dropped"
    )  # fmt: skip
    match = Match(field, "endswith", value, is_cased=False)
    return Rule(f"bench-{kind}", name, "bench", Severity.HIGH, (), category, match, (field,))


def _read_log(log: Path) -> tuple[float, float, int]:
    """When it began, when it got furthest (monotonic seconds), and how far."""
    try:
        began_ns, last_ns, steps = struct.unpack("qqq", log.read_bytes())
    except (OSError, struct.error):
        return 0.0, 0.0, 0
    return began_ns / 1e9, last_ns / 1e9, steps


def _compile(program: Path) -> None:
    done = subprocess.run(
        ["gcc", "-O2", "-o", program, SOURCE], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise DeviceError(f"gcc could not build {SOURCE.name}: {done.stderr.strip()}")


@contextlib.contextmanager
def busy(folder: Path) -> Iterator[None]:
    """A spinning process for each core, and executions without end."""
    spins = [["sh", "-c", "while :; do :; done"] for _ in range(os.cpu_count() or 1)]
    execs = ["sh", "-c", "while :; do /bin/true; done"]
    started = [
        subprocess.Popen(argv, cwd=folder, stdin=subprocess.DEVNULL, start_new_session=True)
        for argv in (*spins, execs)
    ]
    try:
        yield
    finally:
        for process in started:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(DEADLINE_S)


class Sink:
    """The peer: it takes what is sent, and says how much of the newest connection came."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def got(self) -> tuple[float, int]:
        """When the last byte of the newest connection came (monotonic seconds), and its KB."""
        if self._process.stdin is None or self._process.stdout is None:
            raise RuntimeError("expected a sink with pipes")
        self._process.stdin.write("?\n")
        self._process.stdin.flush()
        last_s, size_bytes = self._process.stdout.readline().split()
        return float(last_s), int(size_bytes) // 1024


@contextlib.contextmanager
def peer() -> Iterator[Sink]:
    """Other hosts, as many as there are addresses, in a network of their own, behind a cable."""
    _ip("link", "set", "lo", "up")
    process = subprocess.Popen(
        ["unshare", "--net", sys.executable, "-IS", str(SINK), str(PORT)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    try:
        if process.stdout is None or process.stdin is None:
            raise RuntimeError("expected a sink with pipes")
        process.stdout.readline()  # it is in its own network now
        _ip("link", "add", "vb0", "type", "veth", "peer", "name", "vb1", "netns", str(process.pid))
        _ip("addr", "add", OURS, "dev", "vb0")
        _ip("link", "set", "vb0", "up")
        enter = ["nsenter", "-t", str(process.pid), "-n"]
        for words in (("link", "set", "lo", "up"), ("link", "set", "vb1", "up"),
                      ("route", "add", "local", PEERS, "dev", "vb1"),
                      ("route", "add", OURS.replace("/16", "/32"), "dev", "vb1")):  # fmt: skip
            subprocess.run([*enter, "ip", *words], check=True)
        process.stdin.write("listen\n")
        process.stdin.flush()
        process.stdout.readline()
        yield Sink(process)
    finally:
        process.kill()
        process.wait(DEADLINE_S)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


if __name__ == "__main__":
    sys.exit(main(is_quick="--quick" in sys.argv))
