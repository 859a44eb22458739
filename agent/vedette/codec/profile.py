"""Profiles <-> JSON: the draft that a person reviews, and the canonical payload that is signed.

    {"class": "camera", "firmware": "cam-os 2.4", "format": 1,
     "learnt": {"device": "cam-17", "from": 1800000000, "left-out": {}, "losses": 0,
                "seconds": 259200, "starts": 2, "trust": "on-first-use"},
     "listeners": {"/usr/sbin/httpd": ["tcp 80", "udp ephemeral"]},
     "pairs": {"/sbin/init": ["/usr/sbin/httpd"]},
     "peers": {"/usr/bin/ntpd": ["udp 123 0.pool.ntp.org", "udp any 10.0.0.0/24"]},
     "programs": {"/usr/sbin/httpd": ["<SHA-256 in hex>"]}}

A signed one has "counter", "expires", "issued" and "name" as well.

Rule 1: one profile, one text: sorted, one entry a line, so that two drafts can be compared with
diff(1); the payload is the same document as canonical JSON.
Rule 2: a program named "*" is any program: no source told whose port or connection it was.
Rule 3: what this file does not know, and what a person cannot see, is refused, never passed over.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable
from typing import TypeVar

from vedette.codec.addresses import network_of
from vedette.codec.strict_json import Json, canonical, parse
from vedette.codec.text import escape, quoted
from vedette.errors import ParseError
from vedette.model.profile import (
    ANY_PORT,
    ANY_PROGRAM,
    MAX_DIGESTS,
    MAX_LISTENERS,
    MAX_PAIRS,
    MAX_PEERS,
    MAX_PROGRAMS,
    MAX_TEXT,
    Learnt,
    LeftOut,
    Listener,
    Origin,
    Pair,
    Peer,
    Profile,
    Program,
)

PAYLOAD_TYPE = "application/vnd.vedette.profile+json"
MAX_BYTES = 4 << 20
"""Ours: a full profile of long paths; a usual one takes 20 to 100 KB."""
FORMAT = 1

_MAX_NUMBER = 2**53 - 1  # what every JSON reader holds exactly
_CONTENT = frozenset(
    {"class", "firmware", "format", "learnt", "listeners", "pairs", "peers", "programs"}
)
_SIGNED = _CONTENT | {"counter", "expires", "issued", "name"}
_ORIGIN = {"device", "from", "left-out", "losses", "seconds", "starts", "trust"}
_TRUST = "on-first-use"
_ANY_PROGRAM, _ANY_PORT, _EPHEMERAL = "*", "any", "ephemeral"
_DIGEST = re.compile(r"[0-9a-f]{64}")
_PROTOCOL = r"(tcp|udp|icmp|other)"
_PORT = r"(0|[1-9][0-9]{0,4})"
_LISTENER = re.compile(rf"{_PROTOCOL} (?:{_PORT}|{_EPHEMERAL})")
_PEER = re.compile(rf"{_PROTOCOL} (?:{_PORT}|{_ANY_PORT}) (\S{{1,255}})")
_HOST = re.compile(r"(?:\*\.)?[a-z0-9_:.-]{1,253}")
_MAX_PORT = 65_535

Entry = TypeVar("Entry")


def encode(profile: Profile) -> bytes:
    """The payload of a signed profile; its digest is not written.

    Raises:
        ParseError: it is none that `decode` would read.
    """
    data = canonical({**_plain(profile), **_numbers(profile)})
    decode(data)
    return data


def decode(payload: bytes) -> Profile:
    """Read the payload of a signed profile; whether it was signed is not looked at.

    Raises:
        ParseError: it is no profile, or one that could be read in two ways.
    """
    value = parse(payload, max_bytes=MAX_BYTES)
    if canonical(value) != payload:
        raise ParseError("expected canonical JSON (sorted names, no spaces)")
    fields = _fields(value, "the profile", _SIGNED)
    profile = _profile(fields, hashlib.sha256(payload).hexdigest())
    if profile.counter < 1 or profile.expires_s <= profile.issued_s:
        raise ParseError("expected a counter from 1, and to expire after it was issued")
    if _plain(profile).items() != {name: fields[name] for name in _CONTENT}.items():
        raise ParseError("expected sorted entries, each of them once")
    return profile


def encode_draft(profile: Profile) -> bytes:
    """A profile for people: indented, without what only a signature gives it."""
    return (
        json.dumps(_plain(profile), ensure_ascii=False, indent=1, sort_keys=True).encode() + b"\n"
    )


def decode_draft(data: bytes) -> Profile:
    """Read a draft, also one that a person has edited: order and spaces do not matter.

    Raises:
        ParseError: it is no draft.
    """
    value = parse(data, max_bytes=MAX_BYTES)
    return _profile(_fields(value, "the draft of a profile", _CONTENT), "")


def plain_learnt(learnt: Learnt) -> dict[str, Json]:
    """What was learnt as JSON, without the counts of what was left out."""
    return {
        "listeners": _grouped((one.program, _listener_text(one)) for one in learnt.listeners),
        "pairs": _grouped((one.parent, one.child) for one in learnt.pairs),
        "peers": _grouped((one.program, _peer_text(one)) for one in learnt.peers),
        "programs": {one.path: [*sorted(set(one.digests))] for one in learnt.programs},
    }


def read_learnt(fields: dict[str, Json], left_out: LeftOut) -> Learnt:
    """What `plain_learnt` wrote; names beside its own are not looked at.

    Raises:
        ParseError: an entry is none, or there are more than a profile may have.
    """
    programs = _object(fields.get("programs"), "programs")
    if len(programs) > MAX_PROGRAMS:
        raise ParseError(f"expected at most {MAX_PROGRAMS} programs, got {len(programs)}")
    return Learnt(
        tuple(sorted(_program(path, digests) for path, digests in programs.items())),
        _entries(fields, "pairs", MAX_PAIRS, _pair),
        _entries(fields, "listeners", MAX_LISTENERS, _listener),
        _entries(fields, "peers", MAX_PEERS, _peer),
        left_out,
    )


def plain_left_out(left_out: LeftOut) -> dict[str, Json]:
    """The counts that are not zero."""
    return {kind: count for kind, count in left_out._asdict().items() if count}


def read_left_out(value: Json) -> LeftOut:
    """What `plain_left_out` wrote.

    Raises:
        ParseError: a kind is unknown, or a count is none.
    """
    counts = _object(value, "left-out")
    unknown = counts.keys() - set(LeftOut._fields)
    if unknown:
        raise ParseError(f"left-out: expected {', '.join(LeftOut._fields)}, got {min(unknown)!a}")
    return LeftOut(**{kind: number(counts, kind) for kind in counts})


def number(fields: dict[str, Json], name: str) -> int:
    """A whole number from 0 among the fields of a document.

    Raises:
        ParseError: it is missing or none.
    """
    value = fields.get(name)
    if type(value) is not int or not 0 <= value <= _MAX_NUMBER:
        raise ParseError(f"expected {name} to be a whole number from 0, got {quoted(value)}")
    return value


def is_program(name: str) -> bool:
    """Whether a name can stand as a program: a person sees all of it, and it is not too long."""
    return bool(name) and name != _ANY_PROGRAM and len(name) <= MAX_TEXT and escape(name) == name


def text(fields: dict[str, Json], name: str, most: int = MAX_TEXT) -> str:
    """A text that a person can read among the fields of a document; it may be empty.

    Raises:
        ParseError: it is missing, too long, or holds what cannot be seen.
    """
    return _visible(fields.get(name), name, most)


def is_host(host: str) -> bool:
    """Whether a text can stand as a peer: a name, an address, or a network as `network_of`."""
    if "/" not in host:
        return _HOST.fullmatch(host) is not None
    return network_of(host.partition("/")[0]) == host


def _plain(profile: Profile) -> dict[str, Json]:
    origin = profile.origin
    return {
        "class": profile.device_class,
        "firmware": profile.firmware,
        "format": FORMAT,
        "learnt": {
            "device": origin.device,
            "from": origin.began_s,
            "left-out": plain_left_out(profile.learnt.left_out),
            "losses": origin.losses,
            "seconds": origin.learnt_s,
            "starts": origin.starts,
            "trust": _TRUST,
        },
        **plain_learnt(profile.learnt),
    }


def _numbers(profile: Profile) -> dict[str, Json]:
    return {
        "counter": profile.counter,
        "expires": profile.expires_s,
        "issued": profile.issued_s,
        "name": profile.name,
    }


def _profile(fields: dict[str, Json], digest: str) -> Profile:
    if fields["format"] != FORMAT:
        raise ParseError(f"expected format {FORMAT}; a newer vedette is needed for another")
    origin = _fields(fields["learnt"], "learnt", frozenset(_ORIGIN))
    if origin["trust"] != _TRUST:
        raise ParseError(f'expected trust to be "{_TRUST}", got {quoted(origin["trust"])}')
    is_signed = "counter" in fields
    return Profile(
        name=text(fields, "name", 128) if is_signed else "",
        counter=number(fields, "counter") if is_signed else 0,
        issued_s=number(fields, "issued") if is_signed else 0,
        expires_s=number(fields, "expires") if is_signed else 0,
        device_class=text(fields, "class", 64),
        firmware=text(fields, "firmware", 128),
        origin=Origin(
            text(origin, "device", 64),
            number(origin, "from"),
            number(origin, "seconds"),
            number(origin, "starts"),
            number(origin, "losses"),
        ),
        learnt=read_learnt(fields, read_left_out(origin["left-out"])),
        digest=digest,
    )


def _grouped(pairs: Iterable[tuple[str, str]]) -> dict[str, Json]:
    found: dict[str, set[str]] = {}
    for owner, entry in pairs:
        found.setdefault(owner or _ANY_PROGRAM, set()).add(entry)
    return {owner: [*sorted(entries)] for owner, entries in found.items()}


def _listener_text(listener: Listener) -> str:
    return f"{listener.protocol} {listener.port or _EPHEMERAL}"


def _peer_text(peer: Peer) -> str:
    return f"{peer.protocol} {peer.port or _ANY_PORT} {peer.peer}"


def _entries(
    fields: dict[str, Json], kind: str, most: int, read: Callable[[str, str], Entry]
) -> tuple[Entry, ...]:
    found: dict[Entry, None] = {}
    for owner, entries in _object(fields.get(kind), kind).items():
        name = ANY_PROGRAM if owner == _ANY_PROGRAM else _path(owner, kind)
        for entry in _list(entries, f"{kind} of {quoted(owner)}"):
            found[read(name, _visible(entry, f"an entry of {kind}", MAX_TEXT))] = None
            if len(found) > most:
                raise ParseError(f"expected at most {most} {kind}, got more")
    return tuple(sorted(found))  # type: ignore[type-var] # entries are tuples of text and numbers


def _program(path: str, value: Json) -> Program:
    digests = _list(value, f"the digests of {quoted(path)}")
    for digest in digests:
        if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
            raise ParseError(f"{quoted(path)}: expected SHA-256 in hex, got {quoted(digest)}")
    if len(digests) > MAX_DIGESTS:
        raise ParseError(f"{quoted(path)}: expected at most {MAX_DIGESTS} digests")
    return Program(_path(path, "programs"), tuple(sorted({str(digest) for digest in digests})))


def _pair(parent: str, child: str) -> Pair:
    if parent == ANY_PROGRAM:
        raise ParseError('pairs: expected a program that starts others, got "*"')
    return Pair(parent, _path(child, "pairs"))


def _listener(program: str, entry: str) -> Listener:
    found = _LISTENER.fullmatch(entry)
    if found is None:
        raise ParseError(f'listeners: expected such as "tcp 80", got {quoted(entry)}')
    return Listener(program, found[1], _port(found[2]))


def _peer(program: str, entry: str) -> Peer:
    found = _PEER.fullmatch(entry)
    if found is None or not is_host(found[3]):
        raise ParseError(
            f'peers: expected such as "tcp 443 cloud.example.com", got {quoted(entry)}; a network '
            'is written as "10.0.0.0/24" or "fe80:0:0:0::/64"'
        )
    return Peer(program, found[1], found[3], _peer_port(found[2]))


def _peer_port(written: str | None) -> int:
    return ANY_PORT if written is None else _port(written)


def _port(written: str | None) -> int:
    port = ANY_PORT if written is None else int(written)
    if port > _MAX_PORT or (written is not None and port == ANY_PORT):
        raise ParseError(f"expected a port from 1 to {_MAX_PORT}, got {written}")
    return port


def _path(name: str, what: str) -> str:
    if not is_program(name):
        raise ParseError(
            f"{what}: expected the path of a program, at most {MAX_TEXT} characters and all of "
            f"them visible, got {quoted(name)}"
        )
    return name


def _visible(value: Json, what: str, most: int) -> str:
    if not isinstance(value, str) or len(value) > most:
        raise ParseError(f"expected {what} to be text of at most {most} characters")
    if escape(value) != value:
        raise ParseError(f"expected {what} without control and invisible characters, got "
                         f"{quoted(value)}")  # fmt: skip
    return value


def _fields(value: Json, what: str, names: frozenset[str]) -> dict[str, Json]:
    fields = _object(value, what)
    if fields.keys() != names:
        missing, unknown = sorted(names - fields.keys()), sorted(fields.keys() - names)
        raise ParseError(
            f"expected {what} to have {', '.join(sorted(names))}; missing: "
            f"{', '.join(missing) or 'none'}; unknown: {quoted(', '.join(unknown)) or 'none'}"
        )
    return fields


def _object(value: Json, what: str) -> dict[str, Json]:
    if not isinstance(value, dict):
        raise ParseError(f"expected {what} to be a JSON object, got {quoted(value)}")
    return value


def _list(value: Json, what: str) -> list[Json]:
    if not isinstance(value, list):
        raise ParseError(f"expected {what} to be a list, got {quoted(value)}")
    return value
