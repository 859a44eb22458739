"""What the kernel says about sockets, flows and addresses, and what people write about them."""

from __future__ import annotations

import contextlib

from vedette.codec import (
    conntrack,
    netlink,
    nf_tables,
    procnet,
    rtnetlink,
    sock_diag,
)
from vedette.codec.flow import parse_flows
from vedette.errors import ParseError


def target(data: bytes) -> None:
    """Any bytes give values or a ParseError; a flow's addresses are of one length."""
    with contextlib.suppress(ParseError):
        for flow in conntrack.parse_events(data):
            assert len(flow.source) == len(flow.destination)
            assert 0 <= flow.destination_port <= 0xFFFF
    with contextlib.suppress(ParseError):
        conntrack.parse_fill(data)
    with contextlib.suppress(ParseError):
        sock_diag.parse_socket(data)
    with contextlib.suppress(ParseError):
        rtnetlink.parse_address(netlink.Message(rtnetlink.RTM_NEWADDR, 0, 0, 0, data))
    with contextlib.suppress(ParseError):
        nf_tables.belongs(data, "vedette")
    text = data.decode("utf-8", "replace")
    with contextlib.suppress(ParseError):
        for one in parse_flows(text):
            assert one.network is None or len(one.network.mask) == len(one.network.address)
    for byte_order in ("little", "big"):
        with contextlib.suppress(ParseError):
            procnet.parse_table(data, byte_order)
