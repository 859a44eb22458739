"""Evidence in parts: any order, twice, missing, foreign, hostile."""

from __future__ import annotations

import contextlib
import itertools
import random
import zlib
from base64 import b64encode
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette.codec import evidence
from vedette.codec.evidence import MAX_DOCUMENT_BYTES, Part
from vedette.codec.strict_json import Json, canonical
from vedette.errors import ParseError

NOISE = random.Random(7).randbytes(6000).hex()
DOCUMENT: Json = {"incident": "feed", "files": [{"content": NOISE}]}
COMMAND, INCIDENT = "ab" * 32, "0123456789abcdef"


def split(document: Json = DOCUMENT, part_bytes: int = 1000) -> list[Part]:
    parts = evidence.split(document, command=COMMAND, incident=INCIDENT, part_bytes=part_bytes)
    return [evidence.parse_part(part) for part in parts]


def test_parts_in_any_order_and_twice_give_the_document() -> None:
    parts = split()
    assert len(parts) > 3
    assert evidence.join(parts) == DOCUMENT
    assert evidence.join([*reversed(parts), *parts]) == DOCUMENT


def test_every_missing_part_is_named_and_nothing_is_joined_without_it() -> None:
    parts = split()
    for gone in parts:
        rest = [part for part in parts if part is not gone]
        assert evidence.missing(rest) == [gone.part]
        with pytest.raises(ParseError, match="all parts"):
            evidence.join(rest)
    assert evidence.missing([]) == [0]
    assert evidence.missing(parts) == []


def test_a_small_document_is_one_part_and_a_small_broker_gets_no_endless_row() -> None:
    assert len(split({"incident": "feed"})) == 1
    assert len(split(part_bytes=1)) <= evidence.MAX_PARTS
    assert evidence.join(split(part_bytes=1)) == DOCUMENT


def test_every_part_fits_a_frame_of_the_link() -> None:
    noise = random.Random(8).randbytes(MAX_DOCUMENT_BYTES // 2 - 100).hex()
    parts = evidence.split({"n": noise}, command=COMMAND, incident=INCIDENT,
                           part_bytes=evidence.PART_BYTES)  # fmt: skip
    assert len(parts) <= evidence.MAX_PARTS
    assert max(len(canonical(part)) for part in parts) < 60_000


def test_a_document_above_its_bound_is_not_split() -> None:
    with pytest.raises(ValueError, match="at most"):
        split({"n": "x" * MAX_DOCUMENT_BYTES})


def test_parts_of_two_answers_do_not_mix() -> None:
    first, second = split(), split({"incident": "feed", "files": [{"content": NOISE[::-1]}]})
    for one, other in itertools.pairwise(zip(first, second, strict=True)):
        with pytest.raises(ParseError):
            evidence.join([one[0], other[1], *first[2:]])


def test_an_altered_part_does_not_join() -> None:
    parts = split()
    parts[1] = parts[1]._replace(data=parts[1].data[::-1])
    with pytest.raises(ParseError, match="altered"):
        evidence.join(parts)


def test_what_unpacks_to_more_than_the_bound_is_refused_before_it_is_in_memory() -> None:
    packed = zlib.compress(b" " * (64 << 20))
    bomb = Part(COMMAND, INCIDENT, 1, 1, sha256(packed).hexdigest(), packed)
    with pytest.raises(ParseError, match="one document"):
        evidence.join([bomb])


PLAIN = evidence.split(DOCUMENT, command=COMMAND, incident=INCIDENT, part_bytes=1000)[0]
HOSTILE: dict[str, Json] = {
    "no object": "part",
    "a member too many": {**PLAIN, "more": 1},
    "part 0": {**PLAIN, "part": 0},
    "a part behind the last": {**PLAIN, "part": 99},
    "65 parts": {**PLAIN, "part": 65, "parts": 65},
    "true for a number": {**PLAIN, "part": True},
    "a fraction": {**PLAIN, "part": 1.0},
    "data that is no base64": {**PLAIN, "data": "@@@@"},
    "data that is a number": {**PLAIN, "data": 1},
    "no data": {**PLAIN, "data": ""},
    "a digest in capitals": {**PLAIN, "sha256": "A" * 64},
    "an incident that is a path": {**PLAIN, "incident": "../../etc"},
    "a command that is a number": {**PLAIN, "command": 7},
}


@pytest.mark.parametrize("document", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_part_is_refused(document: Json) -> None:
    with pytest.raises(ParseError):
        evidence.parse_part(document)


@given(st.binary(max_size=200))
def test_any_data_gives_a_document_or_a_parse_error(data: bytes) -> None:
    plain = {**PLAIN, "part": 1, "parts": 1, "data": b64encode(data).decode(),
             "sha256": sha256(data).hexdigest()}  # fmt: skip
    with contextlib.suppress(ParseError):
        evidence.join([evidence.parse_part(plain)])
