"""Fuzz target: netlink framing."""

from __future__ import annotations

from vedette.codec import netlink
from vedette.errors import ParseError


def target(data: bytes) -> None:
    """Any bytes give messages that pack back, attributes, an errno or a ParseError."""
    try:
        found = list(netlink.messages(data))
    except ParseError as error:
        check_offset(error, data)
    else:
        again = b"".join(
            netlink.pack(m.type, m.flags, m.sequence, m.payload, m.port) for m in found
        )
        assert list(netlink.messages(again)) == found
    for parse in (netlink.attributes, netlink.error_number):
        try:
            parse(data)
        except ParseError as error:
            check_offset(error, data)


def check_offset(error: ParseError, data: bytes) -> None:
    """Fail unless the error points into its input or at its end."""
    assert 0 <= error.offset <= len(data), error
