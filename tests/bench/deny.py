"""What denying executions costs those that are allowed, beside the same storm without it.

Rule 1: a static program that ends at once is executed, one after the other: what is added to it is
added to every other program too. All of it lies on a file system of its own.
Rule 2: three kinds of execution: of a file known already, of one never seen (asked about once), and
of one never seen that has the size of a denied file, so that it has to be hashed while it waits.
Rule 3: beside it fapolicyd, where it is (tests/bench/_fapolicyd.py), on the same files.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.bench import _fapolicyd
from tests.bench.exec_storm import build
from tests.bench.figure import Figure, figure
from tests.simulators.exec_theatre import DEADLINE_S, Theatre, runs
from tests.simulators.mounts import PrivateMount

from vedette.errors import DeviceError
from vedette.model.response import FileTarget, Mode, Order, ResponseStatus
from vedette.ports.responder import ResponderContext
from vedette.responses.deny_exec import DenyExec

SOURCE = Path(__file__).with_name("spawn.c")
KNOWN = 20_000
NEW = 2_000
QUICK = 10
AT_ONCE = 8
BUDGET_PSS_MB = 8.0
TICKS = os.sysconf("SC_CLK_TCK")


class Storm(NamedTuple):
    """How long a storm took, and each of its executions."""

    seconds: float
    p50_us: float
    p99_us: float
    executions: int


class Tools:
    """What was compiled: the storm and the tiny program."""

    def __init__(self, folder: Path) -> None:
        programs = build(folder)
        self.tiny = list(programs.targets.values())[-1]
        self._spawn = folder / "spawn"
        command = ["gcc", "-O2", "-o", str(self._spawn), str(SOURCE)]
        made = subprocess.run(command, capture_output=True, text=True, check=False)
        if made.returncode:
            raise DeviceError(f"gcc: {made.stderr.strip()[:300]}")

    def copies(self, folder: Path, count: int) -> list[Path]:
        """Programs of one size, each with a content of its own."""
        word = secrets.token_hex(8)
        content = self.tiny.read_bytes()
        made = [folder / f"{word}-{number}" for number in range(count)]
        for number, path in enumerate(made):
            path.write_bytes(content + f"{word}{number:016d}".encode())
            path.chmod(0o755)
        return made

    def storm(self, paths: Sequence[Path], count: int, at_once: int = 1) -> Storm:
        """Execute, going round the paths."""
        argv = [str(self._spawn), str(count), str(at_once), *map(str, paths)]
        done = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=300)
        seconds, p50, p99 = map(float, done.stdout.split())
        return Storm(seconds, p50, p99, count)


def figures(*, is_quick: bool) -> Iterator[Figure]:
    """Without, with the holder, with fapolicyd."""
    if os.geteuid() != 0:
        raise DeviceError("only root can watch a file system: run it with sudo")
    share = QUICK if is_quick else 1
    known, new = KNOWN // share, NEW // share
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "tools").mkdir()
        tools = Tools(folder / "tools")
        bare = _bare(tools, folder, known, new)
        yield from _told("nothing denies", bare, bare)
        yield from _held(tools, folder / "holder", known, new, bare)
        try:
            yield from _beside(tools, folder / "beside", known, new, bare)
        except DeviceError as error:
            print(f"# {error}", file=sys.stderr)


def _bare(tools: Tools, folder: Path, known: int, new: int) -> dict[str, Storm]:
    place = folder / "bare"
    place.mkdir()
    ours = PrivateMount(place, "ramfs")
    try:
        return _storms(tools, place, known, new)
    finally:
        ours.close()


def _storms(tools: Tools, place: Path, known: int, new: int) -> dict[str, Storm]:
    one = tools.copies(place, 1)
    tools.storm(one, 1)
    return {
        "known file": tools.storm(one, known),
        "new file": tools.storm(tools.copies(place, new), new),
        f"new files, {AT_ONCE} at once": tools.storm(tools.copies(place, new), new, AT_ONCE),
    }


def _held(
    tools: Tools, folder: Path, known: int, new: int, bare: dict[str, Storm]
) -> Iterator[Figure]:
    folder.mkdir()
    theatre = Theatre(folder, kind="ramfs")
    try:
        bad = theatre.program("bad", tail=b"of a size that nothing here has")
        _deny(theatre, bad)
        pids = (theatre.stage.holder, theatre.stage.guardian)
        before_s = sum(map(_cpu_s, pids))
        storms = _storms(tools, theatre.mount_point, known, new)
        spent_s = sum(map(_cpu_s, pids)) - before_s
        yield from _told("holder", storms, bare)
        asked = 2 * new
        yield figure("deny, holder: CPU per question", [spent_s / asked * 1e6], "us")
        yield _decisions("holder", storms)
        _deny(theatre, tools.copies(theatre.mount_point, 1)[0])
        hashed = tools.copies(theatre.mount_point, new)
        storms = {"new file, hashed": tools.storm(hashed, new)}
        yield from _told("holder", storms, {"new file, hashed": bare["new file"]})
        yield from _denials(theatre, bad, new)
        taken, here = [_rollup(pid) for pid in pids], _rollup(os.getpid())
    finally:
        theatre.close()
    yield from _memory(taken, _rollup(os.getpid())["Pss_File"] - here["Pss_File"])


def _denials(theatre: Theatre, bad: Path, count: int) -> Iterator[Figure]:
    """A denied file is asked about each time: nobody lets it pass."""
    assert not runs(bad)
    began_s = time.monotonic()
    for _ in range(count):
        try:
            os.posix_spawn(bad, [str(bad)], {})
        except PermissionError:
            continue
        raise DeviceError("a denied program ran")
    rate = count / (time.monotonic() - began_s)
    yield figure("deny, holder: denials, one after the other", [rate], "a second")


def _beside(
    tools: Tools, folder: Path, known: int, new: int, bare: dict[str, Storm]
) -> Iterator[Figure]:
    place = folder / "mount"
    place.mkdir(parents=True)
    ours = PrivateMount(place, "ramfs")
    try:
        one = tools.copies(place, 1)
        fresh = [tools.copies(place, new) for _ in range(2)]
        with _fapolicyd.running(folder, [*one, *fresh[0], *fresh[1]]) as pid:
            tools.storm(one, 1)
            before_s = _cpu_s(pid)
            storms = {
                "known file": tools.storm(one, known),
                "new file": tools.storm(fresh[0], new),
                f"new files, {AT_ONCE} at once": tools.storm(fresh[1], new, AT_ONCE),
            }
            spent_s = _cpu_s(pid) - before_s
        yield from _told("fapolicyd", storms, bare)
        executions = known + 2 * new
        yield figure("deny, fapolicyd: CPU per execution", [spent_s / executions * 1e6], "us")
        yield _decisions("fapolicyd", storms)
    finally:
        ours.close()


def _decisions(who: str, storms: dict[str, Storm]) -> Figure:
    """Of files never seen, each of which has to be asked about."""
    storm = storms[f"new files, {AT_ONCE} at once"]
    name = f"deny, {who}: decisions"
    return figure(name, [storm.executions / storm.seconds], "a second", None, f"{AT_ONCE} at once")


def _told(who: str, storms: dict[str, Storm], bare: dict[str, Storm]) -> Iterator[Figure]:
    for name, storm in storms.items():
        without, head = bare[name], f"deny, {who}, {name}"
        note = "the same storm without it"
        yield figure(f"{head}: p50", [storm.p50_us], "us", without.p50_us, note)
        yield figure(f"{head}: p99", [storm.p99_us], "us", without.p99_us, note)
        if storm is not without:
            yield figure(f"{head}: added, p50", [storm.p50_us - without.p50_us], "us")
            yield figure(f"{head}: added, p99", [storm.p99_us - without.p99_us], "us")
        rate, before = storm.executions / storm.seconds, without.executions / without.seconds
        yield figure(f"{head}: executions", [rate], "a second", before, note)


def _memory(taken: Sequence[Mapping[str, int]], shared_kb: int) -> Iterator[Figure]:
    """What holder and guardian have; and what is more for them, since they share files with others.

    Pss divides the interpreter's file by all who map it. Here that is this process, on a device the
    sentinel: what it has less while they run (`shared_kb`) is nothing that they added.
    """
    for kind in ("Pss", "Anonymous", "Locked"):
        total = sum(rows[kind] for rows in taken) / 1024
        yield figure(f"deny, holder and guardian: {kind}", [total], "MB")
    more = (sum(rows["Pss"] for rows in taken) - shared_kb) / 1024
    note = "budget; beside one process of the same interpreter"
    yield figure("deny, holder and guardian: memory more", [more], "MB", BUDGET_PSS_MB, note)


def _rollup(pid: int) -> dict[str, int]:
    rows = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    return {row.partition(":")[0]: int(row.split()[1]) for row in rows}


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def _deny(theatre: Theatre, path: Path) -> None:
    folder = theatre.mount_point.parent
    responder = DenyExec(ResponderContext(folder, folder, options={"socket": str(theatre.socket)}))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    target = FileTarget(str(path), digest)
    order = Order(
        secrets.token_hex(8), "deny_exec", target, Mode.ENFORCE, "bench", "", "", DEADLINE_S
    )
    outcome = responder.act(order, responder.plan(order))
    if outcome.status is not ResponseStatus.DONE:
        raise DeviceError(f"the holder denies nothing: {outcome.detail}")
