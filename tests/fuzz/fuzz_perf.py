"""What perf writes of a tracepoint, and what tracefs says of its fields."""

from __future__ import annotations

import contextlib

from vedette.codec import perf
from vedette.codec.perf import Field
from vedette.codec.socket_states import StateReader
from vedette.errors import ParseError

READER = StateReader(
    {
        "skaddr": Field(8, 4), "oldstate": Field(12, 4), "newstate": Field(16, 4),
        "sport": Field(20, 2), "dport": Field(22, 2), "family": Field(24, 2),
        "saddr": Field(28, 4), "daddr": Field(32, 4), "saddr_v6": Field(36, 16),
        "daddr_v6": Field(52, 16),
    }
)  # fmt: skip


def target(data: bytes) -> None:
    """Any bytes give samples, fields and changes or a ParseError; addresses are of one family."""
    with contextlib.suppress(ParseError):
        samples, lost = perf.parse_records(data)
        assert lost >= 0
        assert sum(len(one.raw) for one in samples) <= len(data)
    with contextlib.suppress(ParseError):
        change = READER.read(data)
        assert {len(change.local), len(change.remote)} <= {4, 16}
    with contextlib.suppress(ParseError):
        StateReader(perf.parse_format(data.decode("utf-8", "replace")))
