"""`make torture`: end the agent's processes by SIGKILL at random moments, again and again.

Rule 1: one device goes through all rounds, and what it promised in one is held against it in all
that follow; so damage that shows late shows.
Rule 2: half of the kills come right after the n-th change of the disk, where damage is likely and
which no clock would hit; the other half at a random time.
Rule 3: a round whose process ended in another way than by a kill is bad.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple, Protocol

import psutil
from tests.powercut import recording
from tests.powercut.live import sentinel, updates
from tests.powercut.recording import NoCompilerError
from tests.powercut.story import BadStateError, Promises
from tests.system._site import Running

from vedette.errors import VedetteError
from vedette.trust.content_gate import MAX_STARTS

ROUNDS: Final = 300
WAIT_S: Final = 30.0


class Kill(NamedTuple):
    """When a process is ended.

    Attributes:
        change: right after so many changes of its disk; 0 for none.
        after_s: so long after its start; 0.0 for never.
    """

    change: int
    after_s: float

    def environment(self, library: Path, root: Path, log: Path, victim: str) -> dict[str, str]:
        """What ends a process at a change: see tests/simulators/recorded_disk.c."""
        if not self.change:
            return {}
        return {
            "LD_PRELOAD": str(library),
            "VEDETTE_RECORD_ROOT": str(root.resolve()),
            "VEDETTE_RECORD_LOG": str(log),
            "VEDETTE_RECORD_KILL": str(self.change),
            "VEDETTE_RECORD_VICTIM": victim,
        }


class Tally(NamedTuple):
    """How rounds of one victim ended: `killed` at work, or `finished` before the kill came."""

    killed: int
    finished: int


def draw(chance: random.Random, changes: int, seconds: float) -> Kill:
    """A moment, for work that makes so many changes and takes so long."""
    if chance.random() < 0.5:
        return Kill(chance.randint(1, changes), 0.0)
    return Kill(0, chance.uniform(0.05, seconds))


class SentinelRounds:
    """The sentinel, killed while it starts, records, takes new rules into use.

    Args:
        folder: of the device.
        library: the recorder.
    """

    VICTIM: Final = "vedette.daemon.sentinel_main"
    CHANGES: Final = 150
    SECONDS: Final = 2.7

    def __init__(self, folder: Path, library: Path) -> None:
        self._folder, self._library = folder, library
        self._marks: list[str] = []
        self._site = sentinel.device(folder)
        self._number = 1
        self._starts = 0
        self._site.offer(sentinel.SEEN, counter=1)
        self._marks.append("begun 1")

    def close(self) -> None:
        """Remove what lies outside of the device's folder."""
        shutil.rmtree(self._site.run, ignore_errors=True)

    def play(self, chance: random.Random) -> bool:
        """One round; whether the process was killed before its work was done.

        Raises:
            BadStateError: what an earlier round was promised does not hold, or it ended by itself.
        """
        kill = draw(chance, self.CHANGES, self.SECONDS)
        log = self._folder / "record"
        log.unlink(missing_ok=True)
        environment = kill.environment(self._library, self._site.folder, log, self.VICTIM)
        self._starts += 1
        running = Running(self._site, environment=environment)
        try:
            with ended_after(kill.after_s, lambda: running.process), running:
                self._work()
                running.stop(signal.SIGKILL)
        except BadStateError:
            raise
        except (VedetteError, AssertionError, OSError) as error:  # the answers ended with it
            code = running.process.wait(WAIT_S)
            if code != -signal.SIGKILL:
                raise BadStateError(f"the sentinel ended with {code}: {error}") from error
            return True
        return False

    def _work(self) -> None:
        status = sentinel.require_good(self._site, Promises(self._promised()))
        self._marks = [f"sequence {status['uplink']['newest']}"]
        self._marks.append(f"epoch {status['journal']['epoch']}")
        self._marks += [f"{word} {status['rules']['counter']}" for word in ("begun", "done")]
        self._number += 1
        sentinel.work(self._site, self._number, self._mark)

    def _mark(self, mark: str) -> None:
        self._marks.append(mark)
        if mark.startswith("done "):
            self._starts = 0

    def _promised(self) -> list[str]:
        """Rules on trial under which the agent ended again and again are rightly given back."""
        if self._starts <= MAX_STARTS:
            return self._marks
        return [mark for mark in self._marks if not mark.startswith("done ")]


