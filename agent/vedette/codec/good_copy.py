"""A good copy of a file as it lies on the disk: a head of two lines, then the content as it is.

    vedette good copy 1
    {"attributes":{"system.posix_acl_access":"0200..."},"path":"/etc/passwd"}
    root:x:0:0:...

Rule: any bytes give a copy or ParseError; whether the content is the right one, its digest says,
which stands in the baseline and not here.
"""

from __future__ import annotations

from typing import Final

from vedette.codec import strict_json
from vedette.codec.strict_json import Json
from vedette.errors import ParseError
from vedette.model.baseline import GoodCopy

MAX_HEAD_BYTES: Final = 256 * 1024
"""An attribute has at most 64 KiB (xattr(7)), in hex twice that."""

_MAGIC: Final = b"vedette good copy 1\n"


def encode(copy: GoodCopy) -> bytes:
    """The file to write; the path must be UTF-8."""
    attributes: dict[str, Json] = {name: value.hex() for name, value in copy.attributes.items()}
    head = strict_json.canonical({"attributes": attributes, "path": copy.path})
    return _MAGIC + head + b"\n" + copy.content


def decode(data: bytes) -> GoodCopy:
    """Read it back.

    Raises:
        ParseError: it does not begin as `encode` writes it.
    """
    if not data.startswith(_MAGIC):
        raise ParseError(f"expected a good copy, got {data[:20]!r}")
    end = data.find(b"\n", len(_MAGIC), len(_MAGIC) + MAX_HEAD_BYTES)
    if end < 0:
        raise ParseError("expected a head of one line after the first", len(_MAGIC))
    head = strict_json.parse(data[len(_MAGIC) : end], max_bytes=MAX_HEAD_BYTES)
    if not isinstance(head, dict) or head.keys() != {"attributes", "path"}:
        raise ParseError("expected a head of attributes and path", len(_MAGIC))
    path, attributes = head["path"], head["attributes"]
    if not isinstance(path, str) or not path.startswith("/") or not isinstance(attributes, dict):
        raise ParseError("expected an absolute path and a map of attributes", len(_MAGIC))
    values = {name: _value(name, value) for name, value in attributes.items()}
    return GoodCopy(path, values, data[end + 1 :])


def _value(name: str, value: Json) -> bytes:
    # fromhex() would also take spaces.
    if isinstance(value, str) and name and "\0" not in name:
        try:
            decoded = bytes.fromhex(value)
        except ValueError:
            decoded = b""
        if decoded.hex() == value:
            return decoded
    raise ParseError(f"expected attributes in lower-case hex, got {value!a:.60}", len(_MAGIC))
