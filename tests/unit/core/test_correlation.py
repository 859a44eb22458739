"""Correlations: what they count, when they are met, and what an attacker can make them remember."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.simulators.examples import examples
from tests.simulators.linear_correlator import LinearCorrelator

from vedette.core.correlation import Correlated, Correlator
from vedette.core.windows import MAX_LIMIT, MAX_TEXT, SKEW_S
from vedette.model.finding import Severity
from vedette.model.rule import Alias, Correlation, CorrelationKind, Threshold, ThresholdOperator

FROM_ONE = {"SourceIp": "192.0.2.1"}


def correlation(
    kind: CorrelationKind,
    rules: tuple[str, ...] = ("r",),
    least: int = 3,
    name: str = "it",
    group_by: tuple[str, ...] = ("SourceIp",),
) -> Correlation:
    fields = ("User",) if kind == "value_count" else ()
    return Correlation(
        name, f"Title {name}", "An Author", Severity.HIGH, ("attack.t1110",), kind, rules, group_by,
        60, (Threshold("gte", least),), fields,
    )  # fmt: skip


def ids(found: list[Correlated]) -> list[str]:
    return [one.correlation.rule_id for one in found]


def test_so_many_events_within_the_timespan_meet_an_event_count() -> None:
    correlator = Correlator([correlation("event_count")])
    met = [ids(correlator.observe("r", at_s, "t", FROM_ONE)) for at_s in (0.0, 30.0, 60.0, 90.1)]
    assert met == [[], [], ["it"], []], "both ends of a window are in it"
    assert correlator.observe("r", 91.0, "t", {"SourceIp": "192.0.2.2"}) == []


def test_a_correlation_says_what_it_saw() -> None:
    correlator = Correlator([correlation("event_count", least=2)])
    correlator.observe("r", 10.0, "t", FROM_ONE | {"User": "a"})
    (found,) = correlator.observe("r", 12.5, "t", FROM_ONE | {"User": "b"})
    assert found.fields == {
        "SourceIp": "192.0.2.1", "User": "b", "Count": "2", "GroupBy": "SourceIp",
        "SpanSeconds": "2.5", "TimespanSeconds": "60",
    }  # fmt: skip


def test_different_values_are_counted_each_once() -> None:
    correlator = Correlator([correlation("value_count")])
    met = [
        ids(correlator.observe("r", float(at_s), "t", FROM_ONE | {"User": user}))
        for at_s, user in enumerate(("a", "b", "a", "a", "c"))
    ]
    assert met == [[], [], [], [], ["it"]]
    (found,) = correlator.observe("r", 5.0, "t", FROM_ONE | {"User": "d"})
    assert (found.fields["Values"], found.fields["Count"]) == ("b, a, c, d", "4 or more")
    assert correlator.observe("r", 6.0, "t", FROM_ONE) == [], "an event without the field"


def test_rules_in_any_order_meet_a_temporal() -> None:
    correlator = Correlator([correlation("temporal", ("a", "b", "c"))])
    assert correlator.observe("c", 1.0, "t", FROM_ONE) == []
    assert correlator.observe("a", 2.0, "t", FROM_ONE) == []
    assert ids(correlator.observe("b", 61.0, "t", FROM_ONE)) == ["it"]
    assert correlator.observe("b", 62.0, "t", FROM_ONE) == [], "the first has left the window"


@pytest.mark.parametrize("order", ["abc", "aabc", "abac", "aabbc"])
def test_steps_in_order_meet_a_temporal_ordered(order: str) -> None:
    assert ["it"] in _met_in(order)


@pytest.mark.parametrize("order", ["acb", "bac", "bc", "cab", "ab"])
def test_steps_out_of_order_do_not(order: str) -> None:
    assert ["it"] not in _met_in(order)


def _met_in(order: str) -> list[list[str]]:
    correlator = Correlator([correlation("temporal_ordered", ("a", "b", "c"))])
    return [ids(correlator.observe(rule, float(n), "t", FROM_ONE)) for n, rule in enumerate(order)]


def test_a_way_counts_from_its_latest_start() -> None:
    correlator = Correlator([correlation("temporal_ordered", ("a", "b"), least=2)])
    correlator.observe("a", 0.0, "t", FROM_ONE)
    correlator.observe("a", 50.0, "t", FROM_ONE)
    (found,) = correlator.observe("b", 100.0, "t", FROM_ONE)
    assert found.fields["SpanSeconds"] == "50"
    assert correlator.observe("b", 111.0, "t", FROM_ONE) == []


@pytest.mark.parametrize(
    ("late_s", "tier", "met"),
    [
        (0.0, "conntrack", ["it"]),
        (SKEW_S, "conntrack", ["it"]),
        (SKEW_S + 0.1, "conntrack", []),
        (0.1, "audit", []),
    ],
)
def test_a_step_of_another_tier_may_be_told_late_and_one_of_the_same_may_not(
    late_s: float, tier: str, met: list[str]
) -> None:
    correlator = Correlator([correlation("temporal_ordered", ("connect", "run"), least=2)])
    assert correlator.observe("run", 10.0, "audit", FROM_ONE) == []
    assert ids(correlator.observe("connect", 10.0 + late_s, tier, FROM_ONE)) == met


@pytest.mark.parametrize(("early_s", "met"), [(SKEW_S, ["it"]), (SKEW_S + 0.1, [])])
def test_a_step_may_be_stamped_before_the_one_it_follows(early_s: float, met: list[str]) -> None:
    correlator = Correlator([correlation("temporal_ordered", ("connect", "run"), least=2)])
    assert correlator.observe("connect", 10.0, "conntrack", FROM_ONE) == []
    assert ids(correlator.observe("run", 10.0 - early_s, "audit", FROM_ONE)) == met


def test_a_late_step_in_the_middle_completes_what_came_before_it() -> None:
    correlator = Correlator([correlation("temporal_ordered", ("a", "b", "c"))])
    correlator.observe("a", 1.0, "audit", FROM_ONE)
    assert correlator.observe("c", 2.0, "audit", FROM_ONE) == []
    assert ids(correlator.observe("b", 2.5, "fanotify", FROM_ONE)) == ["it"]


def test_aliases_join_what_rules_name_differently() -> None:
    joined = replace(
        correlation("temporal", ("in", "out"), least=2, group_by=("peer",)),
        aliases=(Alias("peer", "in", "SourceIp"), Alias("peer", "out", "DestinationIp")),
    )
    correlator = Correlator([joined])
    correlator.observe("in", 1.0, "t", {"SourceIp": "192.0.2.9"})
    (found,) = correlator.observe("out", 2.0, "t", {"DestinationIp": "192.0.2.9", "SourceIp": "x"})
    assert (found.fields["peer"], found.fields["GroupBy"]) == ("192.0.2.9", "peer")


def test_a_chain_is_met_at_the_event_that_completes_it() -> None:
    many = replace(correlation("event_count", ("failed",), name="many"), is_reported=False)
    chain = correlation("temporal_ordered", ("many", "accepted"), least=2, name="chain")
    correlator = Correlator([many, chain])
    met = [ids(correlator.observe("failed", float(n), "t", FROM_ONE)) for n in range(3)]
    assert met == [[], [], ["many"]]
    assert ids(correlator.observe("accepted", 9.0, "t", FROM_ONE)) == ["chain"]


def test_an_event_meets_each_correlation_once_however_many_ways_lead_there() -> None:
    layers = [
        correlation("event_count", ("r",), 1, "0a"),
        correlation("event_count", ("r",), 1, "0b"),
    ]
    for layer in range(1, 30):
        before = (f"{layer - 1}a", f"{layer - 1}b")
        layers += [correlation("event_count", before, 1, f"{layer}{side}") for side in "ab"]
    correlator = Correlator(layers)
    assert len(correlator.observe("r", 1.0, "t", FROM_ONE)) == 60


@pytest.mark.parametrize("fields", [{}, {"SourceIp": ""}])
def test_an_event_that_lacks_a_field_of_the_group_is_in_no_group(fields: dict[str, str]) -> None:
    correlator = Correlator([correlation("event_count", least=1)])
    assert correlator.observe("r", 1.0, "t", fields) == []
    assert correlator.counters()["groups"] == 0


def test_without_group_by_the_whole_device_is_one_group() -> None:
    correlator = Correlator([correlation("event_count", least=2, group_by=())])
    correlator.observe("r", 1.0, "t", {})
    assert ids(correlator.observe("r", 2.0, "t", {"SourceIp": "x"})) == ["it"]


def test_values_that_only_look_alike_are_different_groups() -> None:
    two = correlation("event_count", least=2, group_by=("A", "B"))
    correlator = Correlator([two])
    long = "x" * 2 * MAX_TEXT
    for pair in (("a\0", "b"), ("a", "\0b"), (long, "b"), (long + "y", "b"), ("a", "\udc80")):
        assert correlator.observe("r", 1.0, "t", dict(zip("AB", pair, strict=True))) == []
    assert len(correlator.observe("r", 1.0, "t", {"A": long, "B": "b"})) == 1


def test_a_million_groups_take_no_more_than_the_bound_and_leave_others_theirs() -> None:
    flooded = correlation("event_count", ("flood",), name="flooded")
    other = correlation("event_count", ("other",), name="other")
    correlator = Correlator([flooded, other], max_bytes=100_000)
    correlator.observe("other", 1.0, "t", FROM_ONE)
    correlator.observe("other", 1.0, "t", FROM_ONE)
    for n in range(5000):
        correlator.observe("flood", 1.0 + n / 1000, "t", {"SourceIp": f"10.0.{n}"})
        assert correlator.counters()["bytes"] <= 100_000
    counters = correlator.counters()
    assert counters["groups"] + counters["evicted"] == 5001
    assert counters["groups"] < 400
    assert ids(correlator.observe("other", 8.0, "t", FROM_ONE)) == ["other"]


def test_a_group_that_is_touched_outlives_a_flood() -> None:
    correlator = Correlator([correlation("event_count", least=50)], max_bytes=100_000)
    met: list[str] = []
    for n in range(2000):
        correlator.observe("r", n / 1000, "t", {"SourceIp": f"10.0.{n}"})
        if n % 40 == 0:
            met += ids(correlator.observe("r", n / 1000, "t", FROM_ONE))
    assert met == ["it"]


def test_many_values_of_one_group_are_bounded_too() -> None:
    correlator = Correlator([correlation("value_count", least=10)], max_bytes=100_000)
    for n in range(5000):
        correlator.observe("r", n / 1000, "t", FROM_ONE | {"User": "u" * 4000 + str(n)})
    assert correlator.counters()["bytes"] < 5000


def test_what_has_left_every_window_is_forgotten_and_not_called_evicted() -> None:
    correlator = Correlator([correlation("event_count")])
    for n in range(1000):
        correlator.observe("r", n * 10.0, "t", {"SourceIp": str(n)})
    counters = correlator.counters()
    assert counters["groups"] < 20
    assert counters["evicted"] == 0


def test_a_threshold_beyond_what_a_device_remembers_is_refused_by_name() -> None:
    correlator = Correlator([correlation("event_count", least=MAX_LIMIT + 1, name="big")])
    ((name, reason),) = correlator.refused
    assert name == "big"
    assert str(MAX_LIMIT) in reason
    assert correlator.observe("r", 1.0, "t", FROM_ONE) == []


def test_groups_are_carried_over_for_correlations_that_did_not_change() -> None:
    same = correlation("event_count", name="same")
    changed = correlation("event_count", name="changed")
    before = Correlator([same, changed])
    for _ in range(2):
        before.observe("r", 1.0, "t", FROM_ONE)
    after = Correlator([same, replace(changed, timespan_s=61)])
    after.inherit(before)
    assert after.counters()["bytes"] > 0
    assert ids(after.observe("r", 2.0, "t", FROM_ONE)) == ["same"]


kinds: st.SearchStrategy[CorrelationKind] = st.sampled_from(
    ["event_count", "value_count", "temporal", "temporal_ordered"]
)
operators: st.SearchStrategy[ThresholdOperator] = st.sampled_from(
    ["gt", "gte", "lt", "lte", "eq", "neq"]
)


@st.composite
def correlation_lists(draw: st.DrawFn) -> list[Correlation]:
    made: list[Correlation] = []
    for index in range(draw(st.integers(1, 3))):
        known = ["a", "b", "d", *(one.rule_id for one in made)]
        rules = draw(st.lists(st.sampled_from(known), min_size=1, max_size=3, unique=True))
        one = correlation(draw(kinds), tuple(rules), 1, str(index), draw(groups))
        thresholds = draw(
            st.lists(st.builds(Threshold, operators, st.integers(0, 4)), min_size=1, max_size=2)
        )
        aliases = (Alias("SourceIp", "b", "User"),) if draw(st.booleans()) else ()
        made.append(replace(one, timespan_s=5, thresholds=tuple(thresholds), aliases=aliases))
    return made


groups = st.sampled_from([(), ("SourceIp",), ("SourceIp", "User")])
fields = st.dictionaries(
    st.sampled_from(["SourceIp", "User"]), st.sampled_from(["", "x", "y"]), max_size=2
)
hits = st.lists(st.tuples(st.sampled_from(["a", "b", "d"]), st.integers(0, 3), fields), max_size=25)
tiers = st.fixed_dictionaries({rule: st.sampled_from(["t", "u"]) for rule in "abd"})


@examples(3)
@given(correlation_lists(), hits)
def test_what_comes_in_order_is_met_as_counting_everything_anew_says(
    made: list[Correlation], stream: list[tuple[str, int, Mapping[str, str]]]
) -> None:
    fast, slow = Correlator(made), LinearCorrelator(made)
    at_s = 0.0
    for rule_id, pause_s, seen in stream:
        at_s += pause_s
        assert sorted(ids(fast.observe(rule_id, at_s, "t", seen))) == sorted(
            slow.observe(rule_id, at_s, "t", seen)
        )


@examples(3)
@given(hits, tiers)
@example(
    stream=[(step, 0, {"SourceIp": "x"}) for step in ("b", "d", "a")],
    tier_of={"a": "u", "b": "t", "d": "t"},
)
def test_steps_of_several_tiers_are_met_as_any_way_through_all_hits_says(
    stream: list[tuple[str, int, Mapping[str, str]]], tier_of: Mapping[str, str]
) -> None:
    made = [correlation("temporal_ordered", ("a", "b", "d"))]
    fast, slow = Correlator(made), LinearCorrelator(made)
    at_s = 0.0
    for rule_id, pause_s, seen in stream:
        at_s += pause_s
        tier = tier_of[rule_id]
        assert ids(fast.observe(rule_id, at_s, tier, seen)) == slow.observe(
            rule_id, at_s, tier, seen
        )


@examples(3)
@given(hits, tiers, st.lists(st.floats(-SKEW_S, 0.0), min_size=25, max_size=25))
def test_what_comes_late_makes_no_way_that_is_none(
    stream: list[tuple[str, int, Mapping[str, str]]],
    tier_of: Mapping[str, str],
    lags: list[float],
) -> None:
    made = [correlation("temporal_ordered", ("a", "b", "d"))]
    fast, slow = Correlator(made), LinearCorrelator(made)
    now_s = 0.0
    for (rule_id, pause_s, seen), lag_s in zip(stream, lags, strict=False):
        now_s += pause_s
        at_s, tier = now_s + lag_s, tier_of[rule_id]
        is_possible = slow.observe(rule_id, at_s, tier, seen)
        if fast.observe(rule_id, at_s, tier, seen):
            assert is_possible
