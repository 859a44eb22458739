"""The samples of a bundle as a file of their own, which a rules release carries beside it.

    {"format": 1, "bundle": "<SHA-256 of the bundle's payload>", "samples":
     [["execution/shell.match.yml:3", ["<rule id>", ...], true,
       [["<category>", 0.0, {"Image": "/bin/sh"}]]]]}

Rule 1: any bytes give a SampleSet or a ParseError.
Rule 2: beside and not inside the bundle: what is resident never reads it, and a bundle's payload
stays what earlier agents read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from vedette.codec import strict_json
from vedette.codec.strict_fields import (
    digest,
    fields,
    format_number,
    matched,
    rows,
    shown,
    truth,
)
from vedette.codec.strict_json import Json
from vedette.errors import ParseError
from vedette.model.sample import RuleSample, SampleEvent, SampleSet

FORMAT = 1
MAX_BYTES = 4 << 20
"""Ours: the samples of 200 rules take 0.1 MB."""
MAX_SAMPLES = 20_000
MAX_EVENTS = 20_000
"""Of one sample."""
MAX_FIELDS = 64
MAX_RULES = 64
MAX_SECONDS = 31 * 86_400.0
_MAX_TEXT = 64 << 10

_NAMES = frozenset({"format", "bundle", "samples"})
_PLACE = re.compile(r"[^\x00-\x1f\x7f]{1,256}")
_ID = re.compile(r"[^\x00-\x1f\x7f]{1,128}")
_CATEGORY = re.compile(r"[a-z0-9_:./@-]{0,128}", re.IGNORECASE)
_FIELD = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")
_SAMPLE_PARTS, _EVENT_PARTS = 4, 3


def encode(found: SampleSet) -> bytes:
    """The file of a set.

    Raises:
        ParseError: it is none that `decode` reads.
    """
    samples: list[Json] = [
        [
            one.place, [*one.rules], one.is_wanted,
            [[event.category, event.at_s, dict(event.fields)] for event in one.events],
        ]
        for one in found.samples
    ]  # fmt: skip
    data = strict_json.canonical({"format": FORMAT, "bundle": found.bundle, "samples": samples})
    decode(data)
    return data


def decode(data: bytes) -> SampleSet:
    """Read a file of samples.

    Raises:
        ParseError: it is not exactly one.
    """
    document = fields(strict_json.parse(data, max_bytes=MAX_BYTES), "a file of samples", _NAMES)
    format_number(document["format"], FORMAT)
    return SampleSet(
        digest(document["bundle"]), rows(document["samples"], "samples", MAX_SAMPLES, _sample)
    )


def _sample(value: Any) -> RuleSample:
    place, rules, is_wanted, events = _parts(value, "a sample", _SAMPLE_PARTS)
    found = RuleSample(
        matched(place, "where a sample stands", _PLACE),
        rows(rules, "rules of a sample", MAX_RULES, _id),
        truth(is_wanted, "whether a sample must match"),
        rows(events, "events of a sample", MAX_EVENTS, _event),
    )
    if not found.rules or not found.events:
        raise ParseError(f"expected a rule and an event in the sample {found.place!a}")
    times = [event.at_s for event in found.events]
    if times != sorted(times):
        raise ParseError(f"expected events in the order of time in the sample {found.place!a}")
    return found


def _event(value: Any) -> SampleEvent:
    category, at_s, given = _parts(value, "an event", _EVENT_PARTS)
    if type(at_s) not in (int, float) or not 0 <= at_s <= MAX_SECONDS:
        raise ParseError(f"expected a time from 0 to {MAX_SECONDS:.0f} s, got {shown(at_s)}")
    if not isinstance(given, Mapping) or len(given) > MAX_FIELDS:
        raise ParseError(f"expected at most {MAX_FIELDS} fields as an object, got {shown(given)}")
    return SampleEvent(
        matched(category, "a category of events", _CATEGORY),
        float(at_s),
        {matched(name, "the name of a field", _FIELD): _text(text) for name, text in given.items()},
    )


def _parts(value: Any, what: str, count: int) -> list[Any]:
    if not isinstance(value, list) or len(value) != count:
        raise ParseError(f"expected {what} as a list of {count}, got {shown(value)}")
    return value


def _id(value: Any) -> str:
    return matched(value, "the id of a rule", _ID)


def _text(value: Any) -> str:
    if not isinstance(value, str) or len(value) > _MAX_TEXT:
        raise ParseError(f"expected text of at most {_MAX_TEXT} characters, got {shown(value)}")
    return value
