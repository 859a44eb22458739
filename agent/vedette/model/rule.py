"""Rules as the engine runs them: Sigma's meaning without its spelling.

Rule 1: matching follows Sigma 2: case-insensitive unless `is_cased`; a missing field matches only
Not, `null` and an `exists` of "false". Text that is unknown is "", so an empty field counts as
missing for these two.
Rule 2: values of insensitive matches are stored in lower case, so that nothing is folded twice.
Rule 3: a correlation stands behind everything it refers to, so that references never go in circles.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

from vedette.model.finding import Severity

Operator: TypeAlias = Literal[
    "equals", "contains", "startswith", "endswith", "glob", "re", "cidr", "exists", "null",
    "lt", "lte", "gt", "gte",
    "equals_field", "contains_field", "startswith_field", "endswith_field",
]  # fmt: skip


class Match(NamedTuple):
    r"""One comparison of one field with one value.

    `field` is "" for a keyword, which is searched in the whole event. A `glob` keeps Sigma's
    wildcards (* and ?, with \ as escape); numbers and networks are in text form; of operators that
    end in "_field" the value names another field of the same event. A `re` says in its flags
    whether case matters; `gate` is lower-case ASCII that every text it matches holds ("" when
    there is none), found by the compiler.
    """

    field: str
    operator: Operator
    value: str
    is_cased: bool
    gate: str = ""


class AllOf(NamedTuple):
    """True when every part is."""

    parts: tuple[Condition, ...]


class AnyOf(NamedTuple):
    """True when one part is."""

    parts: tuple[Condition, ...]


class Not(NamedTuple):
    """True when the part is not."""

    part: Condition


Condition: TypeAlias = Match | AllOf | AnyOf | Not


@dataclass(frozen=True, slots=True)
class Rule:
    """What one Sigma rule asks of one category of events.

    Attributes:
        rule_id: the Sigma rule's; the same for each category that it asks something of.
        category: Sigma's logsource category, or "service:<name>" for keyword log sources.
        fields: names of the event fields a finding should show, the rule's own first.
        is_reported: False where it only feeds correlations (Sigma's `generate: false`).
    """

    rule_id: str
    title: str
    author: str
    severity: Severity
    tags: tuple[str, ...]
    category: str
    condition: Condition
    fields: tuple[str, ...]
    is_reported: bool = True


CorrelationKind: TypeAlias = Literal["event_count", "value_count", "temporal", "temporal_ordered"]
ThresholdOperator: TypeAlias = Literal["gt", "gte", "lt", "lte", "eq", "neq"]


class Threshold(NamedTuple):
    """A bound on what a correlation counts: "more than 5" is ("gt", 5)."""

    operator: ThresholdOperator
    limit: int


class Alias(NamedTuple):
    """A name for what one rule's events call `field`, so that rules of different events group."""

    name: str
    rule_id: str
    field: str


@dataclass(frozen=True, slots=True)
class Correlation:
    """A rule about matches of other rules (Sigma Correlation Rules Specification 2.1).

    Attributes:
        kind: what is counted among the matches of one group within `timespan_s`: event_count the
            matches, value_count the different values of `value_fields`, temporal the different
            rules, temporal_ordered the rules as far as they matched in the order of `rules`.
        rules: ids of rules or earlier correlations.
        group_by: fields or alias names; matches with the same values make a group. An event that
            lacks one of them belongs to no group.
        timespan_s: length of the sliding window in seconds, 1 or more.
        thresholds: all of them must hold; at least one.
        value_fields: what value_count counts the combinations of; () for all other kinds.
        aliases: a rule that an alias does not name is asked for the field of the alias's name.
        is_reported: False where it only feeds other correlations.
    """

    rule_id: str
    title: str
    author: str
    severity: Severity
    tags: tuple[str, ...]
    kind: CorrelationKind
    rules: tuple[str, ...]
    group_by: tuple[str, ...]
    timespan_s: int
    thresholds: tuple[Threshold, ...]
    value_fields: tuple[str, ...] = ()
    aliases: tuple[Alias, ...] = ()
    is_reported: bool = True


@dataclass(frozen=True, slots=True)
class Exclusion:
    """What is known to be harmless: a Sigma filter, asked only of events that a rule matched.

    Attributes:
        device_classes: the `[device] class` of the devices it is for; () for all.
        rules: ids of the rules it is for; () for every rule of its category.
        category: as a rule's; the events it speaks of.
        condition: true of the events that must not count as a match, neither for a finding nor for
            a correlation.
    """

    filter_id: str
    title: str
    device_classes: tuple[str, ...]
    rules: tuple[str, ...]
    category: str
    condition: Condition


@dataclass(frozen=True, slots=True)
class Bundle:
    """A set of rules as it was signed.

    Attributes:
        counter: grows with each release; one below the device's floor is refused.
        issued_s: Unix time of signing.
        expires_s: Unix time after which it may not be newly accepted.
        redactions: regular expressions whose first group (or whole match) is a secret.
        digest: SHA-256 of the payload in hex.
        correlations: their ids differ from those of rules; what one refers to stands before it.
    """

    name: str
    counter: int
    issued_s: int
    expires_s: int
    rules: tuple[Rule, ...]
    redactions: tuple[str, ...]
    digest: str
    correlations: tuple[Correlation, ...] = ()
    exclusions: tuple[Exclusion, ...] = ()
