"""diff, bench and backtest: what a person and a program get from them."""

from __future__ import annotations

import json
import re
import tracemalloc
from collections.abc import Mapping
from pathlib import Path

import pytest

from vedette.cli._command_line import main
from vedette.cli._rule_backtest import backtest
from vedette.cli._rule_bench import bench
from vedette.codec import bundle as bundle_codec
from vedette.core.agent import AgentSettings
from vedette.core.inputs import Input, Observed, RulesLoaded, Stopping, Ticked
from vedette.core.recording import encode_header, encode_input
from vedette.model.event import LogLine, ProcessStarted
from vedette.model.finding import Severity
from vedette.model.rule import (
    AllOf,
    AnyOf,
    Bundle,
    Condition,
    Correlation,
    Match,
    Not,
    Operator,
    Rule,
    Threshold,
)
from vedette.trust.keyfile import create_signer

Capture = pytest.CaptureFixture[str]


def match(field: str, operator: Operator, value: str) -> Match:
    return Match(field, operator, value, is_cased=False)


def rule(rule_id: str, condition: Condition, **changes: object) -> Rule:
    given: dict[str, object] = {
        "title": f"Rule {rule_id}", "severity": Severity.HIGH, "tags": ("attack.t1059",),
        "category": "process_creation", "fields": ("Image", "CommandLine"), **changes,
    }  # fmt: skip
    return Rule(rule_id=rule_id, author="a", condition=condition, **given)  # type: ignore[arg-type]


SHELL = rule("shell", match("Image", "endswith", "/sh"))
WGET = rule(
    "wget", AnyOf((match("CommandLine", "contains", "wget"), match("Image", "equals", "x")))
)
TWICE = Correlation(
    "twice", "Two shells", "a", Severity.CRITICAL, (), "event_count", ("shell",), ("User",), 60,
    (Threshold("gte", 2),),
)  # fmt: skip


def bundle(*rules: Rule, **changes: object) -> Bundle:
    given: dict[str, object] = {
        "name": "b", "counter": 7, "issued_s": 1_700_000_000, "expires_s": 1_800_000_000,
        "redactions": ("pass=(\\w+)",), "digest": "", **changes,
    }  # fmt: skip
    return Bundle(rules=rules, **given)  # type: ignore[arg-type]


def write(folder: Path, name: str, one: Bundle) -> str:
    file = folder / name
    file.write_bytes(bundle_codec.encode(one))
    return str(file)


def started(at_s: float, image: str, line: str) -> ProcessStarted:
    return ProcessStarted(
        at_s,
        "audit",
        100 + int(at_s),
        1,
        0,
        image,
        image,
        line,
        True,
        0,
        0,
        "/",
        "",
        0,
        0,
    )


def record(folder: Path, inputs: list[Input]) -> Path:
    file = folder / "day.vrec"
    settings = AgentSettings("t", "d", "0" * 32)
    file.write_bytes(encode_header(settings) + b"".join(map(encode_input, inputs)))
    return file


def observed(at_s: float, image: str, line: str) -> Observed:
    return Observed(at_s, at_s + 1_700_000_000, (started(at_s, image, line),))


@pytest.fixture
def day(tmp_path: Path) -> Path:
    """Four executions, two of them shells."""
    return record(
        tmp_path,
        [
            RulesLoaded(1.0, 2.0, bundle(WGET)),
            observed(2.0, "/bin/sh", "sh -c pass=hunter2"),
            observed(3.0, "/bin/busybox", "wget http://x"),
            Ticked(30.0, 1_700_000_030.0),
            observed(4.0, "/bin/sh", "sh -c id"),
            observed(5.0, "/bin/true", "true"),
            Stopping(6.0, 7.0),
        ],
    )


