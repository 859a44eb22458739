from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from sigma.modifiers import modifier_mapping
from tests.simulators.linear_engine import is_met

from vedette.cli._sigma_compiler import Compiled, compile_rule
from vedette.cli._sigma_document import load
from vedette.cli._sigma_modifiers import REFUSED as REFUSED_MODIFIERS
from vedette.cli._sigma_modifiers import SUPPORTED
from vedette.codec import bundle as codec
from vedette.core.engine import Engine
from vedette.errors import RuleError
from vedette.model.finding import Severity
from vedette.model.rule import AllOf, AnyOf, Bundle, Condition, Match, Not

CORPUS = Path(__file__).parents[4] / "shared" / "corpora" / "sigma-linux"

HEAD = """\
title: A rule
id: 6f1f2f5e-8d0b-4c1e-9d7e-1f8e3c8f9a01
author: Somebody
level: high
tags: [attack.t1059]
logsource: {product: linux, category: process_creation}
"""


def write(folder: Path, text: str) -> Path:
    file = folder / "rule.yml"
    file.write_text(text)
    return file


def compiled(folder: Path, detection: str) -> Compiled:
    (document,) = load(write(folder, HEAD + detection))
    return compile_rule(document)


def condition(folder: Path, selection: dict[str, Any] | list[Any]) -> Condition:
    text = yaml.safe_dump({"detection": {"sel": selection, "condition": "sel"}})
    return compiled(folder, text).rule.condition


def test_a_rule_keeps_what_a_finding_needs(tmp_path: Path) -> None:
    rule = compiled(tmp_path, "detection: {s: {Image|endswith: /Wget}, condition: s}").rule
    assert (rule.title, rule.author, rule.severity) == ("A rule", "Somebody", Severity.HIGH)
    assert rule.tags == ("attack.t1059",)
    assert rule.category == "process_creation"
    assert rule.condition == Match("Image", "endswith", "/wget", is_cased=False)
    assert rule.fields == ("Image", "ImageAlias", "CommandLine", "ParentImage", "User")


