"""One sensor alone in a process of its own, which counts what it sees of a storm.

usage: python -m tests.bench._storm_watcher SENSOR WORD [OPTION...]
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


def cpu_s() -> float:
    """Processor time of this process so far."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def main(name: str, word: str, *options: str) -> None:
    """Watch until standard input ends."""
    counts = Counts(word)
    with tempfile.TemporaryDirectory() as folder:
        context = SensorContext(
            emit=counts.take,
            run_dir=Path(folder),
            state_dir=Path(folder),
            options=dict.fromkeys(options, True),
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
