"""Attacks are recognised by the word of their run and a tag, and leave nothing behind."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from vedette.errors import DeviceError
from vedette.model.finding import Severity
from vedette.model.rule import AllOf, AnyOf, Match, Not, Rule
from vedette_dev.player import Arrival, Arrivals, Attack, attacks, is_of, play
from vedette_dev.stage import Stage

ROOT = Path(__file__).parents[3]


def rule(category: str, *matches: Match) -> Rule:
    return Rule(
        rule_id="r",
        title="t",
        author="a",
        severity=Severity.HIGH,
        tags=("attack.t1190",),
        category=category,
        condition=AllOf((AnyOf(matches), Not(Match("Image", "equals", "/no", is_cased=False)))),
        fields=(),
    )


def attack(name: str = "one", *, needs_root: str = "") -> Attack:
    return Attack(name, "T1", (("attack.t1059",),), needs_root, lambda stage: stage.word())


def incident(token: str, tag: str) -> dict[str, object]:
    return {"evidences": [{"data": {"CommandLine": f"sh {token}"}}], "unmapped": {"tags": [tag]}}


@pytest.mark.parametrize(
    ("token", "tag", "expected"),
    [
        ("qwertzuio", "attack.t1059.004", True),
        ("qwertzuio", "attack.t1105", False),
        ("otherword", "attack.t1059.004", False),
    ],
)
def test_word_and_tag_are_both_needed(token: str, tag: str, *, expected: bool) -> None:
    assert is_of(incident("qwertzuio", tag), ("attack.t1059",), ("absent", token)) is expected


def test_every_attack_of_the_folder_is_complete() -> None:
    found = attacks(ROOT)
    assert len(found) >= 10
    for one in found:
        assert one.technique.startswith("T1")
        assert one.steps
        assert all(tag.startswith("attack.") for step in one.steps for tag in step)


def test_arrival_that_came_before_is_found_and_a_missing_one_is_not() -> None:
    arrivals = Arrivals()
    arrivals.add({"n": 1}, 1.0)
    assert arrivals.wait_for(lambda one: one.incident["n"] == 1, 0.0) is not None
    assert arrivals.wait_for(lambda one: one.incident["n"] == 2, 0.0) is None


def test_arrival_is_awaited() -> None:
    arrivals = Arrivals()
    found: list[Arrival | None] = []
    waiter = threading.Thread(
        target=lambda: found.append(arrivals.wait_for(lambda one: one.incident["n"] == 2, 5.0))
    )
    waiter.start()
    arrivals.add({"n": 1}, 1.0)
    arrivals.add({"n": 2}, 2.0)
    waiter.join(5.0)
    assert [one.incident for one in found if one] == [{"n": 2}]


def test_missed_attack_is_missed_and_its_stage_is_cleared(tmp_path: Path) -> None:
    made: list[Path] = []

    def act(stage: Stage) -> str:
        made.append(stage.folder())
        made.append(stage.watched_folder())
        stage.begin()
        stage.start([sys.executable, "-c", "input()"])
        return stage.word()

    outcome = play(
        attack()._replace(act=act), Arrivals(), rules=(), root=tmp_path, tiers={}, timeout_s=0.01
    )
    assert outcome.is_missed
    assert "no incident" in outcome.reason
    assert not any(path.exists() for path in made)


def test_what_only_root_sees_is_excused_for_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    outcome = play(attack(needs_root="packets"), Arrivals(), rules=(), root=tmp_path, tiers={})
    assert not outcome.is_missed
    assert outcome.reason == "not visible without root: packets"


def test_every_step_must_be_told(tmp_path: Path) -> None:
    arrivals = Arrivals()

    def act(stage: Stage) -> str:
        word = stage.word()
        stage.begin()
        arrivals.add(incident(word, "attack.t1105"), 0.0)
        return word

    steps = (("attack.t1105",), ("attack.t1222",))
    played = attack()._replace(act=act, steps=steps)
    outcome = play(played, arrivals, rules=(), root=tmp_path, tiers={}, timeout_s=0.01)
    assert outcome.is_missed
    assert "attack.t1222 for step 2 of 2" in outcome.reason
    first = played._replace(steps=steps[:1])
    assert play(first, arrivals, rules=(), root=tmp_path, tiers={}, timeout_s=0.01).arrival


def test_any_word_of_the_run_names_it(tmp_path: Path) -> None:
    arrivals = Arrivals()

    def act(stage: Stage) -> str:
        arrivals.add(incident(stage.word(), "attack.t1059"), 0.0)
        return stage.word()

    played = attack()._replace(act=act)
    assert play(played, arrivals, rules=(), root=tmp_path, tiers={}, timeout_s=0.01).arrival


def test_an_attack_for_another_tier_is_excused_with_its_name(tmp_path: Path) -> None:
    played = attack()._replace(needs_tier=("log", "log_file"))
    outcome = play(played, Arrivals(), rules=(), root=tmp_path, tiers={"log": "journald"})
    assert outcome.is_excused
    assert outcome.reason == "not visible: log is watched by journald here, it plays for log_file"


def test_stage_draws_from_rules_but_never_from_exceptions(tmp_path: Path) -> None:
    wanted = Match("ParentImage", "endswith", "/dropbear", is_cased=False)
    with Stage([rule("process_creation", wanted)], tmp_path) as stage:
        drawn = stage.draw("process_creation", "ParentImage", operators=("endswith",))
        assert drawn.match == wanted
        with pytest.raises(DeviceError, match="expected a loaded rule"):
            stage.draw("process_creation", "Image", operators=("equals",))


def test_copy_differs_in_digest_and_runs(tmp_path: Path) -> None:
    with Stage((), tmp_path) as stage:
        program = stage.copy(Path("/bin/true"), tmp_path / "x" / "copy")
        assert program.read_bytes() != Path("/bin/true").read_bytes()
        assert subprocess.run([program], check=False).returncode == 0