VALUES: dict[str, tuple[dict[str, Any] | list[Any], Condition]] = {
    "a plain value": ({"Image": "/Bin/Sh"}, Match("Image", "equals", "/bin/sh", False)),
    "a number": ({"UserId": 0}, Match("UserId", "equals", "0", False)),
    "a truth": ({"Setuid": True}, Match("Setuid", "equals", "true", False)),
    "nothing": ({"User": None}, Match("User", "null", "", False)),
    "an empty text": ({"User": ""}, Match("User", "equals", "", False)),
    "anything": ({"User": "*"}, Match("User", "exists", "true", False)),
    "contains": ({"Image|contains": "Ab"}, Match("Image", "contains", "ab", False)),
    "startswith": ({"Image|startswith": "Ab"}, Match("Image", "startswith", "ab", False)),
    "wildcards": ({"Image": "a*B?c"}, Match("Image", "glob", "a*b?c", False)),
    "an escaped wildcard": ({"Image|contains": r"a\*b"}, Match("Image", "contains", "a*b", False)),
    "both kinds": ({"Image": r"\**x"}, Match("Image", "glob", r"\**x", False)),
    "cased": ({"Image|contains|cased": "Ab"}, Match("Image", "contains", "Ab", True)),
    "cidr": ({"SourceIp|cidr": "10.0.0.0/8"}, Match("SourceIp", "cidr", "10.0.0.0/8", False)),
    "gte": ({"DistinctCount|gte": 64}, Match("DistinctCount", "gte", "64", False)),
    "lt": ({"DistinctCount|lt": 1.5}, Match("DistinctCount", "lt", "1.5", False)),
    "exists": ({"User|exists": False}, Match("User", "exists", "false", False)),
    "re": ({"Image|re": "^/tmp/x+Abc$"}, Match("Image", "re", "^/tmp/x+Abc$", True, "/tmp/x")),
    "re with flags": ({"User|re|i|s": "Evil.x"}, Match("User", "re", "(?is)Evil.x", True, "evil")),
    "a list": (
        {"Image": ["a", "b"]},
        AnyOf((Match("Image", "equals", "a", False), Match("Image", "equals", "b", False))),
    ),
    "all of a list": (
        {"Image|contains|all": ["a", "b"]},
        AllOf((Match("Image", "contains", "a", False), Match("Image", "contains", "b", False))),
    ),
    "two fields": (
        {"Image": "a", "User": "b"},
        AllOf((Match("Image", "equals", "a", False), Match("User", "equals", "b", False))),
    ),
    "the other way round": ({"User|neq": "root"}, Not(Match("User", "equals", "root", False))),
    "another field": ({"Image|fieldref": "Argv0"}, Match("Image", "equals_field", "Argv0", False)),
    "the end of another field": (
        {"Image|fieldref|endswith": "Argv0"},
        Match("Image", "endswith_field", "Argv0", False),
    ),
    "within another field": (
        {"CommandLine|fieldref|contains": "User"},
        Match("CommandLine", "contains_field", "User", False),
    ),
    "base64": (
        {"CommandLine|base64|contains": "/bin/sh"},
        Match("CommandLine", "contains", "l2jpbi9zaa==", False),
    ),
    "base64 of UTF-16": (
        {"CommandLine|utf16le|base64|contains": "ls"},
        Match("CommandLine", "contains", "babzaa==", False),
    ),
    "base64 at any offset": (
        {"CommandLine|base64offset|contains": "/bin/sh"},
        AnyOf(
            (
                Match("CommandLine", "contains", "l2jpbi9za", False),
                Match("CommandLine", "contains", "9iaw4vc2", False),
                Match("CommandLine", "contains", "vymlul3no", False),
            )
        ),
    ),
    "dashes of any kind": (
        {"CommandLine|windash|contains": " -x"},
        AnyOf(
            tuple(
                Match("CommandLine", "contains", f" {dash}x", False)
                for dash in "-/\u2013\u2014\u2015"
            )
        ),
    ),
    "keywords": (
        ["Failed", "a*b"],
        AnyOf((Match("", "contains", "failed", False), Match("", "glob", "*a*b*", False))),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("selection", "expected"), VALUES.values(), ids=VALUES)
def test_a_value_becomes_the_cheapest_comparison(
    selection: dict[str, Any] | list[Any], expected: Condition, tmp_path: Path
) -> None:
    assert condition(tmp_path, selection) == expected


@pytest.mark.parametrize(
    ("text", "event", "is_expected"),
    [
        ("1 of sel*", {"Image": "a"}, True),
        ("all of sel*", {"Image": "a"}, False),
        ("all of sel*", {"Image": "a", "User": "b"}, True),
        ("1 of them", {"Image": "c"}, False),
        ("sel1 and not sel2", {"Image": "a", "User": "c"}, True),
        ("sel1 and not sel2", {"Image": "a", "User": "b"}, False),
        ("not (sel1 or sel2)", {}, True),
    ],
)
def test_conditions_mean_what_sigma_says(
    text: str,
    event: dict[str, str],
    is_expected: bool,  # noqa: FBT001
    tmp_path: Path,
) -> None:
    detection = f"detection: {{sel1: {{Image: a}}, sel2: {{User: b}}, condition: {text!r}}}\n"
    assert is_met(compiled(tmp_path, detection).rule.condition, event) is is_expected


@pytest.mark.parametrize(
    ("source", "category"),
    [
        ("{product: linux, service: sshd}", "service:sshd"),
        ("{product: linux, service: syslog}", "service:"),
        ("{product: linux}", "service:"),
        ("{category: dns_query}", "dns_query"),
    ],
)
def test_a_log_source_becomes_a_category(source: str, category: str, tmp_path: Path) -> None:
    head = HEAD.replace("{product: linux, category: process_creation}", source)
    (document,) = load(write(tmp_path, f"{head}detection: {{k: [failed], condition: k}}\n"))
    assert compile_rule(document).rule.category == category


REFUSED = {
    "an unknown modifier": (
        "detection:\n  s:\n    Image|contains|fuzzy: x\n  condition: s\n",
        "rule.yml:9:20: ",
        "got 'fuzzy'",
    ),
    "a part of a time": (
        "detection:\n  s:\n    - CommandLine|hour: 3\n  condition: s\n",
        "rule.yml:9:19: ",
        "got 'hour': no field of our events is a time",
    ),
    "a placeholder without values": (
        "detection:\n  s:\n    User|expand:\n    - root\n    - '%admins%'\n  condition: s\n",
        "rule.yml:11:7: ",
        "values for the placeholder %admins%, got none",
    ),
    "a modifier on what it cannot take": (
        "detection:\n  s:\n    Image: /a\n    User|cidr: [1.2.3.0/24, 1/99]\n  condition: s\n",
        "rule.yml:10:5: ",
        "1/99",
    ),
    "an encoded text with wildcards": (
        "detection:\n  s:\n    CommandLine|base64: a*b\n  condition: s\n",
        "rule.yml:9:5: ",
        "Base64 encoding of strings with wildcards",
    ),
    "aliases of YAML": (
        "detection:\n  s: &a\n    Image: [x]\n  t: *a\n  condition: s\n",
        "rule.yml:8:6: ",
        "expected values written out",
    ),
    "a status that Sigma does not know": (
        "status: odd\ndetection:\n  s:\n    Image: x\n  condition: s\n",
        "rule.yml:7:1: ",
        "status",
    ),
    "a key given twice": (
        "detection:\n  s:\n    Image: x\n    Image: y\n  condition: s\n",
        "rule.yml:10:5: ",
        "once, got it twice",
    ),
    "a pattern outside RE2": (
        "detection:\n  s:\n    Image|re: ['x', '(?=x)y']\n  condition: s\n",
        "rule.yml:9:21: ",
        "RE2 accepts",
    ),
    "a dangerous pattern": (
        "detection:\n  s:\n    Image|re: '(a+)+x'\n  condition: s\n",
        "rule.yml:9:15: ",
        "no endless repetition inside another",
    ),
    "a name that is missing": (
        "detection:\n  s:\n    Image: x\n  condition: s and t\n",
        "rule.yml:10:3: ",
        "'t'",
    ),
    "no condition": ("detection:\n  s:\n    Image: x\n", "rule.yml:7:1: ", "condition"),
    "no detection": ("fields: [Image]\n", "rule.yml:1:1: ", "a mapping named detection"),
    "a correlation among rules": (
        "correlation:\n  type: event_count\n",
        "rule.yml:7:1: ",
        "expected a detection, got a correlation",
    ),
    "an empty keyword": ("detection: {k: [''], condition: k}\n", "rule.yml:7:13: ", "empty one"),
    "a value of 2 KB": (
        f"detection: {{s: {{Image: {'x' * 2000}}}, condition: s}}\n",
        "rule.yml:7:17: ",
        "at most 1024 bytes",
    ),
    "no YAML": ("detection: [\n", "rule.yml:8:1: ", "expected YAML"),
}


@pytest.mark.parametrize(("detection", "place", "words"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_run_is_refused_at_its_place(
    detection: str, place: str, words: str, tmp_path: Path
) -> None:
    with pytest.raises(RuleError) as caught:
        compiled(tmp_path, detection)
    assert str(caught.value).startswith(f"{tmp_path}/{place}")
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("author: Somebody\n", "", "expected text named author"),
        ("level: high\n", "level: severe\n", "expected level to be one of informational"),
        ("product: linux", "product: windows", "expected product linux, got 'windows'"),
        ("id: 6f1f2f5e-8d0b-4c1e-9d7e-1f8e3c8f9a01\n", "", "expected text named id"),
    ],
)
def test_what_a_finding_needs_must_be_there(old: str, new: str, words: str, tmp_path: Path) -> None:
    assert old in HEAD
    text = HEAD.replace(old, new) + "detection: {s: {Image: x}, condition: s}\n"
    (document,) = load(write(tmp_path, text))
    with pytest.raises(RuleError, match=words):
        compile_rule(document)


@pytest.mark.parametrize(
    ("detection", "column", "words"),
    [
        ("detection: {s: {Hashes: x}, condition: s}", 17, "have no field Hashes"),
        ("detection: {s: {Image: x}, condition: not s}", 28, "asked of every event"),
    ],
)
def test_what_can_never_match_or_always_costs_is_a_warning(
    detection: str, column: int, words: str, tmp_path: Path
) -> None:
    (warning,) = compiled(tmp_path, detection).warnings
    assert words in warning
    assert warning.startswith(f"{tmp_path}/rule.yml:7:{column}: ")


def test_negation_keeps_its_meaning(tmp_path: Path) -> None:
    found = compiled(tmp_path, "detection: {s: {Image: x}, condition: not s}").rule.condition
    assert found == Not(Match("Image", "equals", "x", is_cased=False))


def test_a_placeholder_stands_for_each_of_its_values(tmp_path: Path) -> None:
    detection = "detection: {s: {User|expand|startswith: 'x-%who%'}, condition: s}\n"
    (document,) = load(write(tmp_path, HEAD + detection))
    rule = compile_rule(document, {"who": ("A", "b*")}).rule
    assert rule.condition == AnyOf(
        (
            Match("User", "startswith", "x-a", is_cased=False),
            Match("User", "startswith", "x-b*", is_cased=False),
        )
    )


def test_every_modifier_of_pysigma_is_taken_or_refused_by_name() -> None:
    known = SUPPORTED | REFUSED_MODIFIERS.keys()
    assert set(modifier_mapping) <= known
    assert known - set(modifier_mapping) == {"utf16le"}


@pytest.mark.skipif(not CORPUS.exists(), reason="the Sigma corpus is not beside this checkout")
def test_all_linux_rules_of_sigmahq_compile_and_run() -> None:
    documents = [document for file in sorted(CORPUS.rglob("*.yml")) for document in load(file)]
    every = [compile_rule(document) for document in documents]
    rules = tuple(rule for one in every for rule in one.rules)
    engine = Engine(codec.decode(codec.encode(Bundle("corpus", 1, 0, 0, rules, (), ""))))
    assert len(every) >= 210
    unserved = [one for one in every if one.rule.category == "service:auditd"]
    assert len(unserved) <= 4
    assert all(one.missing for one in unserved)
    assert engine.refused == ()
    assert engine.always == ()
    (found,) = engine.match(
        "process_creation",
        {
            "Image": "/usr/bin/busybox",
            "ImageAlias": "/usr/bin/crontab",
            "CommandLine": "crontab -l",
        },
    )
    assert "Crontab" in found.title
