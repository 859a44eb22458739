from __future__ import annotations

import hashlib
from dataclasses import replace

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.simulators.cuts import taken_when_cut

from vedette.codec import bundle, condition
from vedette.errors import ParseError
from vedette.model.finding import Severity
from vedette.model.rule import (
    Alias,
    AllOf,
    AnyOf,
    Bundle,
    Condition,
    Correlation,
    Exclusion,
    Match,
    Not,
    Rule,
    Threshold,
)

EVIL = Match("CommandLine", "contains", "evil", is_cased=False)
TREE = AllOf(
    (
        AnyOf((EVIL, Match("CommandLine", "contains", "bad", is_cased=False))),
        Not(Match("Image", "endswith", "/sh", is_cased=True)),
        AnyOf((Match("Message", "re", "(?i)x+abc", is_cased=True, gate="abc"), EVIL)),
    )
)


def sample(condition: Condition = TREE, rule_id: str = "id-1") -> Rule:
    return Rule(
        rule_id=rule_id,
        title="A title, ümlaut",
        author="Vedette project",
        severity=Severity.HIGH,
        tags=("attack.t1059",),
        category="process_creation",
        condition=condition,
        fields=("CommandLine", "Image"),
    )


def sealed(*rules: Rule) -> Bundle:
    return Bundle("routers", 7, 1_700_000_000, 1_800_000_000, rules, (r"--pass=(\S+)",), "")


BURST = Correlation(
    rule_id="burst",
    title="Many",
    author="Vedette project",
    severity=Severity.CRITICAL,
    tags=("attack.t1110",),
    kind="value_count",
    rules=("id-1",),
    group_by=("User", "who"),
    timespan_s=300,
    thresholds=(Threshold("gte", 5), Threshold("lt", 50)),
    value_fields=("Image",),
    aliases=(Alias("who", "id-1", "User"),),
    is_reported=False,
)
CHAIN = replace(
    BURST,
    rule_id="chain",
    kind="temporal",
    rules=("burst", "id-1"),
    value_fields=(),
    aliases=(),
    is_reported=True,
)
UPDATER = Exclusion("filter-1", "Updates", ("camera",), ("id-1",), "process_creation", EVIL)


def full(**changed: object) -> Bundle:
    parts = {"correlations": (BURST, CHAIN), "exclusions": (UPDATER,)} | changed
    return replace(sealed(replace(sample(), is_reported=False)), **parts)  # type: ignore[arg-type]


WHOLE = bundle.encode(full())


def packed_rule(condition: object) -> list[object]:
    return ["id", "title", "author", 4, [], "process_creation", condition, [], True]


def packed(rules: object = (), **changed: object) -> bytes:
    parts = {
        "format": 2,
        "name": "n",
        "counter": 1,
        "issued": 0,
        "expires": 0,
        "redactions": [],
        "rules": rules,
        "correlations": [],
        "exclusions": [],
    }
    data = msgpack.packb([*(parts | changed).values()])
    assert isinstance(data, bytes)
    return data


def packed_correlation(**changed: object) -> bytes:
    parts = {
        "rule_id": "c",
        "title": "t",
        "author": "a",
        "severity": 4,
        "tags": [],
        "kind": "event_count",
        "rules": ["id"],
        "group_by": [],
        "timespan_s": 60,
        "thresholds": [["gt", 1]],
        "value_fields": [],
        "aliases": [],
        "is_reported": True,
    }
    return packed([packed_rule(nested(0))], correlations=[[*(parts | changed).values()]])


def packed_exclusion(**changed: object) -> bytes:
    parts = {
        "filter_id": "f",
        "title": "t",
        "device_classes": [],
        "rules": ["id"],
        "category": "process_creation",
        "condition": nested(0),
    }
    return packed([packed_rule(nested(0))], exclusions=[[*(parts | changed).values()]])


def nested(depth: int) -> object:
    condition: object = ["contains", "Image", False, "", "x"]
    for _ in range(depth):
        condition = ["not", condition]
    return condition


def test_what_was_written_is_read() -> None:
    read = bundle.decode(WHOLE)
    assert replace(read, digest="") == full()
    assert (read.name, read.counter) == ("routers", 7)
    assert (read.issued_s, read.expires_s) == (1_700_000_000, 1_800_000_000)
    assert read.redactions == (r"--pass=(\S+)",)
    assert read.digest == hashlib.sha256(WHOLE).hexdigest()


def test_the_bytes_are_the_same_each_time() -> None:
    assert bundle.encode(bundle.decode(WHOLE)) == WHOLE


def test_a_bundle_of_the_first_format_still_loads() -> None:
    old = [1, "n", 1, 0, 0, [], [packed_rule(nested(0))[:-1]]]
    read = bundle.decode(msgpack.packb(old))
    assert [rule.is_reported for rule in read.rules] == [True]
    assert (read.correlations, read.exclusions) == ((), ())


def test_equal_comparisons_are_one_object() -> None:
    rules = bundle.decode(bundle.encode(sealed(sample(EVIL), sample(EVIL, "id-2")))).rules
    assert rules[0].condition is rules[1].condition


def test_a_truncated_bundle_is_refused() -> None:
    assert taken_when_cut(bundle.decode, WHOLE, range(len(WHOLE))) == []


