"""Samples of rules: events that they must and must not find, as a device tries them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class SampleEvent(NamedTuple):
    """One event; `category` is "" for each category of the rules it is for."""

    category: str
    at_s: float
    fields: Mapping[str, str]


class RuleSample(NamedTuple):
    """Events, and what is to come of them.

    Attributes:
        place: where its author wrote it, for people.
        rules: ids of rules or correlations; one of them is enough.
        is_wanted: whether one of them must match, or none may.
        events: in the order of their times; one for rules, more for correlations.
    """

    place: str
    rules: tuple[str, ...]
    is_wanted: bool
    events: tuple[SampleEvent, ...]


class SampleSet(NamedTuple):
    """The samples of one bundle; `bundle` is its digest."""

    bundle: str
    samples: tuple[RuleSample, ...]
