from __future__ import annotations

import hashlib

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette.codec import bundle
from vedette.errors import ParseError
from vedette.model.finding import Severity
from vedette.model.rule import AllOf, AnyOf, Bundle, Condition, Match, Not, Rule

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


WHOLE = bundle.encode(sealed(sample()))


def packed_rule(condition: object) -> list[object]:
    return ["id", "title", "author", 4, [], "process_creation", condition, []]


def packed(rules: object = (), **changed: object) -> bytes:
    parts = {"format": 1, "name": "n", "counter": 1, "issued": 0, "expires": 0, "redactions": []}
    data = msgpack.packb([*(parts | changed).values(), rules])
    assert isinstance(data, bytes)
    return data


def nested(depth: int) -> object:
    condition: object = ["contains", "Image", False, "", "x"]
    for _ in range(depth):
        condition = ["not", condition]
    return condition


def test_what_was_written_is_read() -> None:
    read = bundle.decode(WHOLE)
    assert read.rules == (sample(),)
    assert (read.name, read.counter) == ("routers", 7)
    assert (read.issued_s, read.expires_s) == (1_700_000_000, 1_800_000_000)
    assert read.redactions == (r"--pass=(\S+)",)
    assert read.digest == hashlib.sha256(WHOLE).hexdigest()


def test_the_bytes_are_the_same_each_time() -> None:
    assert bundle.encode(bundle.decode(WHOLE)) == WHOLE


def test_equal_comparisons_are_one_object() -> None:
    rules = bundle.decode(bundle.encode(sealed(sample(EVIL), sample(EVIL, "id-2")))).rules
    assert rules[0].condition is rules[1].condition


@pytest.mark.parametrize("size", range(len(WHOLE)))
def test_a_truncated_bundle_is_refused(size: int) -> None:
    with pytest.raises(ParseError):
        bundle.decode(WHOLE[:size])


def test_a_tail_is_refused_with_its_place() -> None:
    with pytest.raises(ParseError, match="1 more bytes") as caught:
        bundle.decode(WHOLE + b"\x00")
    assert caught.value.offset == len(WHOLE)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "expected the bundle, got the end"),
        (packed(format=2), "expected bundle format 1, got 2"),
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
        (packed([["id"]]), "expected a rule with 8 items, got 1"),
        (packed([["id", "t", "a", 6, [], "c", nested(0), []]]), "severity from 1 to 5, got 6"),
        (packed()[:-1] + b"\xdd\xff\xff\xff\xff", "at most 20000 items"),
        (packed()[:1] + b"\x01\xa1\xff", "UTF-8"),
    ],
)
def test_what_is_not_a_bundle_is_refused_by_name(data: bytes, words: str) -> None:
    with pytest.raises(ParseError, match=words):
        bundle.decode(data)


def test_a_rule_with_too_many_parts_is_refused() -> None:
    wide = ["or", *[["or", *[nested(0)] * 200] for _ in range(200)]]
    with pytest.raises(ParseError, match="1 to 20000 parts"):
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
    for _ in range(bundle.MAX_DEPTH):
        deep = Not(deep)
    assert bundle.decode(bundle.encode(sealed(sample(deep)))).rules == (sample(deep),)
