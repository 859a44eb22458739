"""The addresses of this host, kept current by the kernel's own notices.

Rule: nothing is polled; a notice makes us ask for all addresses again, because notices can be lost.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

from vedette.codec import rtnetlink
from vedette.codec.addresses import is_loopback
from vedette.kernel.addresses import addresses_of_host
from vedette.kernel.netlink_talk import NETLINK_ROUTE, NetlinkTalk

_DISCARD_BYTES = 1 << 16


class HostAddresses:
    """Raw addresses in `current`; calls `changed` after each change.

    Raises:
        OSError: the kernel lacks rtnetlink.
    """

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._talk = NetlinkTalk(NETLINK_ROUTE)
        self._notices = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, NETLINK_ROUTE
        )
        self._notices.bind((0, rtnetlink.RTMGRP_IPV4_IFADDR | rtnetlink.RTMGRP_IPV6_IFADDR))
        self.current = self._ask()
        asyncio.get_running_loop().add_reader(self._notices, self._noticed)

    def has(self, address: bytes) -> bool:
        """Whether an address is this host's; all of 127.0.0.0/8 is."""
        return address in self.current or is_loopback(address)

    def close(self) -> None:
        """Stop listening. Safe to call twice."""
        if self._notices.fileno() >= 0:
            asyncio.get_running_loop().remove_reader(self._notices)
        self._notices.close()
        self._talk.close()

    def _noticed(self) -> None:
        try:
            self._notices.recv(_DISCARD_BYTES)
        except BlockingIOError:
            return
        except OSError:
            pass  # ENOBUFS: notices were lost, which is why the content of none is used
        found = self._ask()
        if found != self.current:
            self.current = found
            self._changed()

    def _ask(self) -> frozenset[bytes]:
        return addresses_of_host(self._talk)
