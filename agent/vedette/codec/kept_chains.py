"""Where a reader stands in the chains of its devices: kept from one watch to the next.

Canonical JSON, one object for each device, sorted. It is the reader's own file, signed by nobody:
whoever can write it can make the reader forget.
"""

from __future__ import annotations

from collections.abc import Mapping

from vedette.codec import note, strict_json, topics
from vedette.codec.chain_link import Link, parse_link
from vedette.codec.strict_json import Json
from vedette.errors import ParseError

VERSION = 1
MAX_BYTES = 256 << 20
"""Some 300,000 devices of 500 bytes."""

Device = tuple[str, str]


def encode(links: Mapping[Device, Link]) -> bytes:
    """The newest link of each device, by tenant and device."""
    lines = [
        strict_json.canonical(
            {"device": device, "link": note.checkpoint_text(link.checkpoint), "tenant": tenant}
        )
        for (tenant, device), link in sorted(links.items())
    ]
    return b'{"chains":[\n' + b",\n".join(lines) + f'\n],"version":{VERSION}}}\n'.encode()


def parse(data: bytes) -> dict[Device, Link]:
    """Read what `encode` wrote.

    Raises:
        ParseError: it is something else.
    """
    document = strict_json.parse(data, max_bytes=MAX_BYTES)
    listed = document.get("chains") if isinstance(document, dict) else None
    if not isinstance(document, dict) or document.get("version") != VERSION:
        raise ParseError(f"expected chains of version {VERSION}")
    if not isinstance(listed, list):
        raise ParseError('expected "chains" as a list')
    return dict(_device(item) for item in listed)


def _device(item: Json) -> tuple[Device, Link]:
    found = item if isinstance(item, dict) else {}
    tenant, device, text = (found.get(name) for name in ("tenant", "device", "link"))
    if not (isinstance(tenant, str) and isinstance(device, str) and isinstance(text, str)):
        raise ParseError("expected tenant, device and link as text")
    if not (topics.is_segment(tenant) and topics.is_segment(device)):
        raise ParseError(f"expected names as topics have them, got {tenant!a} and {device!a}")
    return (tenant, device), parse_link(note.parse_checkpoint(text))
