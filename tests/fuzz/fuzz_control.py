"""Fuzz target: requests to the control socket."""

from __future__ import annotations

from vedette.daemon.control import encode, parse_request
from vedette.errors import ParseError


def target(data: bytes) -> None:
    """Any line gives a Request that can be sent back as one line of UTF-8, or a ParseError."""
    try:
        request = parse_request(data)
    except ParseError:
        return
    line = encode({"ok": {"do": request.do, "with": dict(request.params)}})
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    line.decode("utf-8")
