"""Say what this device can see, what it cannot, and what would change that.

For each class of events: the source in use, what it misses, and why better ones do not work here
with what would lift the device to them (kernel option, capability, package). Then memory, flash,
clock and kernel. A running agent is asked; without one each source is opened, has to see an event
of its own making, and is closed again: some seconds, and the kernel is left as it was found.

Examples:
  vedette doctor
  vedette doctor --prove
  vedette doctor --json | jq '.classes[] | {class, tier}'

Exit codes: 0 good, 1 degraded, 2 blind (no source at all for processes, files or the network)
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from vedette import sensors
from vedette.cli import _defence_text, _deny_text, _doctor_text
from vedette.cli._doctor_text import ClassReport, Diagnosis
from vedette.cli._options import DEFAULT_CONFIG, add_config, add_json, summary
from vedette.cli._terminal import Painter, is_coloured
from vedette.daemon import config, control_client, enrolment, folders, health, ladder
from vedette.daemon.config import Config
from vedette.daemon.health import Fact
from vedette.model.event import Event
from vedette.ports.discover import sensor_classes
from vedette.ports.sensor import Sensor, SensorContext
from vedette.store.baseline import SqliteBaseline

ANSWER_TIMEOUT_S = 90.0
"""Every source may wait for its proof, and those below it for theirs."""


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = commands.add_parser("doctor", help=summary(__doc__), description=__doc__)
    add_config(parser)
    add_json(parser)
    parser.add_argument(
        "--prove",
        action="store_true",
        help="have the running agent prove every source now, and try again what did not work "
        "(else it does so every five minutes, and tries again every hour)",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Ask the agent or probe, then print; returns the verdict."""
    is_absent = args.config == DEFAULT_CONFIG and not args.config.exists()
    given = Config() if is_absent else config.load(args.config)
    origin, classes, facts = _classes(given, is_proven=args.prove)
    known = (*enrolment.facts(given), *health.facts(given), *facts)
    diagnosis = Diagnosis(origin, classes, known)
    if args.json:
        print(json.dumps(_doctor_text.to_json(diagnosis)))
    else:
        painter = Painter(is_coloured=is_coloured(sys.stdout))
        print("\n".join(_doctor_text.render(diagnosis, painter)))
    return _doctor_text.verdict(diagnosis)


def _classes(
    given: Config, *, is_proven: bool
) -> tuple[str, tuple[ClassReport, ...], tuple[Fact, ...]]:
    """Who was asked, what watches each class, and what else only a running agent knows."""
    request = "check" if is_proven else "doctor"
    try:
        answer = control_client.ask(given.control_socket, request, timeout_s=ANSWER_TIMEOUT_S)
    except control_client.NotRunningError:
        return "no agent runs: probed", _probed(given), _deny_text.facts(given.deny, None)
    classes = _doctor_text.from_answer(answer.get("tiers"))
    denying = answer.get("deny")
    facts = (
        *_doctor_text.profile_facts(answer),
        *_defence_text.facts(answer),
        *_deny_text.facts(given.deny, denying if isinstance(denying, dict) else None),
    )
    return "the running agent was asked", classes, facts


def _probed(given: Config) -> tuple[ClassReport, ...]:
    if sys.stderr.isatty():
        print("probing each source, some seconds …", file=sys.stderr, flush=True)
    disabled = frozenset(given.sensors.disable)
    offered = [kind for kind in sensor_classes(sensors) if ladder.name_of(kind) not in disabled]
    with _run_dir(given) as run_dir, _no_baseline() as baseline:

        def context(name: str) -> SensorContext:
            return SensorContext(
                emit=_ignore,
                run_dir=run_dir,
                state_dir=Path(given.paths.state),
                watch=given.files.watch,
                options=given.sensors.options.get(name, {}),
                baseline=baseline,
            )

        reports = asyncio.run(ladder.probe(ladder.Ladder(offered, context)))
    return _doctor_text.from_reports(reports, _lifts(offered))


def _lifts(offered: Sequence[type[Sensor]]) -> dict[tuple[str, str], tuple[str, ...]]:
    return {
        (str(tier.event_class), ladder.name_of(kind)): tier.lift
        for kind in offered
        for tier in kind.tiers
    }


@contextlib.contextmanager
def _run_dir(given: Config) -> Iterator[Path]:
    """Root's probes note in the run folder what `vedette restore` would need after a SIGKILL."""
    if os.geteuid() == 0:
        yield folders.prepare(given.paths.run, "[paths] run")
        return
    with tempfile.TemporaryDirectory(prefix="vedette-doctor-") as folder:
        yield Path(folder)


@contextlib.contextmanager
def _no_baseline() -> Iterator[SqliteBaseline]:
    """An empty one, thrown away: the probe of the scan must not touch the device's own."""
    with tempfile.TemporaryDirectory(prefix="vedette-doctor-") as folder:
        baseline = SqliteBaseline(Path(folder))
        baseline.open()
        try:
            yield baseline
        finally:
            baseline.close()


def _ignore(batch: Sequence[Event]) -> None:
    """A probe waits for its own event only, which the sensor takes out before."""
    del batch
