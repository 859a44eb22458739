from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from sigma.correlations import SigmaCorrelationRule

from vedette.cli._rule_folder import Collected, collect
from vedette.codec import bundle as codec
from vedette.model.rule import Alias, Threshold

RULE = """\
title: A login failed
id: 6f1f2f5e-8d0b-4c1e-9d7e-1f8e3c8f9a01
name: failed_login
author: Somebody
level: low
logsource: {product: linux, service: sshd}
detection: {k: [Failed password], condition: k}
---
title: A shell began
id: 6f1f2f5e-8d0b-4c1e-9d7e-1f8e3c8f9a02
name: shell
author: Somebody
level: low
logsource: {product: linux, category: process_creation}
detection: {s: {Image|endswith: /sh}, condition: s}
---
title: A program ran
id: 6f1f2f5e-8d0b-4c1e-9d7e-1f8e3c8f9a03
name: ran
author: Somebody
level: low
logsource: {product: linux, service: auditd}
detection: {s: {type: EXECVE, a0: nc}, condition: s}
---
"""

HEAD = """\
title: Many logins failed
id: 6f1f2f5e-8d0b-4c1e-9d7e-1f8e3c8f9b01
name: burst
author: Somebody
level: high
tags: [attack.t1110]
"""

BURST = """\
correlation:
  type: event_count
  rules: failed_login
  group-by: [Service]
  timespan: 5m
  condition: {gte: 10}
"""


def collected(folder: Path, *documents: str) -> Collected:
    (folder / "all.yml").write_text(RULE + "---\n".join(documents))
    return collect([folder])


def correlation(name: str, number: int, section: str) -> str:
    head = HEAD.replace("burst", name).replace("9b01", f"9b{number:02}")
    return f"{head}correlation: {section}\n"


def problem(folder: Path, *documents: str) -> str:
    (line,) = collected(folder, *documents).problems
    return line.removeprefix(f"{folder}/all.yml:")


def test_a_count_of_events_keeps_what_it_says(tmp_path: Path) -> None:
    (found,) = collected(tmp_path, HEAD + BURST).correlations
    assert found.warnings == ()
    made = found.correlation
    assert (made.kind, made.rules) == ("event_count", ("6f1f2f5e-8d0b-4c1e-9d7e-1f8e3c8f9a01",))
    assert (made.group_by, made.timespan_s) == (("Service",), 300)
    assert made.thresholds == (Threshold("gte", 10),)
    assert (made.title, made.tags, made.is_reported) == (
        "Many logins failed",
        ("attack.t1110",),
        True,
    )


@pytest.mark.parametrize(
    ("timespan", "seconds"),
    [("1s", 1), ("15m", 900), ("2h", 7200), ("3d", 259_200), ("1w", 604_800), ("1M", 2_629_746)],
)
def test_a_timespan_has_a_unit(timespan: str, seconds: int, tmp_path: Path) -> None:
    (found,) = collected(tmp_path, HEAD + BURST.replace("5m", timespan)).correlations
    assert found.correlation.timespan_s == seconds


def test_a_range_is_two_thresholds(tmp_path: Path) -> None:
    text = HEAD + BURST.replace("{gte: 10}", "{gt: 3, lte: 9}")
    (found,) = collected(tmp_path, text).correlations
    assert found.correlation.thresholds == (Threshold("gt", 3), Threshold("lte", 9))


def test_values_are_counted_of_one_field_or_more(tmp_path: Path) -> None:
    one = "{type: value_count, rules: [shell], timespan: 1m, condition: {field: User, gt: 2}}"
    two = "{type: value_count, rules: [shell], timespan: 1m, condition: {field: [A, User], gt: 2}}"
    found = collected(tmp_path, correlation("a", 1, one), correlation("b", 2, two)).correlations
    assert [made.correlation.value_fields for made in found] == [("User",), ("A", "User")]


@pytest.mark.parametrize("kind", ["temporal", "temporal_ordered"])
def test_a_temporal_one_without_condition_wants_every_rule(kind: str, tmp_path: Path) -> None:
    text = f"{{type: {kind}, rules: [failed_login, shell], timespan: 1h}}"
    (found,) = collected(tmp_path, correlation("chain", 1, text)).correlations
    assert found.correlation.thresholds == (Threshold("gte", 2),)


def test_what_is_named_is_compiled_first_whatever_the_order(tmp_path: Path) -> None:
    outer = "{type: temporal, rules: [burst, shell], timespan: 1h}"
    made = collected(tmp_path, correlation("outer", 9, outer), HEAD + BURST)
    assert [found.correlation.title for found in made.correlations] == ["Many logins failed"] * 2
    assert made.correlations[1].correlation.rules[0].endswith("9b01")
    again = codec.decode(codec.encode(made.bundle("n", 1, 0, 1)))
    assert again.correlations == tuple(found.correlation for found in made.correlations)


def test_what_only_feeds_a_correlation_is_not_reported(tmp_path: Path) -> None:
    outer = "{type: temporal, rules: [burst, shell], timespan: 1h, generate: true}"
    made = collected(tmp_path, HEAD + BURST, correlation("outer", 9, outer))
    told = {one.rule.title: one.rule.is_reported for one in made.compiled}
    assert told == {"A login failed": False, "A shell began": True, "A program ran": True}
    assert [found.correlation.is_reported for found in made.correlations] == [True, True]


