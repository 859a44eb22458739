"""The addresses of this host."""

from __future__ import annotations

from vedette.codec import rtnetlink
from vedette.errors import ParseError
from vedette.kernel.netlink_talk import NetlinkTalk


def addresses_of_host(talk: NetlinkTalk) -> frozenset[bytes]:
    """All addresses of all interfaces, raw.

    Args:
        talk: of the family NETLINK_ROUTE.

    Raises:
        OSError: the kernel refuses.
    """
    found = set()
    for message in talk.dump(lambda n: rtnetlink.addresses_request(sequence=n)):
        try:
            address = rtnetlink.parse_address(message)
        except ParseError:
            continue  # an address in a form of its own cannot match another's
        if address is not None:
            found.add(address)
    return frozenset(found)
