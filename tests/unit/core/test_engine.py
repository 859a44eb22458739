from __future__ import annotations

import gc
from collections.abc import Generator
from dataclasses import replace
from types import FunctionType

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.simulators.examples import examples
from tests.simulators.linear_engine import LinearEngine

from vedette.core.cut import SCAN_CHARS
from vedette.core.engine import COMPILED_TOGETHER, PATTERN_WORK, SLICE_WORK, Engine, Slow, Stopwatch
from vedette.model.finding import Severity
from vedette.model.rule import (
    AllOf,
    AnyOf,
    Bundle,
    Condition,
    Exclusion,
    Match,
    Not,
    Operator,
    Rule,
)

FIELDS = ("Image", "ImageAlias", "ParentImage", "CommandLine", "UserId", "DestinationIp")
CATEGORIES = ("process_creation", "network_connection", "service:sshd", "service:")


def rule(condition: Condition, category: str = "process_creation", name: str = "r") -> Rule:
    return Rule(name, name, "Vedette project", Severity.HIGH, (), category, condition, ())


def bundle(*rules: Rule) -> Bundle:
    return Bundle("test", 1, 0, 0, rules, (), "")


def names(engine: Engine, fields: dict[str, str], category: str = "process_creation") -> list[str]:
    return [found.rule_id for found in engine.match(category, fields)]


def contains(field: str, value: str) -> Match:
    return Match(field, "contains", value, is_cased=False)


# Few letters and short texts: what is random still meets often.
texts = st.text(alphabet="aAb/-*?\\Σσς\udc80", max_size=12)
long_texts = texts.map(lambda text: text + "x" * SCAN_CHARS + text)
folded = texts.map(str.lower)
FIELD_KINDS: list[Operator] = [
    "equals_field", "contains_field", "startswith_field", "endswith_field",
]  # fmt: skip
other_fields = st.sampled_from(["Image", "ParentImage", "User", "CommandLine"])
numbers = st.sampled_from(["0", "5", "-3", "2.5", "12", "x", "", "1e3", "inf"])
addresses = st.sampled_from(["10.0.0.1", "::ffff:10.0.0.1", "fe80::1", "192.168.3.4", "x"])


@st.composite
def matches(draw: st.DrawFn) -> Match:
    field = draw(st.sampled_from(FIELDS))
    text_operator: Operator = draw(
        st.sampled_from(["equals", "contains", "startswith", "endswith", "glob"])
    )
    cased = draw(st.booleans())
    text = draw(texts if cased else folded)
    return draw(
        st.sampled_from(
            [
                Match(field, text_operator, text, is_cased=cased),
                Match("", "contains", text, is_cased=cased),
                Match(field, "re", "a+b", is_cased=True),
                Match(field, "re", "(?i)x*aab/", is_cased=True, gate="aab/"),
                Match("DestinationIp", "cidr", "10.0.0.0/8", is_cased=False),
                Match("DestinationIp", "cidr", "fe80::/10", is_cased=False),
                Match("UserId", draw(st.sampled_from(["lt", "lte", "gt", "gte"])), "5", False),
                Match(field, "exists", draw(st.sampled_from(["true", "false"])), is_cased=False),
                Match(field, draw(st.sampled_from(FIELD_KINDS)), draw(other_fields), cased),
                Match(field, "null", "", is_cased=False),
            ]
        )
    )


conditions: st.SearchStrategy[Condition] = st.recursive(
    matches(),
    lambda parts: st.one_of(
        st.lists(parts, min_size=1, max_size=4).map(lambda found: AllOf(tuple(found))),
        st.lists(parts, min_size=1, max_size=4).map(lambda found: AnyOf(tuple(found))),
        parts.map(Not),
    ),
    max_leaves=8,
)
rule_lists = st.lists(st.tuples(conditions, st.sampled_from(CATEGORIES)), max_size=8)
exclusion_lists = st.lists(
    st.tuples(
        conditions, st.sampled_from(CATEGORIES), st.sampled_from([(), ("camera",), ("router",)])
    ),
    max_size=2,
)
events = st.dictionaries(
    st.sampled_from(FIELDS),
    st.one_of(texts, long_texts, numbers, addresses),
    max_size=len(FIELDS),
)


