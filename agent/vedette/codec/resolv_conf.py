"""The name servers of resolv.conf(5)."""

from __future__ import annotations

from vedette.codec.address_sets import address_number

MAX_SERVERS = 8
"""glibc asks three; more in the file are no reason to open more."""


def name_servers(text: str) -> tuple[bytes, ...]:
    """Raw addresses in their order; a zone (`%eth0`) is dropped, what is no address is passed over.

    Args:
        text: of the file; any text gives some servers or none.
    """
    found: list[bytes] = []
    for line in text.splitlines():
        words = line.split()
        if len(words) < 2 or words[0] != "nameserver":  # noqa: PLR2004 (keyword and value)
            continue
        number = address_number(words[1].partition("%")[0])
        if number is not None:
            found.append(number.value.to_bytes(number.bits // 8))
    return tuple(dict.fromkeys(found))[:MAX_SERVERS]
