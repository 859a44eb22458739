"""/etc/os-release (os-release(5)): which firmware this is."""

from __future__ import annotations

import re

from vedette.codec.text import escape

MAX_CHARS = 128

_LINE = re.compile(r"""^([A-Z0-9_]+)=(?:"([^"\n]*)"|'([^'\n]*)'|([^"'\n]*))[ \t]*$""", re.MULTILINE)


def firmware_of(content: str) -> str:
    """Name and version of an image, or of the system where it is no image; "" for neither.

    Args:
        content: of the file; lines of another form are passed over, as os-release(5) asks.
    """
    fields = {found[1]: found[2] or found[3] or found[4] or "" for found in _LINE.finditer(content)}
    name = fields.get("IMAGE_ID") or fields.get("ID") or ""
    version = fields.get("IMAGE_VERSION") or fields.get("VERSION_ID") or fields.get("BUILD_ID")
    return escape(f"{name} {version or ''}".strip())[:MAX_CHARS]