class TestDiff:
    def run(self, folder: Path, old: Bundle, new: Bundle, *words: str) -> int:
        return main(["rules", "diff", write(folder, "old", old), write(folder, "new", new), *words])

    def test_nothing_differs(self, tmp_path: Path, capsys: Capture) -> None:
        assert self.run(tmp_path, bundle(SHELL), bundle(SHELL)) == 0
        assert capsys.readouterr().out == "0 added, 0 removed, 0 changed\n"

    def test_what_came_and_went_is_named(self, tmp_path: Path, capsys: Capture) -> None:
        later = bundle(WGET, counter=8, expires_s=1_900_000_000, correlations=())
        assert self.run(tmp_path, bundle(SHELL, correlations=(TWICE,)), later) == 1
        assert capsys.readouterr().out.splitlines() == [
            "counter: - 7  + 8",
            "expires_s: - 2027-01-15 08:00 UTC  + 2030-03-17 17:46 UTC",
            "- rule Rule shell (high, shell)",
            "- correlation Two shells (critical, twice)",
            "+ rule Rule wget (high, wget)",
            "1 added, 2 removed, 0 changed",
        ]

    def test_a_changed_rule_shows_its_clauses(self, tmp_path: Path, capsys: Capture) -> None:
        narrower = AllOf((WGET.condition, Not(match("User", "equals", "root"))))
        changed = rule("wget", narrower, severity=Severity.LOW, tags=("attack.t1105",))
        assert self.run(tmp_path, bundle(WGET), bundle(changed)) == 1
        assert capsys.readouterr().out.splitlines() == [
            "~ rule Rule wget (wget)",
            "    level: - high  + low",
            "    tags: - attack.t1059  + attack.t1105",
            "    clauses: it now matches fewer events",
            "      - one of",
            "      -   CommandLine|contains 'wget'",
            "      -   Image 'x'",
            "      + all of",
            "      +   one of",
            "      +     CommandLine|contains 'wget'",
            "      +     Image 'x'",
            "      +   not",
            "      +     User 'root'",
            "0 added, 0 removed, 1 changed",
        ]

    EFFECTS: Mapping[str, tuple[Condition, Condition, str]] = {
        "a value more": (match("F", "equals", "a"),
                         AnyOf((match("F", "equals", "a"), match("F", "equals", "b"))),
                         "more events"),
        "a longer end": (match("F", "endswith", "sh"), match("F", "endswith", "/sh"),
                         "fewer events"),
        "another order": (AnyOf((match("F", "equals", "a"), match("G", "equals", "b"))),
                          AnyOf((match("G", "equals", "b"), match("F", "equals", "a"))),
                          "the same events"),
        "another value": (match("F", "equals", "a"), match("F", "equals", "b"), "other events"),
    }  # fmt: skip

    @pytest.mark.parametrize("name", EFFECTS)
    def test_what_a_change_means_is_proven(
        self, name: str, tmp_path: Path, capsys: Capture
    ) -> None:
        old, new, effect = self.EFFECTS[name]
        assert self.run(tmp_path, bundle(rule("x", old)), bundle(rule("x", new)), "--json") == 1
        (changed,) = json.loads(capsys.readouterr().out)["changed"]
        assert changed["effect"] == effect

    def test_a_signed_bundle_and_a_folder_are_compared(
        self, tmp_path: Path, capsys: Capture
    ) -> None:
        folder, output, key = tmp_path / "rules", tmp_path / "b", tmp_path / "k"
        folder.mkdir()
        (folder / "a.yml").write_text(
            "title: T\nid: 6f1f2f5e-8d0b-4c1e-9d7e-1f8e3c8f9a01\nauthor: A\nlevel: high\n"
            "logsource: {category: process_creation}\n"
            "detection: {a: {Image|endswith: /sh}, condition: a}\n"
        )
        create_signer(key)
        built = ["build", str(folder), "-o", str(output), "--key", str(key), "--counter", "1"]
        assert main(["rules", *built]) == 0
        capsys.readouterr()
        assert main(["rules", "diff", str(output), str(folder)]) == 0

    @pytest.mark.parametrize("data", [b"", b"{", b"\x99", b"{}"])
    def test_what_is_no_bundle_is_named(self, data: bytes, tmp_path: Path, capsys: Capture) -> None:
        (tmp_path / "bad").write_bytes(data)
        assert main(["rules", "diff", str(tmp_path / "bad"), str(tmp_path / "bad")]) == 2
        assert f"{tmp_path}/bad: expected a bundle or YAML of rules" in capsys.readouterr().err


