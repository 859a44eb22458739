"""The fleet's registry: which device signs with which key.

Rule 1: canonical JSON, one object for each device, sorted; people may read and diff it.
Rule 2: a device is named once; a key belongs to one device, or nobody could say who spoke.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from vedette.codec import strict_json, topics
from vedette.codec.strict_json import Json
from vedette.errors import ParseError

VERSION = 1
MAX_REGISTRY_BYTES = 64 << 20
"""Some 300,000 devices of 200 bytes."""
MAX_NOTE = 200

_KEY = re.compile("[0-9a-f]{64}")


class Registered(NamedTuple):
    """One device; the key is 32 bytes of Ed25519."""

    tenant: str
    device: str
    public_key: bytes
    note: str


def encode(devices: Mapping[tuple[str, str], Registered]) -> bytes:
    """The registry as a file, one device a line."""
    lines = [
        strict_json.canonical(
            {
                "device": found.device,
                "key": found.public_key.hex(),
                "note": found.note,
                "tenant": found.tenant,
            }
        )
        for _, found in sorted(devices.items())
    ]
    return b'{"devices":[\n' + b",\n".join(lines) + f'\n],"version":{VERSION}}}\n'.encode()


def parse(data: bytes) -> dict[tuple[str, str], Registered]:
    """Read a registry.

    Raises:
        ParseError: it is not one, or breaks rule 2.
    """
    document = strict_json.parse(data, max_bytes=MAX_REGISTRY_BYTES)
    if not isinstance(document, dict) or document.get("version") != VERSION:
        raise ParseError(f"expected a registry of version {VERSION}")
    listed = document.get("devices")
    if not isinstance(listed, list):
        raise ParseError('expected "devices" as a list')
    found: dict[tuple[str, str], Registered] = {}
    keys: dict[bytes, str] = {}
    for item in listed:
        device = _device(item)
        if (device.tenant, device.device) in found:
            raise ParseError(f"expected each device once, got {device.device} again")
        if device.public_key in keys:
            other = keys[device.public_key]
            raise ParseError(f"expected a key for each device, {device.device} has that of {other}")
        found[device.tenant, device.device] = device
        keys[device.public_key] = device.device
    return found


def _device(item: Json) -> Registered:
    if not isinstance(item, dict):
        raise ParseError("expected a device as an object")
    tenant, device, key, note = (item.get(name) for name in ("tenant", "device", "key", "note"))
    if not (isinstance(tenant, str) and isinstance(device, str)):
        raise ParseError("expected tenant and device as text")
    if not (topics.is_segment(tenant) and topics.is_segment(device)):
        raise ParseError(f"expected names as topics have them, got {tenant!a} and {device!a}")
    if not isinstance(key, str) or _KEY.fullmatch(key) is None:
        raise ParseError(f"expected 64 hex digits as key of {device}")
    if not isinstance(note, str) or len(note) > MAX_NOTE:
        raise ParseError(f"expected a note of at most {MAX_NOTE} characters for {device}")
    return Registered(tenant, device, bytes.fromhex(key), note)
