"""`vedette playbooks`: files in, a signed set out; every mistake with its place."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from vedette.cli import _playbook_source
from vedette.cli._command_line import main
from vedette.codec import dsse
from vedette.codec.playbook import decode
from vedette.errors import RuleError
from vedette.model.finding import Severity
from vedette.model.playbook import Playbooks, Step
from vedette.model.response import Mode
from vedette.trust.keyfile import create_signer

REPOSITORY = Path(__file__).parents[3]

PLAYBOOK = """\
name = "end-miner"
title = "End what mines"
rules = ["d9393593"]
severity = "high"

[[step]]
respond = "kill"
to = "process"
[[step]]
respond = "stop_unit"
to = "unit"
unit = "miner.service"
for_s = 600
[[step]]
respond = "rollback_model"
to = "model"
model = "person"
for_s = 3600
"""
PROFILE = """\
name = "home"
classes = ["", "camera"]
[limits.kill]
mode = "enforce"
per_hour = 12
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "a.toml").write_text(PLAYBOOK)
    (tmp_path / "src" / "b.toml").write_text(PROFILE)
    create_signer(tmp_path / "key")
    return tmp_path


def signed(file: Path) -> Playbooks:
    return decode(dsse.decode(file.read_bytes()).payload)


def build(folder: Path, counter: int = 1, *more: str) -> Path:
    output = folder / f"{counter}.signed"
    arguments = ["-o", str(output), "--key", str(folder / "key"), "--counter", str(counter)]
    assert main(["playbooks", "build", str(folder / "src"), *arguments, *more]) == 0
    return output


def test_a_new_set_observes(folder: Path) -> None:
    found = signed(build(folder))
    (playbook,) = found.playbooks
    assert found.promoted == ()
    assert playbook.severity is Severity.HIGH
    assert playbook.steps == (
        Step("kill", "process", 0), Step("stop_unit", "unit", 600, "miner.service"),
        Step("rollback_model", "model", 3600, "person"),
    )  # fmt: skip
    assert found.profiles[0].limits["kill"].mode is Mode.ENFORCE


def decide(folder: Path, verb: str, source: Path, counter: int, *names: str) -> Path:
    output = folder / f"{counter}.signed"
    arguments = ["-o", str(output), "--key", str(folder / "key"), "--counter", str(counter)]
    assert main(["playbooks", verb, str(source), *names, *arguments]) == 0
    return output


def test_a_promotion_is_kept_by_the_next_build_while_the_playbook_is_the_same(
    folder: Path,
) -> None:
    promoted = decide(folder, "promote", build(folder), 2, "end-miner")
    assert len(signed(promoted).promoted) == 1
    again = build(folder, 3, "--keep-promoted", str(promoted))
    assert signed(again).promoted == signed(promoted).promoted
    (folder / "src" / "a.toml").write_text(PLAYBOOK.replace("600", "601"))
    changed = build(folder, 4, "--keep-promoted", str(promoted))
    assert signed(changed).promoted == ()


def test_a_demotion_is_a_signed_act_too(folder: Path) -> None:
    promoted = decide(folder, "promote", build(folder), 2, "end-miner")
    assert signed(decide(folder, "demote", promoted, 3, "end-miner")).promoted == ()


def test_an_unknown_playbook_cannot_be_promoted(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = ["-o", str(folder / "x"), "--key", str(folder / "key"), "--counter", "2"]
    assert main(["playbooks", "promote", str(build(folder)), "end-minr", *output]) == 2
    assert "there is no playbook end-minr; there are end-miner" in capsys.readouterr().err
    assert not (folder / "x").exists()


def test_a_set_is_shown_for_people_and_for_programs(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    promoted = decide(folder, "promote", build(folder), 2, "end-miner")
    capsys.readouterr()
    assert main(["playbooks", "show", str(promoted)]) == 0
    text = capsys.readouterr().out
    assert "end-miner  (may enforce)" in text
    assert "stop_unit miner.service for 10 min" in text
    assert "rollback_model model person for" in text
    assert main(["playbooks", "show", str(promoted), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["playbooks"][0]["mode"] == "may enforce"


MISTAKES = {
    "a key nobody knows": ("nmae = 'x'\n" + PLAYBOOK, ':1:1: unknown key "nmae": did you mean'),
    "no step": (PLAYBOOK.partition("[[step]]")[0], "step: expected 1 to 8 tables [[step]]"),
    "an aim nobody knows": (
        PLAYBOOK.replace('"process"', '"planet"'), ":6:1: step 1: to: expected one of",
    ),
    "a unit where a model is meant": (
        PLAYBOOK.replace('model = "person"', 'unit = "a.service"'), "expected model where to",
    ),
    "a model with a path": (PLAYBOOK.replace('"person"', '"../person"'), "the name of a model"),
    "a step without an aim": (PLAYBOOK.replace('to = "process"', ""), "expected respond and to"),
    "a unit where none is meant": (
        PLAYBOOK.replace('to = "unit"', 'to = "process"'), 'expected unit where to = "unit"',
    ),
    "nothing to answer": (PLAYBOOK.replace('rules = ["d9393593"]', ""), "expected rules or tags"),
    "no TOML": ("name =", "not TOML"),
    "a mode in a playbook": ('mode = "enforce"\n' + PLAYBOOK, 'unknown key "mode"'),
}  # fmt: skip


@pytest.mark.parametrize("what", MISTAKES)
def test_a_mistake_is_told_with_its_place(what: str, folder: Path) -> None:
    text, expected = MISTAKES[what]
    (folder / "src" / "a.toml").write_text(text)
    with pytest.raises(RuleError) as raised:
        _playbook_source.collect([folder / "src"])
    assert expected in str(raised.value)
    assert "a.toml" in str(raised.value)


def test_our_own_playbooks_are_sound_and_answer_rules_that_exist() -> None:
    source = _playbook_source.collect([REPOSITORY / "rules" / "playbooks"])
    texts = [file.read_text() for file in (REPOSITORY / "rules").rglob("*.yml")]
    ids = {
        line.removeprefix("id: ").strip()
        for text in texts
        for line in text.splitlines()
        if line.startswith("id: ")
    }
    assert _playbook_source.check(source, ids) == []
    assert len(source.playbooks) >= 5
    assert {one.name for one in source.profiles} == {"home", "industrial"}


def test_our_profiles_name_responders_that_exist() -> None:
    source = _playbook_source.collect([REPOSITORY / "rules" / "playbooks"])
    responses = REPOSITORY / "agent" / "vedette" / "responses"
    named = {name for profile in source.profiles for name in profile.limits}
    named |= {step.responder for playbook in source.playbooks for step in playbook.steps}
    assert {name for name in named if not (responses / f"{name}.py").exists()} <= {"restore_file"}
