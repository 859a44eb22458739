"""Samples: what an author reads when one goes wrong, and sequences of events for correlations."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import strategies as st
from tests.simulators.examples import examples

from vedette.cli._command_line import main
from vedette.cli._sample_file import read_samples
from vedette.errors import RuleError

Capture = pytest.CaptureFixture[str]

HEAD = """\
title: {title}
id: 6f1f2f5e-8d0b-4c1e-9d7e-1f8e3c8f9a{number}
author: Somebody
level: high
"""
FAILED = (
    HEAD.format(title="Login failed", number="01")
    + """\
name: failed
logsource: {product: linux, service: sshd}
detection: {words: [Failed password], condition: words}
"""
)
SHELL = (
    HEAD.format(title="Shell", number="02")
    + """\
name: shell
logsource: {product: linux, category: process_creation}
detection: {image: {Image|endswith: /sh}, condition: image}
"""
)
MANY = (
    HEAD.format(title="Many failures, then a shell", number="03")
    + """\
correlation:
  type: %s
  rules: %s
  group-by: %s
  timespan: 60s
  condition: %s
"""
)
COUNT = ("event_count", "[failed]", "[Service]", "{gte: 3}")
FAIL = "{category: 'service:sshd', Service: sshd, Message: Failed password}"
OTHER = FAIL.replace("Service: sshd", "Service: dropbear").replace("'service:sshd'", "service:x")


def correlated(folder: Path, how: tuple[str, ...], match: str, nomatch: str = "") -> None:
    (folder / "a.yml").write_text("---\n".join([FAILED, SHELL, MANY % how]))
    if match:
        (folder / "a.match.yml").write_text(match)
    if nomatch:
        (folder / "a.nomatch.yml").write_text(nomatch)


def test_a_sequence_that_meets_its_correlation(tmp_path: Path, capsys: Capture) -> None:
    short = FAIL[:-1] + ", times: 2}"
    correlated(
        tmp_path,
        COUNT,
        f"- name: three in a row\n  events:\n    - {FAIL[:-1]}, times: 3, every: 10s}}\n",
        f"- [{short}]\n- [{FAIL}, {FAIL[:-1]}, at: 61}}, {FAIL[:-1]}, at: 2m}}]\n",
    )
    assert main(["rules", "test", "--verbose", str(tmp_path)]) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[:3] == [
        f"ok {tmp_path}/a.match.yml:1: 'Many failures, then a shell' matches (three in a row)",
        "   'Login failed' matched events 1, 2, 3 of Service='sshd'",
        f"ok {tmp_path}/a.nomatch.yml:1: 'Many failures, then a shell' does not match",
    ]
    assert told[-1] == "3 rules, 3 samples, 0 not as expected"


def test_a_sequence_that_falls_short_says_by_how_much(tmp_path: Path, capsys: Capture) -> None:
    match = f"- [{FAIL}, {FAIL}, {{category: 'service:sshd', Message: Accepted password}}]\n"
    correlated(tmp_path, COUNT, match)
    assert main(["rules", "test", str(tmp_path)]) == 1
    assert capsys.readouterr().out.splitlines() == [
        f"WRONG {tmp_path}/a.match.yml:1: 'Many failures, then a shell' does not match",
        "   'Login failed' matched events 1, 2 of Service='sshd'",
        (
            "   the event of line 1 matched nothing: expected any field contains 'failed "
            "password', got 'Accepted password'"
        ),
        "   expected event_count gte 3 within 60 s, got at most 2 (of Service='sshd')",
        "3 rules, 1 samples, 1 not as expected",
    ]


KINDS: Mapping[str, tuple[tuple[str, ...], str, bool]] = {
    "values that differ": (
        ("value_count", "[shell]", "[User]", "{gte: 3, field: CommandLine}"),
        "- [{category: process_creation, Image: /bin/sh, User: u, CommandLine: 's {n}', times: 3}]",
        True,
    ),
    "one value three times": (
        ("value_count", "[shell]", "[User]", "{gte: 3, field: CommandLine}"),
        "- [{category: process_creation, Image: /bin/sh, User: u, CommandLine: sh, times: 3}]",
        False,
    ),
    "two rules in order": (
        ("temporal_ordered", "[failed, shell]", "[Service]", "{gte: 2}"),
        f"- [{FAIL}, {{category: process_creation, Image: /bin/sh, Service: sshd, at: 5s}}]",
        True,
    ),
    "two rules in the other order": (
        ("temporal_ordered", "[failed, shell]", "[Service]", "{gte: 2}"),
        f"- [{{category: process_creation, Image: /bin/sh, Service: sshd}}, {FAIL[:-1]}, at: 5s}}]",
        False,
    ),
    "two rules in any order": (
        ("temporal", "[failed, shell]", "[Service]", "{gte: 2}"),
        f"- [{{category: process_creation, Image: /bin/sh, Service: sshd}}, {FAIL[:-1]}, at: 5s}}]",
        True,
    ),
    "two rules of two groups": (
        ("temporal", "[failed, shell]", "[Service]", "{gte: 2}"),
        f"- [{{category: process_creation, Image: /bin/sh, Service: x}}, {FAIL[:-1]}, at: 5s}}]",
        False,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", KINDS)
def test_each_kind_of_correlation_runs(name: str, tmp_path: Path, capsys: Capture) -> None:
    how, sequence, is_met = KINDS[name]
    correlated(tmp_path, how, *((sequence, "") if is_met else ("", sequence)))
    assert main(["rules", "test", str(tmp_path)]) == 0, capsys.readouterr().out


def test_a_chain_counts_what_its_own_correlation_met(tmp_path: Path, capsys: Capture) -> None:
    inner = MANY.replace("author:", "name: many\nauthor:") % COUNT
    outer = (
        HEAD.format(title="Twice many", number="04")
        + "correlation:\n  type: event_count\n  rules: [many]\n  group-by: [Service]\n"
        "  timespan: 10m\n  condition: {gte: 2}\n"
    )
    (tmp_path / "a.yml").write_text(f"{FAILED}---\n{inner}")
    (tmp_path / "b.yml").write_text(outer)
    (tmp_path / "b.match.yml").write_text(f"- [{FAIL[:-1]}, times: 4}}]\n")
    (tmp_path / "b.nomatch.yml").write_text(f"- [{FAIL[:-1]}, times: 3}}]\n")
    assert main(["rules", "test", str(tmp_path)]) == 0, capsys.readouterr().out


def test_a_sequence_may_name_its_correlation(tmp_path: Path, capsys: Capture) -> None:
    correlated(tmp_path, COUNT, f"- {{rule: nonsense, events: [{FAIL}]}}\n")
    assert main(["rules", "test", str(tmp_path)]) == 1
    assert f"refused {tmp_path}/a.match.yml:1:1: expected 'nonsense' in" in capsys.readouterr().err
    title = "Many failures, then a shell"
    match = f"- {{rule: '{title}', events: [{FAIL[:-1]}, times: 3}}]}}\n"
    (tmp_path / "a.match.yml").write_text(match)
    assert main(["rules", "test", str(tmp_path)]) == 0


def test_a_sequence_for_a_plain_rule_is_refused(tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "a.yml").write_text(SHELL)
    (tmp_path / "a.match.yml").write_text("- [{Image: /bin/sh}]\n")
    assert main(["rules", "test", str(tmp_path)]) == 1
    assert "expected a correlation, since this is a sequence" in capsys.readouterr().err


def test_a_filter_is_tried_on_what_it_takes_out(tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "a.yml").write_text(SHELL)
    (tmp_path / "f.yml").write_text(
        "title: Cron's shells\nid: 6f1f2f5e-8d0b-4c1e-9d7e-1f8e3c8f9a09\n"
        "logsource: {product: linux, category: process_creation}\n"
        "filter:\n  rules: [shell]\n  cron: {ParentImage|endswith: /crond}\n  condition: not cron\n"
    )
    (tmp_path / "f.match.yml").write_text("- {Image: /bin/sh, ParentImage: /usr/sbin/crond}\n")
    (tmp_path / "f.nomatch.yml").write_text("- {Image: /bin/sh, ParentImage: /usr/sbin/httpd}\n")
    code = main(["rules", "test", "--verbose", str(tmp_path)])
    told = capsys.readouterr()
    assert code == 0, told
    assert "'Cron's shells' matches" in told.out or '"Cron\'s shells" matches' in told.out


BAD = {
    "no list": ("a: b\n", ":1:1: expected a list of samples, got dict"),
    "no event": ("- text\n", ":1:3: expected an event (field: value) or a sequence of events"),
    "nothing": ("- {}\n", ":1:3: expected an event (field: value) or a sequence of events"),
    "a list as value": ("- {Image: [a]}\n", ":1:11: expected text or a number as value"),
    "a number as key": ("- {1: a}\n", ":1:3: expected names of fields"),
    "no time": ("- [{Image: a, at: soon}]\n", ":1:19: expected a time such as 30, 30s, 5m or 2h"),
    "time that goes back": (
        "- [{Image: a, at: 9}, {Image: a, at: 3}]\n",
        ":1:23: expected events in the order of time, got 3 s after 9 s",
    ),
    "too many": ("- [{Image: a, times: 20001}]\n", ":1:22: expected times from 1 to 20000"),
    "too many together": (
        "- [{Image: a, times: 20000}, {Image: a}]\n",
        ":1:30: expected at most 20000 events in a sequence",
    ),
    "no events": ("- []\n", ":1:3: expected at least one event in a sequence"),
    "events that are none": ("- {events: x}\n", ":1:12: expected a list of events, got str"),
    "an unknown word": ("- {events: [{a: b}], nam: x}\n", ":1:3: expected events, name and rule"),
    "a repeated single event": ("- {Image: a, times: 2}\n", ":1:3: expected `times` in a sequence"),
    "an event that is a text": ("- [x]\n", ":1:4: expected an event (field: value), got str"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_sample_is_told_with_line_and_column(name: str, tmp_path: Path) -> None:
    text, expected = BAD[name]
    file = tmp_path / "a.match.yml"
    file.write_text(text)
    with pytest.raises(RuleError) as raised:
        read_samples(file)
    assert str(raised.value).startswith(f"{file}{expected}")


@examples(1.5, HealthCheck.function_scoped_fixture)
@given(
    st.text(
        alphabet=st.sampled_from("-[]{}:,&*!|>'\"\n #%@`atx09sevntim.~?<=") | st.characters(),
        max_size=60,
    )
)
@example("- &a [*a]")
@example("- [{at: .inf}]")
@example("- {a: 2026-01-01}")
@example("- ? [a]\n  : b")
@example("- <<: {a: b}")
def test_any_text_gives_samples_or_an_error_with_its_place(tmp_path: Path, text: str) -> None:
    file = tmp_path / "a.match.yml"
    file.write_text(text, errors="surrogatepass")
    try:
        for sample in read_samples(file):
            assert sample.events
    except RuleError as error:
        assert str(error).startswith(f"{file}:")  # noqa: PT017 (either outcome is right)
