"""Fuzzes the bundle loader with the engine behind it."""

from __future__ import annotations

from vedette.codec import bundle
from vedette.core.engine import Engine
from vedette.errors import ParseError

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
    if again.rules != read.rules:
        raise AssertionError("a bundle changed when it was written and read again")
    if b"re" in data:
        return
    engine = Engine(read)
    for category in {rule.category for rule in read.rules}:
        engine.match(category, _EVENT)