def test_one_correlation_that_generates_is_enough(tmp_path: Path) -> None:
    loud = "{type: temporal, rules: [failed_login, shell], timespan: 1h, generate: true}"
    made = collected(tmp_path, HEAD + BURST, correlation("loud", 9, loud))
    assert all(one.rule.is_reported for one in made.compiled)


def test_aliases_name_fields_of_each_rule(tmp_path: Path) -> None:
    text = (
        "{type: temporal, rules: [failed_login, shell], timespan: 1h, group-by: [who], "
        "aliases: {who: {failed_login: Service, shell: User}}}"
    )
    (found,) = collected(tmp_path, correlation("chain", 1, text)).correlations
    assert found.warnings == ()
    assert found.correlation.aliases == (
        Alias("who", "6f1f2f5e-8d0b-4c1e-9d7e-1f8e3c8f9a01", "Service"),
        Alias("who", "6f1f2f5e-8d0b-4c1e-9d7e-1f8e3c8f9a02", "User"),
    )


def test_a_field_of_auditd_is_grouped_by_what_we_call_it(tmp_path: Path) -> None:
    text = "{type: event_count, rules: [ran], timespan: 1h, group-by: [a0], condition: {gt: 1}}"
    (found,) = collected(tmp_path, correlation("c", 1, text)).correlations
    assert found.correlation.aliases == (
        Alias("a0", "6f1f2f5e-8d0b-4c1e-9d7e-1f8e3c8f9a03", "Argv0"),
    )


def test_a_group_that_events_do_not_have_is_a_warning(tmp_path: Path) -> None:
    text = BURST.replace("[Service]", "[TargetUser]")
    (warning,) = collected(tmp_path, HEAD + text).warnings
    assert warning.startswith(f"{tmp_path}/all.yml:")
    assert "'A login failed' have no field TargetUser" in warning


REFUSED = {
    "a kind that is not run": ("event_count", "value_avg", "9:3", "got 'value_avg'"),
    "a rule that is not there": ("failed_login", "nobody", "10:3", "got 'nobody'"),
    "one rule twice": (
        "failed_login",
        "[shell, 6f1f2f5e-8d0b-4c1e-9d7e-1f8e3c8f9a02]",
        "10:3",
        "twice",
    ),
    "no rule": ("failed_login", "[]", "10:3", "1 to 256 rules, got 0"),
    "no unit": ("5m", "300", "12:3", "such as 5m; got 300"),
    "a year": ("5m", "1y", "12:3", "1s to 31d, got '1y'"),
    "nothing at all": ("5m", "0s", "12:3", "1s to 31d, got '0s'"),
    "an unknown operator": ("{gte: 10}", "{ge: 10}", "13:15", "got 'ge'"),
    "text as a number": ("{gte: 10}", "{gte: many}", "13:15", "got 'many'"),
    "a number too large": ("{gte: 10}", "{gte: 1000001}", "13:15", "got 1000001"),
    "no condition": ("  condition: {gte: 10}\n", "", "8:1", "such as {gte: 5}"),
    "a condition in words": ("{gte: 10}", "shell and not ran", "13:3", "that name rules"),
    "a field to count that is not counted": (
        "{gte: 10}",
        "{gte: 1, field: x}",
        "13:23",
        "no field",
    ),
    "nothing to count": ("event_count", "value_count", "13:3", "a field to count"),
    "a key that is not there": ("timespan: 5m", "timespan: 5m\n  by: x", "13:3", "got 'by'"),
    "groups of no name": ("[Service]", "[{a: 1}]", "11:3", "names of fields"),
    "an odd truth": ("timespan: 5m", "timespan: 5m\n  generate: maybe", "13:3", "'maybe'"),
    "an alias of a stranger": (
        "timespan: 5m",
        "timespan: 5m\n  aliases: {who: {shell: User}}",
        "13:19",
        "one of the correlation's rules, got 'shell'",
    ),
}


@pytest.mark.parametrize(("old", "new", "place", "words"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_run_is_refused_at_its_place(
    old: str, new: str, place: str, words: str, tmp_path: Path
) -> None:
    text = HEAD + BURST
    assert old in text
    line, column = place.split(":")
    above = RULE.count("\n")
    # Lines are counted from the correlation's own first one, two of which are below the head.
    found = problem(tmp_path, text.replace(old, new, 1))
    assert words in found
    assert found.startswith(f"{above + int(line) - 1}:{column}: "), found


def test_circles_are_refused(tmp_path: Path) -> None:
    a = "{type: temporal, rules: [b, shell], timespan: 1h}"
    b = "{type: temporal, rules: [a, shell], timespan: 1h}"
    made = collected(tmp_path, correlation("a", 1, a), correlation("b", 2, b))
    assert len(made.problems) == 2
    assert all("go in circles" in line for line in made.problems)


def test_a_name_belongs_to_one(tmp_path: Path) -> None:
    text = (HEAD + BURST).replace("name: burst", "name: shell")
    assert "expected name to be its own" in problem(tmp_path, text)


@pytest.mark.parametrize(
    "section",
    [
        BURST,
        "correlation: {type: temporal, rules: [failed_login, shell], timespan: 1h}\n",
        "correlation: {type: value_count, rules: ran, timespan: 1d, condition: {field: a, eq: 2}}",
    ],
)
def test_pysigma_takes_what_we_take(section: str, tmp_path: Path) -> None:
    assert collected(tmp_path, HEAD + section).problems == ()
    assert SigmaCorrelationRule.from_dict(yaml.safe_load(HEAD + section)).errors == []
