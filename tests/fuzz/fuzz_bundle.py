"""Fuzzes the bundle loader with the engine behind it."""

from __future__ import annotations

from vedette.codec import bundle
from vedette.core.engine import Engine
from vedette.errors import ParseError
from vedette.model.finding import Severity
from vedette.model.rule import (
    Alias,
    AllOf,
    AnyOf,
    Bundle,
    Correlation,
    Exclusion,
    Match,
    Not,
    Rule,
    Threshold,
)

_SHELL = Match("Image", "endswith", "/sh", is_cased=False)
_EVIL = Match("CommandLine", "contains", "evil", is_cased=False)
_RULE = Rule(
    "rule", "Title", "Author", Severity.HIGH, ("attack.t1059",), "process_creation",
    AllOf((AnyOf((_SHELL, _EVIL)), Not(_EVIL))), ("Image",), is_reported=False,
)  # fmt: skip
_COUNT = Correlation(
    "count", "Title", "Author", Severity.LOW, (), "value_count", ("rule",), ("who",), 60,
    (Threshold("gte", 3),), ("CommandLine",), (Alias("who", "rule", "User"),),
)  # fmt: skip
_CHAIN = Correlation(
    "chain", "Title", "Author", Severity.LOW, (), "temporal_ordered", ("rule", "count"), (), 60,
    (Threshold("gte", 2),),
)  # fmt: skip
_FILTER = Exclusion("filter", "Title", ("camera",), ("rule",), "process_creation", _EVIL)
SEEDS = (
    bundle.encode(Bundle("n", 1, 0, 0, (_RULE,), ("x",), "", (_COUNT, _CHAIN), (_FILTER,))),
    b"\x97\x01\xa1n\x01\x00\x00\x90\x90",
)

_EVENT = {"Image": "/bin/busybox", "CommandLine": "sh -c id", "Message": "Accepted password"}


def target(data: bytes) -> None:
    """Any bytes give a ParseError, or a bundle that packs to a bundle equal to itself and runs.

    Regular expressions are left out of the run: only the compiler on the operator's side limits
    how long one may take, and a device runs none that was not signed there.
    """
    try:
        read = bundle.decode(data)
    except ParseError:
        return
    again = bundle.decode(bundle.encode(read))
    same = (again.rules, again.correlations, again.exclusions)
    if same != (read.rules, read.correlations, read.exclusions):
        raise AssertionError("a bundle changed when it was written and read again")
    if b"re" in data:
        return
    engine = Engine(read)
    for category in {rule.category for rule in read.rules}:
        engine.match(category, _EVENT)
