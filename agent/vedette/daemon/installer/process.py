"""The installer's process: verifies what the updater gives, and applies it.

Rule 1: root, without a network: it gives that up before the first byte of the updater is read.
Rule 2: what it says to the process that started it are steps as JSON lines, for people who wait;
the record of them is the sentinel's journal.
Rule 3: it lives no longer than who started it, and can be killed at any moment: what it keeps is
whole on the disk before it counts.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from vedette.codec import update_report
from vedette.daemon import config as configuration
from vedette.daemon import last_words, privileges, update_run
from vedette.daemon.appliers import applier
from vedette.daemon.appliers.applier import Context
from vedette.daemon.build import BUILD_S
from vedette.daemon.config import Config
from vedette.daemon.installer import provenance
from vedette.daemon.installer.confinement import confine
from vedette.daemon.installer.job import Job, Wish
from vedette.daemon.installer.linked_source import LinkedSource
from vedette.daemon.installer.memory import Memory
from vedette.daemon.installer.opening import Opened, open_trust
from vedette.daemon.step_teller import StepTeller
from vedette.errors import AbsentError, DeviceError, FetchError, StoreError
from vedette.model.release import ReleaseKind
from vedette.model.update import UpdateReport
from vedette.ports.release_source import Reader, ReleaseSource
from vedette.store import durable

MAX_ROOT_BYTES = 512 << 10
EXIT_NOT_ALL = 1
"""Something was refused, given back, or could not be fetched; the steps say what."""


def main(arguments: Sequence[str]) -> int:
    """Run once; 0 where all went as it should."""
    args = _parser().parse_args(arguments)
    return last_words.guarded(lambda: _run(args))


def _run(args: argparse.Namespace) -> int:
    privileges.die_with_parent(signal.SIGKILL, args.parent)
    os.umask(0o077)
    config = configuration.load(args.config)
    update_run.announce(config, args.by, os.getpid())
    for problem in confine():
        last_words.say(problem)
    teller = StepTeller(
        config.control_socket, config.updates_folder / "steps", by=args.by, on_step=_say
    )
    link = socket.socket(fileno=args.link) if args.link >= 0 else None
    source = LinkedSource(link) if link is not None else None
    opened = _open(config, source)
    context = Context(config, teller, config.updates_folder / "staging", opened.floors)
    teller.flush()
    applier.recover(context)
    if source is None:
        return 0
    try:
        wish = Wish(
            is_look=args.look, is_urgent=args.urgent,
            kinds=frozenset(ReleaseKind(kind) for kind in args.kind),
        )  # fmt: skip
        job = Job(
            context, opened, source, Memory(config.updates_folder), provenance.judge_for(config)
        )
        return 0 if job.run(wish) else EXIT_NOT_ALL
    except FetchError:
        source.close()
        raise
    finally:
        source.leave()


def _open(config: Config, source: LinkedSource | None) -> Opened:
    root = durable.read(Path(config.updates.root), MAX_ROOT_BYTES)
    if root is None:
        raise StoreError(
            f"{config.updates.root}: expected the root metadata that this device was made with; "
            "put device/root.json of the repository there, or name it in [updates] root"
        )
    releases = Path(config.paths.state) / "releases"
    return open_trust(
        releases / "metadata", releases / "floors", root=root,
        source=source if source is not None else _Nowhere(), build_s=BUILD_S, wall_s=time.time(),
    )  # fmt: skip


def _say(report: UpdateReport, is_recorded: bool) -> None:  # noqa: FBT001 - StepTeller calls
    line = {**update_report.plain(report), "recorded": is_recorded}
    try:
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()
    except OSError as error:
        raise DeviceError(f"nobody waits any more: {error.strerror}") from error


class _Nowhere(ReleaseSource):
    """Nothing is fetched in this run."""

    def metadata(self, name: str, max_bytes: int) -> bytes:
        """Never there."""
        del max_bytes
        raise AbsentError(f"{name}: this run fetches nothing")

    def target(self, path: str, runs: Sequence[tuple[int, int]]) -> Reader:
        """Never there."""
        del runs
        raise AbsentError(f"{path}: this run fetches nothing")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="installer", allow_abbrev=False)
    parser.add_argument("--link", type=int, default=-1, help="descriptor of a stream socket")
    parser.add_argument("--parent", type=int, required=True, help="pid to live no longer than")
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--by", required=True, help="who wants it")
    parser.add_argument("--look", action="store_true", help="apply nothing")
    parser.add_argument("--urgent", action="store_true", help="a person waits for it")
    parser.add_argument("--kind", action="append", default=[], choices=[*ReleaseKind])
    return parser
