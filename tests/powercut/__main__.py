"""`make powercut`: cut the power at every point of what the stores do, in every way it may go.

Each story (tests/powercut/stories/) is recorded once; then the disk is cut after each of its
operations, with the changes that were not synced kept, dropped or torn, and a start must find the
old state or the new one (tests/powercut/disk.py says what a cut disk may be).
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from tests.powercut import campaign, recording, story
from tests.powercut.campaign import Outcome
from tests.powercut.operations import RecordError
from tests.powercut.recording import NoCompilerError, Recording

STATES: Final = 45_000
"""Asked of all stories together, in even parts; most have fewer that differ."""
FEWEST: Final = 6
"""Of a cut point, in the stories that have many of them."""
LEAST: Final = 10_000
PROCESSES: Final = 100
"""States on which the real processes start, for all live stories together."""
SHARES: Final = 4
"""Parts of a story, so that both processors have work to the end."""
STORES: Final = story.names(story.STORES)
LIVE: Final = story.names(story.LIVE)
ALL: Final = [*LIVE, *STORES]


class Task(NamedTuple):
    """A share of a story; as `campaign.run` has it."""

    name: str
    recording: Recording
    quota: int
    seed: int
    share: tuple[int, int]
    is_live: bool = False

    def run(self) -> Outcome:
        """Try it."""
        return campaign.run(
            self.name, self.recording, self.quota, self.seed, self.share, is_live=self.is_live
        )


def main(argv: Sequence[str] | None = None) -> int:
    """Run them; returns 1 when a state was bad, 2 when it could not be tried."""
    options = _options(argv)
    names = _playable([name for name in ALL if not options.only or name in options.only])
    print(f"{len(names)} stories, seed {options.seed}", flush=True)
    started_s = time.monotonic()
    try:
        with recorded(names) as recordings:
            tasks = [task for name in names for task in _tasks(name, recordings, options)]
            outcomes = try_all(tasks, options.jobs)
    except (NoCompilerError, RecordError, subprocess.CalledProcessError) as error:
        print(f"could not be recorded: {error}", file=sys.stderr)
        return 2
    return _sum_up(outcomes, time.monotonic() - started_s, is_whole=not options.only)


@contextmanager
def recorded(names: Sequence[str]) -> Iterator[dict[str, Recording]]:
    """The recordings of these stories."""
    with tempfile.TemporaryDirectory(prefix="vedette-powercut-") as made:
        library = recording.build(Path(made))
        found: dict[str, Recording] = {}
        for name in names:
            folder = Path(made, name)
            folder.mkdir()
            found[name] = recording.record(name, library, folder)
        yield found


def _playable(names: Sequence[str]) -> list[str]:
    refusals = {name: story.load(name).refusal() for name in names}
    for name, reason in refusals.items():
        if reason:
            print(f"{name}: left out, {reason}", flush=True)
    return [name for name in names if not refusals[name]]


def _tasks(
    name: str, recordings: dict[str, Recording], options: argparse.Namespace
) -> Iterator[Task]:
    """A story's work, in shares."""
    played = recordings[name]
    cuts = len(played.operations) + 1
    if name in LIVE:
        every = max(1, cuts * len(LIVE) // max(1, options.processes))
        for first in range(SHARES):
            share = (every * first + every // 2, every * SHARES)
            yield Task(name, played, 1, options.seed, share, is_live=True)
        return
    quota = max(FEWEST, options.states // len(STORES) // cuts)
    for first in range(SHARES):
        yield Task(name, played, quota, options.seed, (first, SHARES))


def try_all(tasks: Sequence[Task], jobs: int) -> dict[str, Outcome]:
    """Do all tasks; prints each story when it is done."""
    outcomes = {task.name: Outcome(task.name) for task in tasks}
    with ProcessPoolExecutor(jobs) as pool:
        running = {pool.submit(task.run): task.name for task in tasks}
        left = Counter(running.values())
        for done in as_completed(running):
            name = running[done]
            outcomes[name].add(done.result())
            left[name] -= 1
            if not left[name]:
                _tell(outcomes[name])
    return outcomes


def _tell(outcome: Outcome) -> None:
    print(
        f"{outcome.name:22} {outcome.cuts:5,} cut points  {outcome.states:6,} states  "
        f"{outcome.nested:5,} cut again in recovery  {outcome.bad} bad",
        flush=True,
    )
    for told in outcome.told:
        print(told, file=sys.stderr)


def _sum_up(outcomes: dict[str, Outcome], took_s: float, *, is_whole: bool) -> int:
    total, live = Outcome("all"), Outcome("live")
    for name, outcome in outcomes.items():
        (live if name in LIVE else total).add(outcome)
    bad = total.bad + live.bad
    print(
        f"{total.cuts:,} cut points tried; recovered from {total.states:,} distinct states "
        f"({total.nested:,} of them cut again in recovery), and {live.states} times with the real "
        f"processes; bad outcomes: {bad}; {took_s:.0f} s"
    )
    if is_whole and (total.states < LEAST or live.states < PROCESSES):
        print(
            f"expected at least {LEAST:,} states and {PROCESSES} with processes, got "
            f"{total.states:,} and {live.states}",
            file=sys.stderr,
        )
        return 2
    return 1 if bad else 0


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make powercut", description=__doc__)
    parser.add_argument("--only", metavar="STORY", action="append", choices=ALL)
    parser.add_argument("--states", type=int, default=STATES, help="in all, at most")
    parser.add_argument("--processes", type=int, default=PROCESSES + len(LIVE))
    parser.add_argument("--seed", type=int, default=random.SystemRandom().getrandbits(32))
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
