"""Files of samples: read back, hostile."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette.codec import rule_samples, strict_json
from vedette.errors import ParseError
from vedette.model.sample import RuleSample, SampleEvent, SampleSet

EVENT = SampleEvent("service:sshd", 2.5, {"Message": "Failed password for root"})
FOUND = SampleSet(
    "ab" * 32,
    (
        RuleSample("access/brute.match.yml:3", ("one", "two"), True, (EVENT, EVENT)),
        RuleSample("access/brute.nomatch.yml:3", ("one",), False, (SampleEvent("", 0.0, {}),)),
    ),
)
DATA = rule_samples.encode(FOUND)


def test_what_is_written_is_read() -> None:
    assert rule_samples.decode(DATA) == FOUND


def changed(**members: Any) -> bytes:
    return strict_json.canonical({"format": 1, "bundle": "ab" * 32, "samples": [], **members})


def with_sample(*parts: Any) -> bytes:
    return changed(samples=[list(parts)])


HIT = ["process_creation", 0.0, {"Image": "/bin/sh"}]
HOSTILE = {
    "nothing": b"",
    "cut": DATA[:-1],
    "with a tail": DATA + b" {}",
    "another format": changed(format=2),
    "a digest of 63 digits": changed(bundle="a" * 63),
    "a member too many": changed(more=1),
    "samples as an object": changed(samples={}),
    "a sample of three parts": with_sample("p", ["r"], True),
    "no rule": with_sample("p", [], True, [HIT]),
    "no event": with_sample("p", ["r"], True, []),
    "a place with a line break": with_sample("p\n", ["r"], True, [HIT]),
    "wanted as a number": with_sample("p", ["r"], 1, [HIT]),
    "an id that is a number": with_sample("p", [1], True, [HIT]),
    "a time before the first": with_sample("p", ["r"], True, [["", -1, {}]]),
    "a time that is true": with_sample("p", ["r"], True, [["", True, {}]]),
    "a time of years": with_sample("p", ["r"], True, [["", 1e12, {}]]),
    "times that go back": with_sample("p", ["r"], True, [["", 2, {}], ["", 1, {}]]),
    "fields as a list": with_sample("p", ["r"], True, [["", 0, []]]),
    "a field that is a number": with_sample("p", ["r"], True, [["", 0, {"Image": 1}]]),
    "a field with a strange name": with_sample("p", ["r"], True, [["", 0, {"a b": ""}]]),
    "65 fields": with_sample("p", ["r"], True, [["", 0, {f"F{n}": "" for n in range(65)}]]),
    "65 rules": with_sample("p", [f"r{n}" for n in range(65)], True, [HIT]),
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE.keys())
def test_what_is_no_file_of_samples_is_refused(data: bytes) -> None:
    with pytest.raises(ParseError):
        rule_samples.decode(data)


def test_every_cut_is_refused() -> None:
    for end in range(len(DATA)):
        with pytest.raises(ParseError):
            rule_samples.decode(DATA[:end])


@given(st.binary() | st.binary().map(lambda tail: DATA[: len(tail)] + tail))
def test_any_bytes_give_samples_or_a_parse_error(data: bytes) -> None:
    with contextlib.suppress(ParseError):
        rule_samples.decode(data)
