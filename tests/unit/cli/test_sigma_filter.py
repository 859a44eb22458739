from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from sigma.filters import SigmaFilter

from vedette.cli._rule_folder import Collected, collect
from vedette.model.rule import Exclusion, Match, Not

RULE = """\
title: A shell began
id: 6f1f2f5e-8d0b-4c1e-9d7e-1f8e3c8f9a02
name: shell
author: Somebody
level: low
logsource: {product: linux, category: process_creation}
detection: {s: {Image|endswith: /sh}, condition: s}
---
"""

FILTER = """\
title: The updater runs shells
id: 6f1f2f5e-8d0b-4c1e-9d7e-1f8e3c8f9c01
device_class: camera
logsource: {product: linux, category: process_creation}
filter:
  rules: [shell]
  selection:
    ParentImage: /usr/bin/Updater
  condition: not selection
"""
UPDATER = Match("ParentImage", "equals", "/usr/bin/updater", is_cased=False)


def collected(folder: Path, text: str) -> Collected:
    (folder / "all.yml").write_text(RULE + text)
    return collect([folder])


def exclusion(folder: Path, text: str) -> Exclusion:
    made = collected(folder, text)
    assert made.problems == ()
    ((found,),) = (one.exclusions for one in made.filters)
    return found


def test_a_filter_says_what_is_harmless(tmp_path: Path) -> None:
    assert exclusion(tmp_path, FILTER) == Exclusion(
        filter_id="6f1f2f5e-8d0b-4c1e-9d7e-1f8e3c8f9c01",
        title="The updater runs shells",
        device_classes=("camera",),
        rules=("6f1f2f5e-8d0b-4c1e-9d7e-1f8e3c8f9a02",),
        category="process_creation",
        condition=UPDATER,
    )


def test_what_a_filter_does_not_let_through_is_excluded(tmp_path: Path) -> None:
    text = FILTER.replace("not selection", "selection")
    assert exclusion(tmp_path, text).condition == Not(UPDATER)


@pytest.mark.parametrize("rules", ["any", "[]"])
def test_a_filter_may_be_for_every_rule_of_its_source(rules: str, tmp_path: Path) -> None:
    assert exclusion(tmp_path, FILTER.replace("[shell]", rules)).rules == ()


@pytest.mark.parametrize(
    ("given", "classes"),
    [("device_class: [camera, router]\n", ("camera", "router")), ("", ())],
)
def test_a_filter_is_for_its_classes_or_for_all(
    given: str, classes: tuple[str, ...], tmp_path: Path
) -> None:
    text = FILTER.replace("device_class: camera\n", given)
    assert exclusion(tmp_path, text).device_classes == classes


def test_a_filter_of_another_source_filters_nothing(tmp_path: Path) -> None:
    first, second = collected(tmp_path, FILTER.replace("process_creation", "file_event")).warnings
    assert "'A shell began' has another log source" in first
    assert second.startswith(
        f"{tmp_path}/all.yml:16:5: file_event events have no field ParentImage"
    )


REFUSED = {
    "a rule that is not there": ("[shell]", "[nobody]", "14:3", "got 'nobody'"),
    "no rules at all": ("  rules: [shell]\n", "", "13:1", "expected rules to be 'any'"),
    "an odd class": ("camera", "{a: b}", "11:1", "expected device_class"),
    "no condition": ("  condition: not selection\n", "", "13:1", "condition"),
    "a name that is missing": ("not selection", "not other", "17:3", "'other'"),
    "an unknown modifier": ("ParentImage:", "ParentImage|like:", "16:17", "got 'like'"),
    "no title": ("title: The updater runs shells\n", "", "9:1", "text named title"),
}


@pytest.mark.parametrize(("old", "new", "place", "words"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_run_is_refused_at_its_place(
    old: str, new: str, place: str, words: str, tmp_path: Path
) -> None:
    assert old in FILTER
    (problem,) = collected(tmp_path, FILTER.replace(old, new, 1)).problems
    assert words in problem
    assert problem.startswith(f"{tmp_path}/all.yml:{place}: "), problem


def test_an_id_belongs_to_one(tmp_path: Path) -> None:
    (problem,) = collected(tmp_path, FILTER.replace("9c01", "9a02")).problems
    assert "expected id to be its own" in problem


def test_pysigma_takes_what_we_take() -> None:
    assert SigmaFilter.from_dict(yaml.safe_load(FILTER)).errors == []