class TestBench:
    def test_the_dearest_rule_comes_first_and_counts_are_exact(self) -> None:
        slow = rule("slow", Match("CommandLine", "re", "x.{0,9}x.{0,9}q", is_cased=True))
        lines = ["x" * 60 + str(number) for number in range(50)]
        events = [("process_creation", {"Image": "/bin/sh", "CommandLine": line}) for line in lines]
        found = bench(bundle(SHELL, slow, WGET), events)
        assert [cost.rule.rule_id for cost in found.costs] == ["slow", "shell", "wget"]
        first, second, last = found.costs
        assert (first.asked, first.tried, first.matches) == (0, 50, 0)
        assert (second.asked, second.tried, second.matches) == (50, 0, 50)
        assert (last.asked, last.seconds) == (0, 0.0)
        assert first.seconds > second.seconds >= last.seconds

    def test_a_rule_asked_of_every_event_is_marked(self, tmp_path: Path, capsys: Capture) -> None:
        always = rule("always", Not(match("User", "equals", "root")))
        lines = '{"category": "process_creation", "Image": "/bin/sh"}\n' * 3
        (tmp_path / "events").write_text(lines)
        words = [write(tmp_path, "b", bundle(SHELL, always)), "--stream", str(tmp_path / "events")]
        assert main(["rules", "bench", *words]) == 0
        told = capsys.readouterr().out
        assert re.search(r"^Rule always \* +3 +100\.0%", told, re.MULTILINE)
        assert "2 rules, 3 events: " in told
        assert "1 asked of every event, 0 of none" in told

    def test_a_program_gets_figures(self, tmp_path: Path, day: Path, capsys: Capture) -> None:
        words = [write(tmp_path, "b", bundle(SHELL, WGET)), "--stream", str(day), "--json"]
        assert main(["rules", "bench", *words]) == 0
        found = json.loads(capsys.readouterr().out)
        assert found["events"] == 4
        by_id = {row["id"]: row for row in found["rules"]}
        assert (by_id["shell"]["asked"], by_id["shell"]["matches"]) == (2, 2)
        assert by_id["wget"]["matches"] == 1

    def test_without_a_stream_events_are_made_from_the_rules(
        self, tmp_path: Path, capsys: Capture
    ) -> None:
        file = write(tmp_path, "b", bundle(SHELL, WGET))
        assert main(["rules", "bench", file, "--events", "200", "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
        assert found["events"] == 200
        assert all(row["asked"] for row in found["rules"])

    @pytest.mark.parametrize(
        ("text", "told"),
        [
            ("x\n", "events:1:1: expected a recording or one JSON object a line"),
            ('\n{"a": 1}\n', "events:2:1: expected an object with a text for each field"),
            ('{"a": "b"}\n', 'events:1:1: expected a field named "category"'),
            ("", "expected at least one event"),
        ],
    )
    def test_a_stream_that_is_none_is_told_with_its_line(
        self, text: str, told: str, tmp_path: Path, capsys: Capture
    ) -> None:
        (tmp_path / "events").write_text(text)
        file = write(tmp_path, "b", bundle(SHELL))
        assert main(["rules", "bench", file, "--stream", str(tmp_path / "events")]) == 2
        assert told in capsys.readouterr().err


class TestBacktest:
    def test_matches_are_counted_with_rate_and_examples(
        self, tmp_path: Path, day: Path, capsys: Capture
    ) -> None:
        file = write(tmp_path, "b", bundle(SHELL, correlations=(TWICE,)))
        assert main(["rules", "backtest", file, str(day)]) == 0
        told = capsys.readouterr().out
        assert re.search(r"^high +Rule shell +2 +5000\.00$", told, re.MULTILINE)
        assert re.search(r"^critical +Two shells +1 +2500\.00$", told, re.MULTILINE)
        assert "CommandLine=sh -c pass=[redacted]" in told
        assert "hunter2" not in told
        assert "2023-11-14T22:13:22Z" in told
        assert told.splitlines()[-1] == (
            "4 events in 3 s: 3 findings, 7500.00 in 10000 events; 0 of 2 rules never fired"
        )

    def test_the_recordings_own_rules_stand_beside(
        self, tmp_path: Path, day: Path, capsys: Capture
    ) -> None:
        file = write(tmp_path, "b", bundle(SHELL))
        assert main(["rules", "backtest", file, str(day), "--compare"]) == 0
        told = capsys.readouterr().out
        assert re.search(r"^high +Rule shell +2 +5000\.00 +-$", told, re.MULTILINE)
        assert re.search(r"^high +Rule wget +- +0\.00 +1$", told, re.MULTILINE)
        assert told.splitlines()[-1].endswith("the recording's own rules: 1 findings")

    @pytest.mark.parametrize(("most", "code"), [("5000", 0), ("4999", 1)])
    def test_too_many_findings_fail_a_build(
        self, most: str, code: int, tmp_path: Path, day: Path
    ) -> None:
        file = write(tmp_path, "b", bundle(SHELL))
        assert main(["rules", "backtest", file, str(day), "--max-rate", most]) == code

    def test_a_damaged_end_gives_what_came_before(
        self, tmp_path: Path, day: Path, capsys: Capture
    ) -> None:
        day.write_bytes(day.read_bytes()[:-3])
        assert main(["rules", "backtest", write(tmp_path, "b", bundle(SHELL)), str(day)]) == 1
        told = capsys.readouterr()
        assert "4 events in 3 s: 2 findings" in told.out
        assert "read up to damage: expected a whole input" in told.err

    def test_what_is_no_recording_is_an_error(self, tmp_path: Path, capsys: Capture) -> None:
        (tmp_path / "none").write_text("text")
        file = write(tmp_path, "b", bundle(SHELL))
        assert main(["rules", "backtest", file, str(tmp_path / "none")]) == 2
        assert "expected a recording that begins with" in capsys.readouterr().err

    def test_a_storm_that_would_mute_a_rule_says_so(self, tmp_path: Path) -> None:
        storm = [observed(2.0 + number / 100, "/bin/sh", f"sh {number}") for number in range(2500)]
        found = backtest(record(tmp_path, list(storm)), bundle(SHELL))
        assert found.fired["shell"].count == 2500
        assert len(found.fired["shell"].examples) == 3

    @pytest.mark.timeout(20)
    def test_a_wake_up_that_comes_by_a_rounding_too_early_holds_nothing_up(
        self, tmp_path: Path
    ) -> None:
        day = [observed(1.0 + number * 0.05, "/bin/sh", f"sh {number}") for number in range(4000)]
        assert backtest(record(tmp_path, list(day)), bundle(SHELL)).events == 4000

    @pytest.mark.thorough
    def test_memory_is_bounded(self, tmp_path: Path) -> None:
        def lines(number: int) -> tuple[LogLine, ...]:
            return tuple(
                LogLine(float(number), "log_file", "sshd", f"line {number} {i} " + "x" * 200, 0)
                for i in range(100)
            )

        def peak(batches: int) -> int:
            inputs: list[Input] = [
                Observed(float(number), float(number), lines(number)) for number in range(batches)
            ]
            file = record(tmp_path, inputs)
            del inputs
            tracemalloc.start()
            try:
                found = backtest(file, bundle(SHELL))
                assert found.events == 100 * batches
                return tracemalloc.get_traced_memory()[1]
            finally:
                tracemalloc.stop()

        assert peak(80) < 1.5 * peak(40)
