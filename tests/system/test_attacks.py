"""Every attack of tests/attacks is caught by a running agent, over MQTT, as an operator sees it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest
from tests.conftest import locked_kernel

from vedette.codec.report import parse_report
from vedette.model.rule import Rule
from vedette_dev.attack import load_rules
from vedette_dev.player import Arrivals, Attack, Outcome, attacks, play
from vedette_dev.reader import Reader
from vedette_dev.session import Session
from vedette_dev.tiers import tiers_in_use

pytestmark = pytest.mark.system

REPOSITORY = Path(__file__).parents[2]
LOG_LINES = 15


class Scene(NamedTuple):
    """A running agent and who reads what it tells."""

    arrivals: Arrivals
    rules: tuple[Rule, ...]
    root: Path
    tiers: Mapping[str, str]
    session: Session


@pytest.fixture(scope="module", params=[(), ("ebpf",)], ids=["best sources", "without eBPF"])
def scene(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Scene]:
    disabled: tuple[str, ...] = request.param
    if disabled and os.geteuid() != 0:
        pytest.skip("this user has no eBPF: the sources are those of the other scene")
    folder = tmp_path_factory.mktemp("attacks") / ".dev"
    arrivals = Arrivals()
    with (
        locked_kernel(),
        Session(folder, print, rules=REPOSITORY / "rules", disabled=disabled) as session,
        Reader(session.running, arrivals.add) as reader,
    ):
        reader.await_device()
        running = session.running
        tiers = tiers_in_use(running.config)
        yield Scene(arrivals, load_rules(running), running.root, tiers, session)


@pytest.mark.parametrize("attack", attacks(REPOSITORY), ids=lambda attack: attack.name)
def test_attack_is_caught(attack: Attack, scene: Scene) -> None:
    before = len(scene.arrivals)
    outcome = play(attack, scene.arrivals, rules=scene.rules, root=scene.root, tiers=scene.tiers)
    if outcome.is_excused:
        pytest.skip(outcome.reason)
    assert outcome.arrival is not None, diagnosis(outcome, scene, before)
    assert not list(scene.root.iterdir()), "the attack left something behind"


def diagnosis(outcome: Outcome, scene: Scene, before: int) -> str:
    """What one needs to see of a missed attack."""
    tiers = ", ".join(f"{name} {tier or 'nothing'}" for name, tier in scene.tiers.items())
    told = [
        f"    {report.title} [{report.tier}] {dict(report.fields)}"
        for report in (parse_report(dict(one.incident)) for one in scene.arrivals.all()[before:])
    ]
    return "\n".join(
        (
            outcome.reason,
            f"watched by: {tiers}",
            "incidents of that time:",
            *(told or ["    (none)"]),
            "the agent's log ends with:",
            scene.session.agent.tail(LOG_LINES),
        )
    )