@st.composite
def bundles(draw: st.DrawFn) -> Bundle:
    rules = [
        rule(condition, category, str(index))
        for index, (condition, category) in enumerate(draw(rule_lists))
    ]
    some = st.lists(st.sampled_from([found.rule_id for found in rules] or ["-"]), max_size=2)
    exclusions = tuple(
        Exclusion(str(index), "", classes, tuple(draw(some)), category, condition)
        for index, (condition, category, classes) in enumerate(draw(exclusion_lists))
    )
    return replace(bundle(*rules), exclusions=exclusions)


@examples(2)
@given(bundles(), st.lists(st.tuples(st.sampled_from(CATEGORIES), events), max_size=6))
def test_the_index_finds_what_asking_every_rule_finds(
    found: Bundle, stream: list[tuple[str, dict[str, str]]]
) -> None:
    engine = Engine(found, memo=4, device_class="camera")
    linear = LinearEngine(found, "camera")
    for category, event in stream + stream:
        assert engine.match(category, event) == linear.match(category, event)


def test_rules_come_in_the_order_of_the_bundle() -> None:
    engine = Engine(
        bundle(*(rule(contains("CommandLine", "curl"), name=name) for name in ("c", "a", "b")))
    )
    assert names(engine, {"CommandLine": "CURL x"}) == ["c", "a", "b"]


def test_a_multi_call_program_is_known_by_its_applet_too() -> None:
    wget = Match("Image", "endswith", "/wget", is_cased=False)
    engine = Engine(bundle(rule(wget, name="is"), rule(Not(wget), name="is not")))
    busybox = {"Image": "/bin/busybox", "ImageAlias": "/bin/wget"}
    assert names(engine, busybox) == ["is"]
    assert names(engine, {"Image": "/bin/busybox", "ImageAlias": "/bin/ls"}) == ["is not"]
    assert names(engine, {"Image": "/bin/wget"}) == ["is"]


def test_padding_hides_neither_the_head_nor_the_tail() -> None:
    engine = Engine(bundle(rule(contains("CommandLine", "/dev/tcp/"), name="found")))
    padding = "A" * 100_000
    assert names(engine, {"CommandLine": f"sh -c /dev/tcp/ {padding}"}) == ["found"]
    assert names(engine, {"CommandLine": f"sh {padding} /dev/tcp/1"}) == ["found"]


@pytest.mark.parametrize("size", range(1, 20))
def test_a_substring_is_found_at_every_alignment(size: int) -> None:
    literal = "qwertzuiopasdfghjklyx"[:size]
    engine = Engine(bundle(rule(contains("CommandLine", literal), name="found")), memo=0)
    for indent in range(9):
        assert names(engine, {"CommandLine": "-" * indent + literal}) == ["found"], indent
        assert names(engine, {"CommandLine": "-" * indent + literal[:-1]}) == [], indent


def test_rules_for_every_service_see_each_service() -> None:
    every = rule(contains("", "segfault"), "service:", "every")
    sshd = rule(contains("", "accepted"), "service:sshd", "sshd")
    engine = Engine(bundle(every, sshd))
    line = {"Message": "Accepted password, then a segfault"}
    assert names(engine, line, "service:sshd") == ["every", "sshd"]
    assert names(engine, line, "service:cron") == ["every"]
    assert names(engine, line, "process_creation") == []


def test_a_rule_this_device_cannot_run_stops_no_other() -> None:
    bad = rule(Match("CommandLine", "re", "(", is_cased=True), name="bad")
    good = rule(contains("CommandLine", "curl"), name="good")
    engine = Engine(bundle(bad, good))
    assert names(engine, {"CommandLine": "curl ("}) == ["good"]
    ((rule_id, reason),) = engine.refused
    assert rule_id == "bad"
    assert "regular expression" in reason


def test_rules_without_a_trigger_are_named() -> None:
    no_trigger = rule(Not(contains("CommandLine", "curl")), name="always")
    engine = Engine(bundle(no_trigger, rule(contains("CommandLine", "curl"), name="indexed")))
    assert engine.always == ("always",)
    assert names(engine, {"CommandLine": "ls"}) == ["always"]


def test_work_is_counted_the_same_each_time() -> None:
    rules = bundle(rule(contains("CommandLine", "curl"), name="one"))
    counted = []
    for _ in range(2):
        engine = Engine(rules)
        for index in range(10):
            names(engine, {"CommandLine": f"curl {index % 5}"})
        counted.append((engine.counters(), engine.work()))
    assert counted[0] == counted[1]
    counters, work = counted[0]
    assert (counters["in"], counters["repeated"], counters["candidates"]) == (10, 5, 5)
    assert work["one"] == (5, 5 * len("curl 0"))


