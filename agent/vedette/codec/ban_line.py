"""How a response asks for a ban: one line there, one line back, over a socket of the run folder.

    -> ban ID SIZE SHA256|- HEX-OF-PATH|-
    -> pardon ID          take it back; a ban that is not there is taken back already
    -> held ID            is it in force?
    <- ok                 or: no WHY

Rule: any bytes give a request, an answer or ParseError; a path is written in hex, since it may hold
any byte but NUL.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple, TypeAlias

from vedette.errors import ParseError
from vedette.model.ban import Ban

LINE_BYTES_MAX: Final = 16_384
"""A path of 4,096 bytes has 8,192 digits."""
PATH_BYTES_MAX: Final = 4096  # PATH_MAX, path_resolution(7)

_LINE = re.compile(
    rb"(?:(?P<verb>pardon|held) (?P<id>[0-9a-f]{16})"
    rb"|ban (?P<ban_id>[0-9a-f]{16}) (?P<size>0|[1-9][0-9]{0,18}) (?P<sha256>-|[0-9a-f]{64})"
    rb" (?P<path>-|(?:[0-9a-f]{2})+))\n?"
)


class Pardon(NamedTuple):
    """Take a ban back."""

    ban_id: str


class Held(NamedTuple):
    """Is a ban in force?"""

    ban_id: str


Request: TypeAlias = Ban | Pardon | Held
_VERBS: Final[dict[type[Pardon | Held], str]] = {
    Pardon: "pardon", Held: "held",
}  # fmt: skip


def encode_request(request: Request) -> bytes:
    """One line with its end."""
    if not isinstance(request, Ban):
        return f"{_VERBS[type(request)]} {request.ban_id}\n".encode("ascii")
    path = request.path.encode("utf-8", "surrogateescape").hex() or "-"
    digest = request.sha256 or "-"
    return f"ban {request.ban_id} {request.size_bytes} {digest} {path}\n".encode("ascii")


def parse_request(line: bytes) -> Request:
    """Read one line.

    Raises:
        ParseError: it is none, or bans nothing.
    """
    found = _LINE.fullmatch(line[: LINE_BYTES_MAX + 1])
    if found is None:
        raise ParseError(f"expected ban, pardon or held with its words, got {line[:32]!r}")
    words = {name: (value or b"").decode("ascii") for name, value in found.groupdict().items()}
    if words["verb"]:
        return Pardon(words["id"]) if words["verb"] == "pardon" else Held(words["id"])
    return _ban(words)


def _ban(words: dict[str, str]) -> Ban:
    path = b"" if words["path"] == "-" else bytes.fromhex(words["path"])
    if len(path) > PATH_BYTES_MAX or b"\0" in path or (path and not path.startswith(b"/")):
        raise ParseError(f"expected an absolute path of at most 4096 bytes, got {path[:32]!r}")
    digest = "" if words["sha256"] == "-" else words["sha256"]
    if not digest and not path:
        raise ParseError("expected a digest or a path to ban, got neither")
    size = int(words["size"])
    if size >= 2**63:
        raise ParseError(f"expected a size below 2**63 bytes, got {size}")
    return Ban(words["ban_id"], digest, size, path.decode("utf-8", "surrogateescape"))


def encode_answer(why_not: str) -> bytes:
    """One line: ok, or why not."""
    words = " ".join(why_not.split())[:1000]
    return (f"no {words}\n" if words else "ok\n").encode("utf-8", "backslashreplace")


def parse_answer(line: bytes) -> str:
    """Why not, or "" for ok.

    Raises:
        ParseError: it is no answer.
    """
    text = line.decode("utf-8", "replace").removesuffix("\n")
    if text == "ok":
        return ""
    if text.startswith("no ") and text[3:].strip():
        return text[3:].strip()
    raise ParseError(f"expected ok or no with a reason, got {line[:32]!r}")
