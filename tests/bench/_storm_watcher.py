"""One sensor alone in a process of its own, which counts what it sees of a storm.

usage: python -m tests.bench._storm_watcher SENSOR WORD BUNDLE [OPTION...]
BUNDLE is a file of rules that the whole core then judges every event by, or "-" for the sensor
alone; an OPTION of the sensor is NAME (true) or NAME=NUMBER.
Commands on standard input, an answer in JSON to each: `begin`, `stall SECONDS`, `report`.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import resource
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from vedette.codec import bundle as bundle_codec
from vedette.core.agent import Agent, AgentSettings
from vedette.core.commands import Continue
from vedette.core.inputs import Continued, LookedUp, Observed, RulesLoaded, Seeded
from vedette.daemon import facts
from vedette.errors import SensorError
from vedette.model.event import Event, EventClass, EventsLost, ProcessStarted
from vedette.ports.sensor import Sensor, SensorContext

QUIET_S = 2.5
"""Losses are told a second after the last record, twice where the kernel has to be asked."""
DEADLINE_S = 20.0
_LOOK_S = 0.1


class Counts:
    """What came of the storm whose last argument is the word."""

    def __init__(self, word: str) -> None:
        self._word = word
        self.begin()

    def begin(self) -> None:
        """Count from zero."""
        self.with_argv = self.without_argv = self.lost = 0
        self.last_s = time.monotonic()
        self._cpu_s = cpu_s()

    def take(self, batch: Sequence[Event]) -> None:
        """Count a batch."""
        for event in batch:
            if isinstance(event, ProcessStarted):
                if event.command_line.endswith(self._word):
                    self.with_argv += 1
                    self.last_s = time.monotonic()
                elif not event.command_line:
                    # Whose it was nobody knows; the storm is nearly all there is.
                    self.without_argv += 1
                    self.last_s = time.monotonic()
            elif isinstance(event, EventsLost) and event.event_class is EventClass.PROCESS:
                self.lost += event.lost
                self.last_s = time.monotonic()

    async def report(self) -> dict[str, float]:
        """Wait until nothing comes any more, then say what came."""
        end_s = time.monotonic() + DEADLINE_S
        while time.monotonic() < min(end_s, self.last_s + QUIET_S):  # noqa: ASYNC110
            await asyncio.sleep(_LOOK_S)
        return {
            "with_argv": self.with_argv,
            "seen": self.with_argv + self.without_argv,
            "lost": self.lost,
            "cpu_s": cpu_s() - self._cpu_s,
        }


class Judge:
    """The core, fed as the sentinel's shell feeds it."""

    def __init__(self, bundle: Path) -> None:
        self._agent = Agent(AgentSettings("bench", "bench", "0" * 32))
        commands = self._agent.handle(
            RulesLoaded(*_now(), bundle_codec.decode(bundle.read_bytes()))
        )
        while Continue() in commands:
            commands = self._agent.handle(Continued(*_now()))
        self._agent.handle(Seeded(*_now(), facts.snapshot(), facts.users()))

    def take(self, batch: Sequence[Event]) -> None:
        """Judge a batch."""
        unknown = self._agent.unknown_pids(batch)
        found = facts.lookup_chains(unknown, self._agent.processes) if unknown else ()
        if found:
            self._agent.handle(LookedUp(*_now(), found))
        self._agent.handle(Observed(*_now(), tuple(batch)))


def _now() -> tuple[float, float]:
    return time.clock_gettime(time.CLOCK_BOOTTIME), time.time()


def cpu_s() -> float:
    """Processor time of this process so far."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def main(name: str, word: str, bundle: str, *options: str) -> None:
    """Watch until standard input ends."""
    counts = Counts(word)
    judge = Judge(Path(bundle)) if bundle != "-" else None

    def take(batch: Sequence[Event]) -> None:
        if judge is not None:
            judge.take(batch)
        counts.take(batch)

    with tempfile.TemporaryDirectory() as folder:
        context = SensorContext(
            emit=take,
            run_dir=Path(folder),
            state_dir=Path(folder),
            options={key: int(value) if value else True for key, value in map(_option, options)},
        )
        sensor: Sensor = importlib.import_module(f"vedette.sensors.{name}").sensor_class(context)
        try:
            await sensor.open()
            await sensor.prove("stormwatcher")
            answer({"ready": True})
            while line := await asyncio.to_thread(sys.stdin.readline):
                await obey(line.split(), counts)
        except SensorError as error:
            answer({"error": str(error)})
        finally:
            await sensor.close()


def _option(text: str) -> tuple[str, str]:
    key, _, value = text.partition("=")
    return key, value


async def obey(words: list[str], counts: Counts) -> None:
    """Carry out one command."""
    match words:
        case ["begin"]:
            counts.begin()
            answer({})
        case ["stall", seconds]:
            answer({})
            time.sleep(float(seconds))  # noqa: ASYNC251 - a consumer that stands still is the point
        case ["report"]:
            answer(await counts.report())
        case _:
            answer({"error": f"expected begin, stall or report, got {words}"})


def answer(said: Mapping[str, object]) -> None:
    """One line to whoever measures."""
    print(json.dumps(dict(said)), flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
