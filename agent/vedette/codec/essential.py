"""Between the sentinel and the prober of essential functions: what to probe, and what was found.

Rule 1: the prober runs what the device's owner declared and connects to services that may be
hostile: what it reports is read like any other input.
Rule 2: a report names only functions that were asked about, each once.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import cast

from vedette.codec import strict_json
from vedette.codec.strict_json import Json
from vedette.codec.text import escape, quoted
from vedette.codec.values import from_plain, to_plain
from vedette.errors import ParseError
from vedette.model.essential import EssentialFunction, Probed

MAX_REPORT_BYTES = 64 * 1024
MAX_REQUEST_BYTES = 120 * 1024
"""execve(2): one argument has at most 128 KB."""
MAX_DETAIL_CHARS = 300
MAX_PIDS = 256
MAX_PID = 1 << 22
"""proc(5), /proc/sys/kernel/pid_max."""

_KEYS = {"name", "up", "detail", "pids"}
_FUNCTIONS = tuple[EssentialFunction, ...]


def encode_request(functions: Sequence[EssentialFunction]) -> str:
    """Functions as one argument of a command line."""
    return strict_json.canonical(to_plain(tuple(functions))).decode()


def decode_request(text: str) -> tuple[EssentialFunction, ...]:
    """The opposite of `encode_request`.

    Raises:
        ParseError: it was not made by `encode_request`.
    """
    found = strict_json.parse(text.encode("utf-8", "replace"), max_bytes=MAX_REQUEST_BYTES)
    functions: tuple[EssentialFunction, ...] = from_plain(_FUNCTIONS, found, "functions")
    return functions


def encode_report(found: Sequence[Probed]) -> bytes:
    """What was found, one line for each, within MAX_REPORT_BYTES."""
    lines = b"".join(map(_line, found))
    if len(lines) <= MAX_REPORT_BYTES:
        return lines
    return b"".join(_line(one._replace(detail="", pids=())) for one in found)


def decode_report(data: bytes, asked: Collection[str]) -> tuple[Probed, ...]:
    """Read what a prober wrote before it ended.

    Args:
        data: all of it.
        asked: the names it was asked about.

    Raises:
        ParseError: a line is not whole or not of this form, or names what was not asked.
    """
    if len(data) > MAX_REPORT_BYTES:
        raise ParseError(f"expected a report of at most {MAX_REPORT_BYTES} bytes", MAX_REPORT_BYTES)
    if data and not data.endswith(b"\n"):
        raise ParseError("expected whole lines, got the end of the report", len(data))
    found = [_probed(line) for line in data.split(b"\n")[:-1]]
    names = [one.name for one in found]
    strangers = [name for name in names if name not in asked]
    if strangers:
        raise ParseError(f"expected the functions that were asked, got {quoted(strangers[0])}")
    if len(set(names)) < len(names):
        raise ParseError("expected each function once")
    return tuple(found)


def _line(one: Probed) -> bytes:
    pids = cast("list[Json]", list(one.pids[:MAX_PIDS]))
    detail = escape(one.detail)[:MAX_DETAIL_CHARS]
    document: Json = {"name": one.name, "up": one.is_up, "detail": detail, "pids": pids}
    return strict_json.canonical(document) + b"\n"


def _probed(line: bytes) -> Probed:
    found = strict_json.parse(line, max_bytes=MAX_REPORT_BYTES)
    if not isinstance(found, dict) or found.keys() != _KEYS:
        raise ParseError(f"expected an object of {', '.join(sorted(_KEYS))}")
    name, is_up, detail, pids = found["name"], found["up"], found["detail"], found["pids"]
    if not isinstance(name, str) or not isinstance(detail, str) or not isinstance(is_up, bool):
        raise ParseError("expected name and detail as text, up as true or false")
    if len(detail) > MAX_DETAIL_CHARS:
        raise ParseError(f"expected a detail of at most {MAX_DETAIL_CHARS} characters")
    return Probed(name, is_up, escape(detail), _pids(pids))


def _pids(found: Json) -> tuple[int, ...]:
    if not isinstance(found, list) or len(found) > MAX_PIDS:
        raise ParseError(f"expected at most {MAX_PIDS} pids")
    pids = []
    for pid in found:
        if not isinstance(pid, int) or isinstance(pid, bool) or not 0 < pid <= MAX_PID:
            raise ParseError(f"expected a pid, got {quoted(pid)}")
        pids.append(pid)
    return tuple(pids)
