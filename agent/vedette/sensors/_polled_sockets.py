"""Sockets for sensors that poll: by sock_diag, or from /proc/net where the kernel lacks it.

Rule: the source is chosen once, by a try; sock_diag needs no privilege and costs a tenth on a
machine with many hash buckets (0.7 against 7 ms for a look at all of TCP and UDP).
"""

from __future__ import annotations

from collections.abc import Iterator

from vedette.codec import sock_diag
from vedette.codec.conntrack import AF_INET, AF_INET6
from vedette.codec.sock_diag import SocketRecord
from vedette.kernel.netlink_talk import NETLINK_SOCK_DIAG, NetlinkTalk
from vedette.kernel.sockets import dump
from vedette.model.event import Protocol
from vedette.sensors import _proc_net

_NUMBERS = {"tcp": sock_diag.IPPROTO_TCP, "udp": sock_diag.IPPROTO_UDP}


class PolledSockets:
    """All sockets of this host by protocol and state."""

    def __init__(self) -> None:
        self._talk = _talk_if_it_works()

    def records(self, protocol: Protocol, states: int) -> Iterator[SocketRecord]:
        """Sockets of "tcp" or "udp" in any of the states (bit n for state n).

        Raises:
            OSError: the source is gone.
            ParseError: /proc/net has a form of its own.
        """
        if self._talk is None:
            yield from (r for r in _proc_net.sockets(protocol) if states >> r.state & 1)
            return
        for family in (AF_INET, AF_INET6):
            yield from dump(self._talk, family, _NUMBERS[protocol], states)

    def close(self) -> None:
        """Close what is open. Safe to call twice."""
        if self._talk is not None:
            self._talk.close()


def _talk_if_it_works() -> NetlinkTalk | None:
    """sock_diag for TCP and UDP, or None where the kernel lacks either."""
    try:
        talk = NetlinkTalk(NETLINK_SOCK_DIAG)
    except OSError:
        return None
    try:
        for number in _NUMBERS.values():
            list(dump(talk, AF_INET, number, 1 << sock_diag.TCP_LISTEN))
    except OSError:
        talk.close()
        return None
    return talk
