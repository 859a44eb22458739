"""Text as a person may safely read it, and figures in the size a person reads them.

Rule 1: what came from outside passes `escape` before it reaches a terminal, a log or a message.
Rule 2: `escape` is idempotent, so that text escaped at its source may be escaped again where it is
shown; it is therefore not reversible (a backslash stays a backslash).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_UNSAFE = re.compile(
    "["
    "\x00-\x1f\x7f-\x9f"  # C0 (ANSI sequences begin with ESC), DEL, C1
    "\u00ad\u061c\u180e"  # soft hyphen, Arabic letter mark, Mongolian vowel separator
    "\u200b-\u200f\u2028-\u202e\u2060-\u206f"  # zero width, bidi overrides and isolates, separators
    "\ufeff\ufff9-\ufffb\U000e0000-\U000e007f"  # BOM, annotations, invisible tags
    "\ud800-\udfff"  # surrogates: bytes that were not UTF-8 (PEP 383), or broken JSON
    "]"
)
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t", "\x1b": "\\e"}
_FIRST_ESCAPED_BYTE = 0xDC80
_LAST_ESCAPED_BYTE = 0xDCFF
_ASTRAL = 0x10000
_STEP = 1000
_SHORT_FIGURE = 9.95
"""From here on rounding gives two digits before the dot, and the third one says little."""
_UNITS = ("kB", "MB", "GB", "TB", "PB", "EB")
_AGES = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


def escape(text: str) -> str:
    r"""Replace what could steer a terminal or deceive a reader.

    Args:
        text: may hold anything, surrogate escapes of undecodable bytes (PEP 383) included.

    Returns:
        Text that can be encoded in UTF-8 and holds no control character, no line break, no
        direction override and no invisible character: `\n`, `\e`, `\x07`, `\u202e` instead.
    """
    return _UNSAFE.sub(_replacement, text)


def _replacement(match: re.Match[str]) -> str:
    character = match.group()
    code = ord(character)
    if character in _SHORT:
        return _SHORT[character]
    if _FIRST_ESCAPED_BYTE <= code <= _LAST_ESCAPED_BYTE:
        return f"\\x{code - 0xDC00:02x}"
    if code <= 0xFF:  # noqa: PLR2004 (the last code of two hexadecimal digits)
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < _ASTRAL else f"\\U{code:08x}"


def shorten(text: str, width: int) -> str:
    """At most `width` characters: the head, an ellipsis, and the tail, where file names end.

    Args:
        text: escaped text.
        width: characters, at least 1.
    """
    if len(text) <= width:
        return text
    tail = (width - 1) // 3
    head = width - 1 - tail
    return f"{text[:head]}…{text[len(text) - tail :]}"


def quoted(value: object, width: int = 60) -> str:
    """A foreign value as an error message shows it: escaped, in quotes if text, and short."""
    if isinstance(value, str):
        return f'"{shorten(escape(value), width)}"'
    return shorten(escape(str(value)), width)


def human_size(size_bytes: int) -> str:
    """A size in decimal units with three digits at most: `999 B`, `1.5 kB`, `42 MB`."""
    if abs(size_bytes) < _STEP:
        return f"{size_bytes} B"
    power = 1
    while power < len(_UNITS) and abs(size_bytes) / _STEP**power >= _STEP - 0.5:
        power += 1
    size = size_bytes / _STEP**power
    digits = 1 if abs(size) < _SHORT_FIGURE else 0
    return f"{size:.{digits}f} {_UNITS[power - 1]}"


def human_age(age_s: float) -> str:
    """A duration in its two largest units: `42 s`, `3 min 5 s`, `2 d 4 h`; never negative."""
    rest = max(0, int(age_s))
    for position, (length_s, unit) in enumerate(_AGES):
        if rest >= length_s:
            count, rest = divmod(rest, length_s)
            if position + 1 == len(_AGES):
                return f"{count} {unit}"
            next_s, next_unit = _AGES[position + 1]
            return (
                f"{count} {unit} {rest // next_s} {next_unit}"
                if rest >= next_s
                else (f"{count} {unit}")
            )
    return "0 s"


def told_apart(argv: Sequence[str], command_line: str) -> str:
    """Argv joined by NUL, "" where its command line split at single spaces tells it as well.

    Args:
        argv: whole arguments.
        command_line: the same joined by single spaces.
    """
    if not argv or command_line.count(" ") == len(argv) - 1:
        return ""
    return "\0".join(argv)
