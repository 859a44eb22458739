"""The engine at sizes that random conditions never reach: each event as asking every rule says."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
from tests.simulators.device_stream import Event, benign_events
from tests.simulators.linear_engine import LinearEngine
from tests.simulators.rule_scale import at_hand, scaled

from vedette.core.engine import Engine
from vedette.core.partition import matches_of
from vedette.model.rule import Bundle, Rule

EVENTS = 120

pytestmark = pytest.mark.thorough


@pytest.fixture(scope="module")
def rules() -> tuple[Rule, ...]:
    return scaled(at_hand()[1], 700)


def test_many_rules_find_in_a_device_s_day_what_asking_each_finds(rules: tuple[Rule, ...]) -> None:
    bundle = Bundle("scale", 1, 0, 0, rules, (), "")
    engine, linear = Engine(bundle), LinearEngine(bundle)
    for category, fields in benign_events(EVENTS, seed=3):
        assert engine.match(category, fields) == linear.match(category, fields)


def test_many_rules_find_their_own_words_wherever_they_stand(rules: tuple[Rule, ...]) -> None:
    bundle = Bundle("scale", 1, 0, 0, rules, (), "")
    engine, linear = Engine(bundle, memo=8), LinearEngine(bundle)
    found = 0
    for category, fields in _asked_for(rules):
        matched = engine.match(category, fields)
        assert matched == linear.match(category, fields)
        found += len(matched)
    assert found > EVENTS / 2, "events made of what rules ask for must meet some"


def _asked_for(rules: tuple[Rule, ...]) -> Iterator[Event]:
    """Events whose fields hold the words of one rule, or of two, in a random order."""
    draw = random.Random(23)
    for _ in range(EVENTS):
        fields: dict[str, str] = {}
        rule = draw.choice(rules)
        others = [draw.choice(rules)] if draw.random() < 0.5 else []
        for match in [m for one in (rule, *others) for m in matches_of(one.condition)]:
            if draw.random() < 0.7 and match.operator != "re":
                word = match.value.replace("*", "x").replace("\\", "")
                before = fields.get(match.field or "Message", "")
                fields[match.field or "Message"] = f"{before}{draw.choice(('', ' ', 'ab'))}{word}"
        yield rule.category, {name: value for name, value in fields.items() if value}
