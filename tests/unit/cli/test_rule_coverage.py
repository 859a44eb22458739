from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import pytest

from vedette.cli import _coverage_markdown
from vedette.cli._command_line import main
from vedette.cli._rule_coverage import RuleCoverage, Sight, cover, techniques_of
from vedette.cli._rule_set import load_rule_set
from vedette.cli._tier_fields import all_tiers
from vedette.model.finding import Severity
from vedette.model.rule import (
    AllOf,
    AnyOf,
    Bundle,
    Condition,
    Correlation,
    Match,
    Not,
    Rule,
    Threshold,
)

CORPUS = Path(__file__).parents[4] / "shared" / "corpora" / "sigma-linux"
PROCESS_TIERS = ("audit", "procfs")


def match(field: str, value: str = "x") -> Match:
    return Match(field, "equals", value, is_cased=False)


def rule(
    condition: Condition,
    category: str = "process_creation",
    rule_id: str = "r",
    tags: tuple[str, ...] = ("attack.t1059.004", "attack.execution"),
) -> Rule:
    return Rule(rule_id, f"Rule {rule_id}", "A", Severity.LOW, tags, category, condition, ())


def bundle(rules: Iterable[Rule], correlations: tuple[Correlation, ...] = ()) -> Bundle:
    return Bundle("n", 1, 0, 0, tuple(rules), (), "", correlations)


def covered(*rules: Rule, tiers: tuple[str, ...] = PROCESS_TIERS) -> RuleCoverage:
    (found,) = cover(bundle(rules), {}, tiers)
    return found


FOLDER = match("CurrentDirectory")
IMAGE = match("Image")


@pytest.mark.parametrize(
    ("condition", "sight"),
    [
        (IMAGE, Sight.WHOLE),
        (FOLDER, Sight.NONE),
        (AllOf((IMAGE, FOLDER)), Sight.NONE),
        (AnyOf((IMAGE, FOLDER)), Sight.PART),
        (AllOf((IMAGE, Not(FOLDER))), Sight.PART),
        (AllOf((IMAGE, Match("CurrentDirectory", "null", "", is_cased=False))), Sight.PART),
        (Match("Image", "equals_field", "CurrentDirectory", is_cased=False), Sight.NONE),
    ],
)
def test_a_tier_sees_what_its_fields_let_it(condition: Condition, sight: Sight) -> None:
    found = covered(rule(condition), tiers=("audit",))
    assert found.sight_of("audit") is sight
    assert found.sight is sight
    assert found.missing == (() if sight is Sight.WHOLE else ("CurrentDirectory",))


def test_one_tier_that_sees_it_whole_is_enough() -> None:
    found = covered(rule(FOLDER))
    assert (found.sight_of("audit"), found.sight_of("procfs")) == (Sight.NONE, Sight.WHOLE)
    assert (found.sight, found.missing) == (Sight.WHOLE, ())
    assert found.sight_of("journald") is None


def test_a_value_that_a_tier_never_says_is_missing() -> None:
    found = covered(rule(match("Action", "renamed"), "file_event"), tiers=("scan",))
    assert (found.sight, found.missing) == (Sight.NONE, ("Action renamed",))
    assert covered(rule(match("Action", "renamed"), "file_event"), tiers=("inotify",)).missing == ()


def test_a_category_that_nothing_gives_is_missing() -> None:
    found = covered(rule(IMAGE, "file_access"))
    assert (found.sight, found.missing) == (Sight.NONE, ("no tier gives events of file_access",))


def test_what_the_compiler_found_missing_makes_it_part() -> None:
    (found,) = cover(bundle([rule(IMAGE)]), {"r": ("the system call x",)}, PROCESS_TIERS)
    assert (found.sight, found.missing) == (Sight.PART, ("the system call x",))


def test_a_rule_over_two_categories_is_one() -> None:
    found = covered(
        rule(IMAGE), rule(match("TargetFilename"), "file_event"), tiers=("audit", "inotify")
    )
    assert found.sight is Sight.WHOLE
    assert set(found.seen) == {"process_creation", "file_event"}


@pytest.mark.parametrize(("kind", "sight"), [("temporal", Sight.NONE), ("event_count", Sight.PART)])
def test_a_correlation_is_seen_as_far_as_its_rules(kind: str, sight: Sight) -> None:
    joined = Correlation(
        "c", "C", "A", Severity.HIGH, (), kind, ("r", "s"), (), 60,  # type: ignore[arg-type]
        (Threshold("gte", 2),),
    )  # fmt: skip
    rules = [rule(IMAGE), rule(IMAGE, "file_access", "s")]
    found = cover(bundle(rules, (joined,)), {}, PROCESS_TIERS)[-1]
    assert (found.sight, found.missing) == (sight, ("its rule 'Rule s'",))


def test_techniques_are_those_of_the_tags() -> None:
    assert techniques_of([covered(rule(IMAGE))]) == ["T1059.004"]


def test_tables_are_the_same_each_time_and_escape_their_text() -> None:
    odd = rule(IMAGE, "file_access")
    found = cover(bundle([odd]), {"r": ("a|b\n",)}, PROCESS_TIERS)
    document = _coverage_markdown.document(found, PROCESS_TIERS)
    assert "| ○ | Rule r | a\\|b\\n |" in document
    assert document == _coverage_markdown.document(found, PROCESS_TIERS)
    whole = cover(bundle([rule(IMAGE)]), {}, PROCESS_TIERS)
    assert "| T1059.004 | ● | ● |" in _coverage_markdown.document(whole, PROCESS_TIERS)


RULE = """\
title: A rule
id: 6f1f2f5e-8d0b-4c1e-9d7e-1f8e3c8f9a01
author: Somebody
level: high
logsource: {category: process_creation}
detection: {s: {CurrentDirectory: /tmp}, condition: s}
"""


def test_the_command_tells_it_in_three_forms(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "rule.yml"
    file.write_text(RULE)
    command = ["rules", "coverage", str(file), "--tiers", "audit, inotify"]
    assert main(command) == 1
    assert (
        "not seen by any of these tiers: 1\n  A rule: CurrentDirectory" in capsys.readouterr().out
    )
    assert main([*command, "--json"]) == 1
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["seen"], row["missing"]) == ("none", ["CurrentDirectory"])
    assert main([*command, "--markdown"]) == 1
    assert capsys.readouterr().out.startswith("| tier |")
    assert main(["rules", "coverage", str(file)]) == 0


def test_an_unknown_tier_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "rule.yml").write_text(RULE)
    assert main(["rules", "coverage", str(tmp_path), "--tiers", "magic"]) == 2
    assert "got 'magic'" in capsys.readouterr().err


@pytest.mark.skipif(not CORPUS.exists(), reason="the Sigma corpus is not beside this checkout")
def test_of_sigmahqs_rules_four_are_not_seen_and_say_why() -> None:
    rules = load_rule_set(CORPUS)
    assert rules.problems == ()
    found = cover(rules.bundle, rules.missing, all_tiers())
    assert len(found) >= 210
    blind = [one for one in found if one.sight is Sight.NONE]
    assert len(blind) <= 4
    assert all(one.missing for one in found if one.sight is not Sight.WHOLE)
    assert sum(one.sight is Sight.WHOLE for one in found) >= 190
