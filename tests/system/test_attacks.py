"""Every attack of tests/attacks is caught by a running agent, over MQTT, as an operator sees it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from tests.conftest import locked_kernel

from vedette.model.rule import Rule
from vedette_dev.attack import load_rules
from vedette_dev.player import Arrivals, Attack, attacks, play
from vedette_dev.reader import Reader
from vedette_dev.session import Session

pytestmark = pytest.mark.system

REPOSITORY = Path(__file__).parents[2]


class Scene(NamedTuple):
    """A running agent and who reads what it tells."""

    arrivals: Arrivals
    rules: tuple[Rule, ...]
    root: Path


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("attacks") / ".dev"
    arrivals = Arrivals()
    with (
        locked_kernel(),
        Session(folder, print, rules=REPOSITORY / "rules") as session,
        Reader(session.running, arrivals.add) as reader,
    ):
        reader.await_device()
        yield Scene(arrivals, load_rules(session.running), session.running.root)


@pytest.mark.parametrize("attack", attacks(REPOSITORY), ids=lambda attack: attack.name)
def test_attack_is_caught(attack: Attack, scene: Scene) -> None:
    outcome = play(attack, scene.arrivals, rules=scene.rules, root=scene.root)
    if outcome.is_excused:
        pytest.skip(outcome.reason)
    assert outcome.arrival is not None, outcome.reason
    assert not list(scene.root.iterdir()), "the attack left something behind"
