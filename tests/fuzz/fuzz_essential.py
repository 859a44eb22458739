"""Fuzzes what the prober of essential functions reports."""

from __future__ import annotations

from vedette.codec.essential import decode_report, encode_report
from vedette.errors import ParseError
from vedette.model.essential import Probed

NAMES = ("stream", "plain")
SEEDS = (
    encode_report([Probed("stream", is_up=True, detail="active", pids=(7, 8))]),
    encode_report([Probed("plain", is_up=False, detail="\x1b", pids=())]),
)


def target(data: bytes) -> None:
    """Any bytes give functions that were asked, each once, or a ParseError."""
    try:
        found = decode_report(data, NAMES)
    except ParseError:
        return
    names = [one.name for one in found]
    if len(set(names)) != len(names) or not set(names) <= set(NAMES):
        raise AssertionError(f"{names} of {NAMES}")
    if decode_report(encode_report(found), NAMES) != found:
        raise AssertionError(f"{found} does not come back")
