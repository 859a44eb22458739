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
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.powercut import campaign, recording, story
from tests.powercut.campaign import Outcome
from tests.powercut.operations import RecordError
from tests.powercut.recording import NoCompilerError, Recording

STATES: Final = 24_000
"""For all stories together, in even parts: enough for 10,000 where one has fewer."""
LEAST: Final = 10_000
SHARES: Final = 4
"""Parts of a story, so that both processors have work to the end."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run them; returns 1 when a state was bad, 2 when it could not be tried."""
    options = _options(argv)
    names = options.only or story.names()
    print(f"{len(names)} stories, about {options.states:,} states, seed {options.seed}", flush=True)
    started_s = time.monotonic()
    try:
        with recorded(names) as recordings:
            outcomes = try_all(recordings, options.states, options.seed, options.jobs)
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


def try_all(
    recordings: dict[str, Recording], states: int, seed: int, jobs: int
) -> dict[str, Outcome]:
    """Try the states of all stories, in even parts; prints each story when it is done."""
    outcomes = {name: Outcome(name) for name in recordings}
    left = dict.fromkeys(recordings, SHARES)
    with ProcessPoolExecutor(jobs) as pool:
        tasks: dict[Future[Outcome], str] = {}
        for name, found in recordings.items():
            quota = max(4, states // len(recordings) // (len(found.operations) + 1))
            for share in range(SHARES):
                work = pool.submit(campaign.run, name, found, quota, seed, (share, SHARES))
                tasks[work] = name
        for task in as_completed(tasks):
            name = tasks[task]
            outcomes[name].add(task.result())
            left[name] -= 1
            if not left[name]:
                _tell(outcomes[name])
    return outcomes


def _tell(outcome: Outcome) -> None:
    print(
        f"{outcome.name:16} {outcome.cuts:5,} cut points  {outcome.states:6,} states  "
        f"{outcome.nested:5,} cut again in recovery  {outcome.bad} bad",
        flush=True,
    )
    for told in outcome.told:
        print(told, file=sys.stderr)


def _sum_up(outcomes: dict[str, Outcome], took_s: float, *, is_whole: bool) -> int:
    total = Outcome("all")
    for outcome in outcomes.values():
        total.add(outcome)
    print(
        f"{total.cuts:,} cut points tried, {total.states:,} distinct states recovered from "
        f"({total.nested:,} of them cut again while recovering), bad outcomes: {total.bad}, "
        f"{took_s:.0f} s"
    )
    if is_whole and total.states < LEAST:
        print(f"expected at least {LEAST:,} states, got {total.states:,}", file=sys.stderr)
        return 2
    return 1 if total.bad else 0


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make powercut", description=__doc__)
    parser.add_argument("--only", metavar="STORY", action="append", choices=story.names())
    parser.add_argument("--states", type=int, default=STATES)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().getrandbits(32))
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