class UpdateRounds:
    """Updater or installer, killed while a release is fetched, verified and applied.

    Args:
        folder: of the device and its repository.
        library: the recorder.
        victim: the module of the process that is killed.
        changes: that it makes in a run, about.
    """

    SECONDS: Final = 0.6

    def __init__(self, folder: Path, library: Path, victim: str, changes: int) -> None:
        self._folder, self._library = folder, library
        self._victim, self._changes = victim, changes
        self._site = updates.device(folder)
        self._publisher = updates.Publisher(folder, self._site)
        self._site.bundle.unlink(missing_ok=True)
        self._number = 0

    def close(self) -> None:
        """Nothing lies outside of the folder."""

    def play(self, chance: random.Random) -> bool:
        """One round: a run that is killed, then one that ends what it had begun.

        Raises:
            BadStateError: the state is not good after either.
        """
        before = self._number
        self._number += 1
        offered = self._site.bundle.read_bytes() if before else b""
        self._publisher.publish(self._number)
        self._site.bundle.write_bytes(offered)
        was_killed = self._killed(draw(chance, self._changes, self.SECONDS))
        marks = [f"done {before}", f"begun {self._number}"]
        updates.require_good(self._site, self._folder, Promises(marks))
        code = updates.install(self._site, self._folder, self._number)
        if code:
            raise BadStateError(f"the run after the kill ended with {code}")
        marks = [f"done {self._number}", f"begun {self._number}"]
        updates.require_good(self._site, self._folder, Promises(marks))
        updates.forget_steps(self._site)
        return was_killed

    def _killed(self, kill: Kill) -> bool:
        """Run an update whose updater or installer is killed; whether it was, before the end."""
        log = self._folder / "record"
        log.unlink(missing_ok=True)
        more = kill.environment(self._library, self._site.folder, log, self._victim)
        argv = updates.command(self._site, self._folder, self._number)
        started_s = time.monotonic()
        with subprocess.Popen(
            argv, env={**os.environ, **more}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as update:
            if kill.after_s:
                self._end_child(update, started_s + kill.after_s)
            return update.wait(WAIT_S) != 0

    def _end_child(self, update: subprocess.Popen[bytes], at_s: float) -> None:
        """Kill the victim among the children of a run of ours, once the time has come."""
        while update.poll() is None and time.monotonic() < at_s:
            with suppress(subprocess.TimeoutExpired):
                update.wait(max(0.0, at_s - time.monotonic()))
        with suppress(psutil.Error):
            for child in psutil.Process(update.pid).children():
                if self._victim in child.cmdline():
                    child.kill()


@contextmanager
def ended_after(seconds: float, process: Callable[[], subprocess.Popen[bytes]]) -> Iterator[None]:
    """Kill a process of ours so long after now, unless the block ends before; 0.0 for never."""

    def end() -> None:
        with suppress(AttributeError, OSError):  # not started yet: this round is not cut off
            process().kill()

    timer = threading.Timer(seconds, end)
    if seconds:
        timer.start()
    try:
        yield
    finally:
        timer.cancel()


class Rounds(Protocol):
    """A device that is tortured."""

    def play(self, chance: random.Random) -> bool:
        """One round; whether the victim was killed at work."""

    def close(self) -> None:
        """Remove what lies outside of the device's folder."""


VICTIMS: Final[Mapping[str, Callable[[Path, Path], Rounds]]] = {
    "sentinel": SentinelRounds,
    "updater": partial(UpdateRounds, victim="vedette.daemon.updater", changes=4),
    "installer": partial(UpdateRounds, victim="vedette.daemon.installer", changes=110),
}


def run(name: str, rounds: int, seed: int) -> Tally:
    """Torture one victim on a device of its own.

    Raises:
        BadStateError: a round ended badly; its number and the seed are in the message.
        NoCompilerError: the recorder cannot be built.
    """
    chance = random.Random(f"{name} {seed}")
    with tempfile.TemporaryDirectory(prefix="vedette-torture-") as made:
        folder = Path(made)
        recording.make_passable(folder)
        victim = VICTIMS[name](folder, recording.build(folder))
        killed = 0
        try:
            for number in range(1, rounds + 1):
                try:
                    killed += victim.play(chance)
                except BadStateError as error:
                    message = f"{name}, round {number} of {rounds}, seed {seed}: {error}"
                    raise BadStateError(message) from error
        finally:
            victim.close()
    return Tally(killed, rounds - killed)


def main(argv: Sequence[str] | None = None) -> int:
    """Torture all victims; returns 1 when a round ended badly."""
    parser = argparse.ArgumentParser(prog="make torture", description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="in all")
    parser.add_argument("--only", choices=sorted(VICTIMS), action="append")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().getrandbits(32))
    options = parser.parse_args(argv)
    names = options.only or list(VICTIMS)
    print(f"{options.rounds} rounds, seed {options.seed}", flush=True)
    bad = 0
    for name in names:
        started_s = time.monotonic()
        try:
            tally = run(name, options.rounds // len(names), options.seed)
        except (BadStateError, NoCompilerError) as error:
            print(f"{name}: {error}", file=sys.stderr)
            bad += 1
            continue
        print(
            f"{name:10} {tally.killed} killed at work, {tally.finished} after it, every next start "
            f"in a good state; {time.monotonic() - started_s:.0f} s",
            flush=True,
        )
    print(f"bad outcomes: {bad}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