def test_memory_for_answers_is_bounded_and_what_is_forgotten_counted() -> None:
    engine = Engine(bundle(rule(contains("CommandLine", "curl"), name="one")), memo=16)
    for index in range(1000):
        names(engine, {"CommandLine": f"ls {index}"})
    names(engine, {"CommandLine": "x" * 1_000_000})
    partition = engine._partitions["process_creation"]
    assert len(partition.memo) <= 16
    assert engine.counters()["evicted"] >= 1000 - 16


def drain(building: Generator[int, None, Engine]) -> tuple[list[int], Engine]:
    slices: list[int] = []
    while True:
        try:
            slices.append(next(building))
        except StopIteration as stop:
            return slices, stop.value


def test_an_engine_built_in_slices_is_the_same_engine() -> None:
    rules = bundle(*(rule(contains("CommandLine", f"word{n}x"), name=str(n)) for n in range(1000)))
    slices, engine = drain(Engine.in_slices(rules))
    assert len(slices) >= 1000 // SLICE_WORK
    assert names(engine, {"CommandLine": "word42x"}) == ["42"]


def test_no_slice_does_more_than_its_share_also_of_one_large_rule() -> None:
    hashes = AnyOf(tuple(Match("Digest", "equals", f"{n:064x}", False) for n in range(2000)))
    patterns = AnyOf(tuple(Match("Image", "re", f"x{n}+", True, gate=f"x{n}") for n in range(9)))
    slices, _ = drain(Engine.in_slices(bundle(rule(hashes, name="a"), rule(patterns, name="b"))))
    largest_step = max(2000 // COMPILED_TOGETHER, 9 * PATTERN_WORK) + 2
    assert sum(slices) > 2000
    assert max(slices) <= SLICE_WORK + largest_step


def test_an_exclusion_takes_a_match_out_on_its_class_of_devices_alone() -> None:
    curl = rule(contains("CommandLine", "curl"), name="curl")
    other = rule(contains("CommandLine", "curl"), name="other")
    exclusion = Exclusion(
        "vendor", "Vendor", ("camera",), ("curl",), "process_creation",
        Match("ParentImage", "endswith", "/updater", False),
    )  # fmt: skip
    found = replace(bundle(curl, other), exclusions=(exclusion,))
    event = {"CommandLine": "curl x", "ParentImage": "/opt/updater"}
    camera = Engine(found, device_class="camera")
    for _ in range(3):
        assert names(camera, event) == ["other"]
    assert names(camera, event | {"ParentImage": "/bin/sh"}) == ["curl", "other"]
    assert camera.excluded() == {"vendor": 3}
    assert names(Engine(found, device_class="router"), event) == ["curl", "other"]


def test_an_exclusion_without_rules_is_for_its_category() -> None:
    harmless = Match("Image", "equals", "/opt/own", False)
    exclusion = Exclusion("own", "Own", (), (), "process_creation", harmless)
    here = rule(contains("CommandLine", "curl"), name="here")
    there = rule(contains("CommandLine", "curl"), "file_event", name="there")
    engine = Engine(replace(bundle(here, there), exclusions=(exclusion,)))
    event = {"CommandLine": "curl", "Image": "/opt/own"}
    assert names(engine, event) == []
    assert names(engine, event, "file_event") == ["there"]


def test_an_exclusion_that_cannot_be_used_is_named_and_takes_nothing_out() -> None:
    broken = Exclusion("bad", "Bad", (), (), "process_creation", Match("Image", "re", "(", True))
    found = rule(contains("CommandLine", "curl"), name="found")
    engine = Engine(replace(bundle(found), exclusions=(broken,)))
    assert names(engine, {"CommandLine": "curl", "Image": "("}) == ["found"]
    assert [name for name, _ in engine.refused] == ["bad"]


def test_a_muted_rule_is_not_asked_until_it_is_unmuted() -> None:
    engine = Engine(bundle(*(rule(contains("CommandLine", "curl"), name=n) for n in ("a", "b"))))
    event = {"CommandLine": "curl"}
    assert names(engine, event) == ["a", "b"]
    engine.mute("a")
    engine.mute("a")
    engine.mute("unknown")
    assert names(engine, event) == ["b"]
    assert engine.work()["a"].asked == 1
    engine.unmute("a")
    engine.unmute("a")
    assert names(engine, event) == ["a", "b"]


@pytest.mark.parametrize(
    ("quick", "cpu", "slow"),
    [
        ([0.0, 0.0, 0.0, 1.0, 1.0, 1.001], [0.0, 0.5], [Slow("a", 0.5)]),
        ([0.0, 0.0, 0.0, 1.0, 1.0, 1.001], [0.0, 0.02, 1.0, 1.01, 2.0, 2.03], [Slow("a", 0.01)]),
        ([0.0, 0.0, 0.0, 1.0, 1.0, 1.001], [0.0, 0.02, 1.0, 1.02, 2.0, 2.001], []),
        ([0.0, 0.0, 0.0, 1.0, 1.0, 1.001], [0.0, 0.001], []),
        ([0.0, 0.0, 0.0, 0.001, 1.0, 1.001], [], []),
    ],
    ids=[
        "took very long",
        "took its time each time",
        "was interrupted twice",
        "had to wait",
        "was quick",
    ],
)
def test_a_stopwatch_names_slow_rules_and_changes_no_answer(
    quick: list[float], cpu: list[float], slow: list[Slow]
) -> None:
    engine = Engine(bundle(*(rule(contains("CommandLine", "curl"), name=n) for n in ("a", "b"))))
    engine.stopwatch = Stopwatch(iter(quick).__next__, iter(cpu).__next__)
    assert names(engine, {"CommandLine": "curl"}) == ["a", "b"]
    assert [(one.rule_id, round(one.took_s, 6)) for one in engine.take_slow()] == slow
    assert engine.take_slow() == []


def test_a_slow_pattern_that_every_value_must_pass_is_named_and_can_be_muted() -> None:
    pattern = Match("Image", "re", "x+", is_cased=True)
    engine = Engine(bundle(rule(contains("Image", "curl"), name="a"), rule(pattern, name="b")))
    quick, cpu = [0.0, 1.0, 2.0, 2.0, 3.0, 3.0], [0.0, 0.5]
    engine.stopwatch = Stopwatch(iter(quick).__next__, iter(cpu).__next__)
    assert names(engine, {"Image": "xcurl"}) == ["a", "b"]
    assert engine.take_slow() == [Slow("b", 0.5)]
    engine.stopwatch = None
    engine.mute("b")
    assert names(engine, {"Image": "xcurl"}) == ["a"]
    (partition,) = engine._partitions.values()
    assert list(partition.tests_of({"Image": "xcurl"})) == []
    engine.unmute("b")
    assert names(engine, {"Image": "xcurl"}) == ["a", "b"]


def functions() -> int:
    return sum(isinstance(one, FunctionType) for one in gc.get_objects())


def test_only_rules_that_were_asked_take_the_memory_of_compiled_ones() -> None:
    rules = [
        rule(AllOf((contains("CommandLine", f"word{n}"), Not(contains("User", "x")))), name=f"r{n}")
        for n in range(100, 200)
    ]
    before = functions()
    engine = Engine(bundle(*rules), memo=0)
    built = functions()
    assert names(engine, {"CommandLine": "a word150", "User": "root"}) == ["r150"]
    asked = functions()
    assert names(engine, {"CommandLine": "the word150", "User": "root"}) == ["r150"]
    assert built - before < len(rules)
    assert 0 < asked - built < 10
    assert functions() == asked


def test_a_rule_that_was_never_asked_is_muted_and_unmuted_like_any_other() -> None:
    engine = Engine(bundle(rule(contains("CommandLine", "one"))))
    engine.mute("r")
    assert names(engine, {"CommandLine": "one"}) == []
    engine.unmute("r")
    assert names(engine, {"CommandLine": "one"}) == ["r"]


def test_a_pattern_is_compiled_once_for_all_rules_that_have_it() -> None:
    pattern = Match("CommandLine", "re", "a+b", is_cased=False)
    both = (rule(pattern, name="one"), rule(AllOf((pattern, contains("User", "x"))), name="two"))
    slices = list(Engine.in_slices(bundle(*both)))
    assert sum(slices) < 2 * PATTERN_WORK
    assert names(Engine(bundle(*both)), {"CommandLine": "aab", "User": "x"}) == ["one", "two"]
