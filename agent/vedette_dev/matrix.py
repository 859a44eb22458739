"""`python -m vedette_dev matrix`: which tier tells of which attack, found by playing them all.

Rule 1: a tier tells of an attack when an incident of that run names it as its source; nothing is
derived from what a tier is said to see.
Rule 2: each scene is an agent of its own whose better sources are disabled, so that every rung of
each ladder is in use once.
"""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from vedette.codec.report import parse_report
from vedette.errors import DeviceError
from vedette_dev import matrix_table
from vedette_dev.attack import load_rules
from vedette_dev.player import Arrivals, Attack, attacks, is_of
from vedette_dev.reader import Reader
from vedette_dev.session import Session
from vedette_dev.stage import Stage
from vedette_dev.terminal import say
from vedette_dev.tiers import tiers_in_use

SCENES: tuple[tuple[str, ...], ...] = (
    (),
    ("ebpf", "fanotify"),
    ("ebpf", "audit", "fanotify", "inotify", "conntrack"),
    ("ebpf", "audit", "proc_connector", "fanotify", "inotify", "conntrack", "procnet"),
)
"""What is disabled in each: the best of every class first, then one rung further down."""
SETTLE_S = 12.0
"""After the last attack: the slowest poll of the lower rungs, twice."""


@dataclasses.dataclass(slots=True)
class Row:
    """What became of one attack over all scenes.

    Attributes:
        steps: by tier, which of the attack's steps it told of.
        problem: why it could not be played, or "".
    """

    attack: Attack
    steps: dict[str, set[int]] = dataclasses.field(default_factory=dict)
    problem: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class _Played:
    row: Row
    token: str
    stage: Stage


def run(repository: Path, folder: Path, page: Path) -> int:
    """Play all attacks in all scenes and write the table.

    Returns:
        0, or 1 when an attack is told of by no tier at all.
    """
    rows = [Row(attack) for attack in attacks(repository)]
    used: dict[str, str] = {}
    for number, disabled in enumerate(SCENES, 1):
        say(f"scene {number} of {len(SCENES)}: without {', '.join(disabled) or 'nothing'}")
        for name, tier in _play_scene(repository, folder, rows, disabled).items():
            used.setdefault(tier, name)
    page.write_text(matrix_table.page(rows, used))
    unseen = [row.attack.name for row in rows if not row.steps]
    say(f"written to {page}" + (f"; told of by no tier: {', '.join(unseen)}" if unseen else ""))
    return 1 if unseen else 0


def _play_scene(
    repository: Path, folder: Path, rows: Sequence[Row], disabled: tuple[str, ...]
) -> Mapping[str, str]:
    arrivals = Arrivals()
    # Of files the throwaway tree alone: a developer's /tmp may hold more folders than the lower
    # rungs are made for.
    session = Session(folder, say, rules=repository / "rules", disabled=disabled, watch=())
    with session, Reader(session.running, arrivals.add) as reader, contextlib.ExitStack() as stages:
        reader.await_device()
        tiers = tiers_in_use(session.running.config)
        say(f"watched   by {', '.join(f'{tier} ({name})' for name, tier in tiers.items() if tier)}")
        rules = load_rules(session.running)
        played: list[_Played] = []
        for row in rows:
            stage = stages.enter_context(Stage(rules, session.running.root))
            try:
                played.append(_Played(row, row.attack.act(stage), stage))
            except (OSError, DeviceError) as error:
                row.problem = row.problem or str(error)
        time.sleep(SETTLE_S)
        for one in played:
            _judge(one, arrivals)
    return {name: tier for name, tier in tiers.items() if tier}


def _judge(played: _Played, arrivals: Arrivals) -> None:
    for arrival in arrivals.all():
        for number, expected in enumerate(played.row.attack.steps):
            if is_of(arrival.incident, expected, (played.token, *played.stage.words)):
                tier = parse_report(dict(arrival.incident)).tier
                played.row.steps.setdefault(tier, set()).add(number)
