"""The socket that a flow belongs to."""

from __future__ import annotations

from vedette.codec import sock_diag
from vedette.codec.conntrack import Flow
from vedette.codec.sock_diag import SocketRecord
from vedette.errors import ParseError
from vedette.kernel.netlink_talk import NetlinkTalk

_NUMBERS = {"tcp": sock_diag.IPPROTO_TCP, "udp": sock_diag.IPPROTO_UDP}


def socket_of(talk: NetlinkTalk, flow: Flow, *, is_initiated: bool) -> SocketRecord | None:
    """The socket of this host's end of a flow, or None where it has none (any more).

    For a connection that comes in this is the listener: nothing is accepted yet.
    """
    number = _NUMBERS.get(flow.protocol)
    if number is None or len(flow.source) != len(flow.reply_source):
        return None
    if is_initiated:
        ends = (flow.source, flow.source_port, flow.destination, flow.destination_port)
    else:
        ends = (flow.reply_source, flow.destination_port, flow.source, flow.source_port)

    def request(sequence: int) -> bytes:
        return sock_diag.exact_request(number, *ends, sequence=sequence)

    try:
        payload = talk.one(request)
        record = None if payload is None else sock_diag.parse_socket(payload)
    except (OSError, ParseError):
        return None  # this kernel has no sock_diag for the protocol: an unknown owner says so
    if record is None or record.local_port != ends[1]:
        return None
    # TCP answers with a listener when the connection is gone: that is not who began it.
    is_listener = flow.protocol == "tcp" and record.state == sock_diag.TCP_LISTEN
    return None if is_initiated and is_listener else record
