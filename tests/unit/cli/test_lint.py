"""Each code has a rule that shows it, at the place where an author has to look."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from tests.simulators.examples import examples

from vedette.cli._command_line import main
from vedette.cli._diagnostic import Diagnostic, Level
from vedette.cli._lint import lint
from vedette.cli._lint_codes import CODES

ROOT = Path(__file__).parents[3]
Capture = pytest.CaptureFixture[str]

RULE = """\
title: Shell of a web server
id: 6f1f2f5e-8d0b-4c1e-9d7e-1f8e3c8f9a01
description: A web server starts a shell.
author: Somebody
level: high
tags: [attack.execution, attack.t1059.004]
falsepositives: [Unlikely]
logsource: {product: linux, category: process_creation}
detection:
  shell:
    Image|endswith: /sh
  parent:
    ParentImage|endswith: /httpd
  quiet:
    CommandLine|contains: health
  condition: shell and parent and not quiet
"""
MATCH = "- {Image: /bin/sh, ParentImage: /usr/sbin/httpd, CommandLine: id}\n"
NOMATCH = "- {Image: /bin/sh, ParentImage: /usr/sbin/httpd, CommandLine: health}\n"
SAMPLES = {"a.match.yml": MATCH, "a.nomatch.yml": NOMATCH}
TWIN_ID = "6f1f2f5e-8d0b-4c1e-9d7e-1f8e3c8f9a02"


def changed(*pairs: tuple[str, str]) -> str:
    text = RULE
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new)
    return text


def other(text: str = RULE) -> str:
    return text.replace("9a01", "9a02").replace("Shell of a web", "A web")


FILE = "category: file_event"
SHELL = "Image|endswith: /sh"
CASES: Mapping[str, tuple[dict[str, str], str]] = {
    "no YAML": ({"a.yml": "title: [", **SAMPLES}, "a.yml:1:9 VR001"),
    "an unknown modifier": (
        {"a.yml": changed(("endswith: /sh", "endwith: /sh")), **SAMPLES},
        "a.yml:11:11 VR002",
    ),
    "look-around": (
        {"a.yml": changed((SHELL, "Image|re: '(?=x)sh'")), **SAMPLES},
        "a.yml:11:15 VR003",
    ),
    "nested repetition": (
        {"a.yml": changed((SHELL, "Image|re: '(s+)+h'")), **SAMPLES},
        "a.yml:11:15 VR004",
    ),
    "a pattern that a hostile line holds up": (
        {"a.yml": changed((SHELL, "Image|re: '(s|ss)+h'")), **SAMPLES},
        "a.yml:11:15 VR005",
    ),
    "clauses that contradict each other": (
        {
            "a.yml": changed(
                ("ParentImage|endswith: /httpd", "CommandLine|startswith: curl"),
                ("CommandLine|contains: health", "CommandLine|endswith: x"),
                ("Image|endswith: /sh", "CommandLine|startswith: wget"),
            ),
            **SAMPLES,
        },
        "a.yml:13:29 VR101",
    ),
    "what is asked for is excluded": (
        {"a.yml": changed(("CommandLine|contains: health", "ParentImage|endswith: d")), **SAMPLES},
        "a.yml:15:27 VR101",
    ),
    "a value that another clause rules out": (
        {
            "a.yml": changed(
                (SHELL, "CommandLine|startswith: [curl, wget]"),
                ("ParentImage|endswith: /httpd", "CommandLine|re: x\n    CommandLine: curl x"),
                ("CommandLine|contains: health", "User: health"),
            ),
            **SAMPLES,
        },
        "a.yml:11:36 VR102",
    ),
    "a mistyped field": (
        {"a.yml": changed((SHELL, "Imge|endswith: /sh")), **SAMPLES},
        "a.yml:11:20 VR103",
    ),
    "a category without a sensor": (
        {"a.yml": changed(("process_creation", "proces_creation")), **SAMPLES},
        "a.yml:8:1 VR104",
    ),
    "a word that is none of the field's": (
        {
            "a.yml": changed(
                ("category: process_creation", FILE),
                ("ParentImage|endswith: /httpd", "Action: delete"),
            ),
            "a.match.yml": "- {Action: x}\n",
            "a.nomatch.yml": "- {Action: x}\n",
        },
        "a.yml:13:13 VR105",
    ),
    "upper case of a name that is always lower": (
        {
            "a.yml": changed(
                ("category: process_creation", "category: dns_query"),
                (SHELL, "QueryName|contains|cased: Evil.example"),
                ("ParentImage|endswith: /httpd", "QueryType: 1"),
                ("CommandLine|contains: health", "QueryName|endswith: .org"),
            ),
            "a.match.yml": "- {QueryName: x}\n",
            "a.nomatch.yml": "- {QueryName: x}\n",
        },
        "a.yml:11:31 VR105",
    ),
    "a relative path": (
        {"a.yml": changed((SHELL, "CurrentDirectory|startswith: tmp/")), **SAMPLES},
        "a.yml:11:34 VR105",
    ),
    "an exclusion of what cannot be": (
        {
            "a.yml": changed(("CommandLine|contains: health", "User: root"),
                             (SHELL, "Image|endswith: /sh\n    User: www")),
            **SAMPLES,
        },
        "a.yml:16:11 VR106",
    ),
    "an empty list": (
        {"a.yml": changed((SHELL, "Image|endswith: [/sh]\n    User: []")), **SAMPLES},
        "a.yml:12:5 VR107",
    ),
    "a selection that nothing uses": (
        {"a.yml": changed((" and not quiet", "")), **SAMPLES},
        "a.yml:14:3 VR108",
    ),
    "a rule without a text": (
        {"a.yml": changed((SHELL, "ProcessId|gt: 5"), (" and parent and", " and"),
                          ("  parent:\n    ParentImage|endswith: /httpd\n", ""),
                          ("ProcessId|gt: 5", "Image|exists: true")), **SAMPLES},
        "a.yml:9:1 VR109",
    ),
    "an exclusion that another one holds": (
        {"a.yml": changed(("contains: health", "contains: [health, a health]")), **SAMPLES},
        "a.yml:15:36 VR106",
    ),
    "a value that another one covers": (
        {"a.yml": changed((SHELL, "Image|endswith: [/bin/sh, /sh]")), **SAMPLES},
        "a.yml:11:22 VR110",
    ),
    "a rule in the shadow of another": (
        {
            "a.yml": RULE, **SAMPLES,
            "b.yml": other(changed(("/httpd", "bin/httpd"))),
            "b.match.yml": MATCH, "b.nomatch.yml": NOMATCH,
        },
        "b.yml:9:1 VR201",
    ),
    "two rules with one condition": (
        {
            "a.yml": RULE, **SAMPLES,
            "b.yml": other(changed(("shell and parent", "parent and shell"))),
            "b.match.yml": MATCH, "b.nomatch.yml": NOMATCH,
        },
        "b.yml:9:1 VR202",
    ),
    "an id used twice": (
        {
            "a.yml": RULE, **SAMPLES,
            "b.yml": changed(("/httpd", "/nginx"), ("Shell of", "Program of")),
            "b.match.yml": MATCH, "b.nomatch.yml": NOMATCH,
        },
        "b.yml:2:1 VR203",
    ),
    "a title used twice": (
        {
            "a.yml": RULE, **SAMPLES,
            "b.yml": changed(("/httpd", "/nginx"), ("9a01", "9a02")),
            "b.match.yml": MATCH, "b.nomatch.yml": NOMATCH,
        },
        "b.yml:1:1 VR204",
    ),
    "no id": (
        {"a.yml": changed(("id: 6f1f2f5e-8d0b-4c1e-9d7e-1f8e3c8f9a01\n", "")), **SAMPLES},
        "a.yml:1:1 VR301",
    ),
    "an id that is no UUID": ({"a.yml": changed(("6f1f2f5e-", "")), **SAMPLES}, "a.yml:2:1 VR302"),
    "no author": ({"a.yml": changed(("author: Somebody\n", "")), **SAMPLES}, "a.yml:1:1 VR303"),
    "a mistyped level": ({"a.yml": changed(("high", "hihg")), **SAMPLES}, "a.yml:5:1 VR304"),
    "no tags": (
        {"a.yml": changed(("tags: [attack.execution, attack.t1059.004]\n", "")), **SAMPLES},
        "a.yml:1:1 VR305",
    ),
    "a technique that is none": (
        {"a.yml": changed(("t1059.004", "t1059.044")), **SAMPLES},
        "a.yml:6:* VR306",
    ),
    "a mistyped tactic": (
        {"a.yml": changed(("attack.execution", "attack.exection")), **SAMPLES},
        "a.yml:6:* VR306",
    ),
    "no title": (
        {"a.yml": changed(("title: Shell of a web server\n", "")), **SAMPLES},
        "a.yml:1:1 VR307",
    ),
    "no description": (
        {"a.yml": changed(("description: A web server starts a shell.\n", "")), **SAMPLES},
        "a.yml:1:1 VR308",
    ),
    "no false positives": (
        {"a.yml": changed(("falsepositives: [Unlikely]\n", "")), **SAMPLES},
        "a.yml:1:1 VR309",
    ),
    "a mistyped key": (
        {"a.yml": changed(("tags:", "refrences: [x]\ntags:")), **SAMPLES},
        "a.yml:6:1 VR310",
    ),
    "no matching sample": ({"a.yml": RULE, "a.nomatch.yml": NOMATCH}, "a.yml:1:1 VR401"),
    "no sample that must not match": ({"a.yml": RULE, "a.match.yml": MATCH}, "a.yml:1:1 VR402"),
    "samples that are no list": (
        {"a.yml": RULE, "a.match.yml": "a: b\n", "a.nomatch.yml": NOMATCH},
        "a.match.yml:1:1 VR403",
    ),
    "a sample with a mistyped field": (
        {"a.yml": RULE, "a.match.yml": "\n- {Imag: /bin/sh}\n", "a.nomatch.yml": NOMATCH},
        "a.match.yml:2:1 VR404",
    ),
}  # fmt: skip


def write(folder: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        (folder / name).write_text(text)


def told(found: Diagnostic) -> str:
    return f"{found.file.name}:{found.line}:{found.column} {found.code}"


@pytest.mark.parametrize("name", CASES)
def test_a_defect_is_told_at_its_place_and_nothing_else_is(name: str, tmp_path: Path) -> None:
    files, expected = CASES[name]
    write(tmp_path, files)
    found = [told(one) for one in lint([tmp_path]).found]
    pattern = re.escape(expected).replace(r"\*", r"\d+")
    same_code = [one for one in found if re.fullmatch(pattern, one)]
    assert same_code, found
    assert {one[-5:] for one in found} == {expected[-5:]}, found


def test_every_code_has_a_rule_that_shows_it() -> None:
    assert {expected[-5:] for _, expected in CASES.values()} == set(CODES)


def test_a_good_rule_is_left_alone(tmp_path: Path, capsys: Capture) -> None:
    write(tmp_path, {"a.yml": RULE, **SAMPLES})
    assert main(["rules", "lint", str(tmp_path)]) == 0
    assert capsys.readouterr().out == "1 rules: 0 errors, 0 warnings, 0 notes\n"


def test_a_person_reads_place_level_code_and_what_to_do(tmp_path: Path, capsys: Capture) -> None:
    write(tmp_path, {"a.yml": changed((SHELL, "Imge|endswith: /sh")), **SAMPLES})
    assert main(["rules", "lint", str(tmp_path)]) == 1
    first, second, *_ = capsys.readouterr().out.splitlines()
    assert first.startswith(f"{tmp_path}/a.yml:11:20: warning VR103 process_creation has no field")
    assert first.endswith(': did you mean "Image"?')
    assert second == f"    {CODES['VR103'].advice}"


def test_a_program_gets_the_same(tmp_path: Path, capsys: Capture) -> None:
    write(tmp_path, {"a.yml": changed((SHELL, "Imge|endswith: /sh")), **SAMPLES})
    assert main(["rules", "lint", "--json", "--fail-on", "error", str(tmp_path)]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["line"], row["column"], row["code"], row["level"]) == (11, 20, "VR103", "warning")
    assert row["file"] == f"{tmp_path}/a.yml"


@pytest.mark.parametrize("words", [["--ignore", "VR401"], []])
def test_what_is_known_can_be_allowed(words: list[str], tmp_path: Path) -> None:
    comment = "" if words else "# lint: allow VR401, VR402 its samples are elsewhere\n"
    write(tmp_path, {"a.yml": comment + RULE, "a.nomatch.yml": NOMATCH})
    assert main(["rules", "lint", *words, str(tmp_path)]) == 0


def test_a_shadow_by_a_lower_level_is_no_shadow(tmp_path: Path) -> None:
    lower = other(changed(("/httpd", "bin/httpd"))).replace("level: high", "level: critical")
    write(tmp_path, {"a.yml": RULE, "b.yml": lower})
    assert not any(one.code.startswith("VR2") for one in lint([tmp_path]).found)


def test_the_page_of_codes_says_what_the_linter_says() -> None:
    page = (ROOT / "agent" / "docs" / "lint-codes.md").read_text()
    rows = re.findall(r"^\| (VR\d+) \| (\w+) \| (.*?) \| (.*?) \|$", page, re.MULTILINE)
    expected = [(code, it.level.name.lower(), it.meaning, it.advice) for code, it in CODES.items()]
    assert rows == expected


def test_levels_are_told_apart_by_more_than_colour() -> None:
    assert {code.level for code in CODES.values()} == set(Level)


_YAML = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-9, 9), st.text(max_size=8), st.floats()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(
                (
                    "Image",
                    "Image|contains",
                    "x|re",
                    "condition",
                    "a",
                    "detection",
                    "CommandLine|all",
                )
            ),
            inner,
            max_size=3,
        ),
    ),
    max_leaves=8,
)


@examples(0.6, HealthCheck.function_scoped_fixture)
@given(st.dictionaries(
    st.sampled_from((
        "title", "id", "author", "level", "tags", "logsource", "detection", "falsepositives",
        "fields", "correlation", "filter", "related", "description", "name", "status",
    )),
    _YAML, max_size=9,
), st.booleans())  # fmt: skip
def test_no_document_makes_it_fail(
    tmp_path: Path,
    document: dict[str, object],
    is_completed: bool,  # noqa: FBT001 (drawn)
) -> None:
    import yaml  # noqa: PLC0415 (operator side)

    base: dict[str, object] = yaml.safe_load(RULE) if is_completed else {}
    file = tmp_path / "a.yml"
    file.write_text(yaml.safe_dump({**base, **document}, allow_unicode=True))
    for one in lint([file]).found:
        assert one.line >= 1
        assert one.column >= 1