def test_a_tail_is_refused_with_its_place() -> None:
    with pytest.raises(ParseError, match="1 more bytes") as caught:
        bundle.decode(WHOLE + b"\x00")
    assert caught.value.offset == len(WHOLE)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "expected the bundle, got the end"),
        (b"\x90", "got an empty array"),
        (packed(format=3), "expected bundle format 2 or an older one, got 3"),
        (packed(format=1), "expected the bundle with 7 items, got 9"),
        (packed(format="1"), "to be a whole number"),
        (packed(counter=-1), "to be a whole number"),
        (packed(name=b"\xff"), "to be text"),
        (packed(name="n" * 129), "at most 128 bytes"),
        (packed(redactions=["x"] * 257), "at most 256 items"),
        (packed([packed_rule(nested(0)), packed_rule(nested(0))]), "'id' twice"),
        (packed([packed_rule(nested(17))]), "at most 16 deep"),
        (packed([packed_rule([])]), "got none"),
        (packed([packed_rule(["xor", "a"])]), "expected a known operator, got 'xor'"),
        (packed([packed_rule(["not"])]), "expected one part in 'not', got 0"),
        (packed([packed_rule(["and"])]), "at least one part"),
        (packed([packed_rule(["contains", "Image", False, ""])]), "at least one value"),
        (packed([packed_rule(["contains", "Image", 0, "", "x"])]), "to be true or false"),
        (packed([packed_rule(["contains", "Image", False, "", 5])]), "to be text"),
        (packed([packed_rule(["contains", "I", False, "", "x" * 1025])]), "at most 1024 bytes"),
        (packed([["id"]]), "expected a rule with 9 items, got 1"),
        (packed([["id", "t", "a", 6, [], "c", nested(0), [], True]]), "from 1 to 5, got 6"),
        (packed([[*packed_rule(nested(0))[:-1], 1]]), "whether a rule is reported to be true or"),
        (packed()[:-3] + b"\xdd\xff\xff\xff\xff", "at most 20000 items"),
        (packed()[:1] + b"\x02\xa1\xff", "UTF-8"),
        (packed_correlation(rule_id="id"), "rule ids to differ, got 'id' twice"),
        (packed_correlation(kind="mean"), "a kind of correlation .event_count.*, got 'mean'"),
        (packed_correlation(rules=["c"]), "rules to stand before it, got 'c'"),
        (packed_correlation(rules=["id", "id"]), "rules to differ, got one twice"),
        (packed_correlation(rules=[]), "at least one rule, got none"),
        (packed_correlation(timespan_s=0), "a timespan in seconds from 1 to 2678400, got 0"),
        (packed_correlation(thresholds=[]), "with a threshold, got none"),
        (packed_correlation(thresholds=[["ge", 1]]), "operator .gt, .*, got 'ge'"),
        (packed_correlation(thresholds=[["gt", 1_000_001]]), "from 0 to 1000000, got 1000001"),
        (packed_correlation(thresholds=[["gt"]]), "a threshold with 2 items, got 1"),
        (packed_correlation(kind="value_count"), "got value_count with none"),
        (packed_correlation(value_fields=["User"]), "got event_count with some"),
        (packed_correlation(aliases=[["u", "x", "User"]]), r"correlation's rules, got \['x'\]"),
        (packed_correlation(group_by=["u"] * 17), "at most 16 items, got 17"),
        (packed_correlation(is_reported=0), "whether a correlation is reported to be true"),
        (packed_exclusion(rules=["c"]), "rules to stand before it, got 'c'"),
        (packed_exclusion(condition=[]), "got none"),
        (packed_exclusion(device_classes=[""] * 65), "at most 64 items, got 65"),
    ],
)
def test_what_is_not_a_bundle_is_refused_by_name(data: bytes, words: str) -> None:
    with pytest.raises(ParseError, match=words):
        bundle.decode(data)


def test_a_rule_with_too_many_parts_is_refused() -> None:
    wide = ["or", *[["or", *[nested(0)] * 200] for _ in range(200)]]
    with pytest.raises(ParseError, match="1 to 4096 parts"):
        bundle.decode(packed([packed_rule(wide)]))


def test_a_bundle_that_is_too_large_is_not_looked_at() -> None:
    with pytest.raises(ParseError, match="at most"):
        bundle.decode(bytes(bundle.MAX_BUNDLE_BYTES + 1))


def offset_of_complaint(data: bytes) -> int:
    try:
        assert bundle.decode(data).digest == hashlib.sha256(data).hexdigest()
    except ParseError as error:
        return error.offset
    return 0


@given(st.binary(max_size=200))
def test_any_bytes_give_a_bundle_or_a_parse_error(data: bytes) -> None:
    assert 0 <= offset_of_complaint(data) <= len(data)


@given(st.integers(0, len(WHOLE) - 1), st.binary(min_size=1, max_size=3))
def test_any_changed_bytes_give_a_bundle_or_a_parse_error(place: int, changed: bytes) -> None:
    data = WHOLE[:place] + changed + WHOLE[place + len(changed) :]
    assert 0 <= offset_of_complaint(data) <= len(data)


def test_a_list_of_alternatives_is_kept_as_one_comparison() -> None:
    many = AnyOf(tuple(Match("Image", "endswith", f"/{n}", is_cased=False) for n in range(300)))
    deep: Condition = many
    for _ in range(condition.MAX_DEPTH):
        deep = Not(deep)
    assert bundle.decode(bundle.encode(sealed(sample(deep)))).rules == (sample(deep),)
