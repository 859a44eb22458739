"""Rules as the engine runs them: Sigma's meaning without its spelling.

Rule 1: matching follows Sigma 2: case-insensitive unless `is_cased`; a missing field matches only
Not, `null` and an `exists` of "false". Text that is unknown is "", so an empty field counts as
missing for these two.
Rule 2: values of insensitive matches are stored in lower case, so that nothing is folded twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

from vedette.model.finding import Severity

Operator: TypeAlias = Literal[
    "equals", "contains", "startswith", "endswith", "glob", "re", "cidr", "exists", "null",
    "lt", "lte", "gt", "gte",
]  # fmt: skip


class Match(NamedTuple):
    r"""One comparison of one field with one value.

    `field` is "" for a keyword, which is searched in the whole event. A `glob` keeps Sigma's
    wildcards (* and ?, with \ as escape); numbers and networks are in text form. A `re` says in its
    flags whether case matters; `gate` is lower-case ASCII that every text it matches holds ("" when
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
    """One compiled rule.

    Attributes:
        category: Sigma's logsource category, or "service:<name>" for keyword log sources.
        fields: names of the event fields a finding should show, the rule's own first.
    """

    rule_id: str
    title: str
    author: str
    severity: Severity
    tags: tuple[str, ...]
    category: str
    condition: Condition
    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Bundle:
    """A set of rules as it was signed.

    Attributes:
        counter: grows with each release; one below the device's floor is refused.
        issued_s: Unix time of signing.
        expires_s: Unix time after which it may not be newly accepted.
        redactions: regular expressions whose first group (or whole match) is a secret.
        digest: SHA-256 of the payload in hex.
    """

    name: str
    counter: int
    issued_s: int
    expires_s: int
    rules: tuple[Rule, ...]
    redactions: tuple[str, ...]
    digest: str
