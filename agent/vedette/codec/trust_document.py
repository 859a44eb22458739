"""The payload of the trust document: canonical JSON of type PAYLOAD_TYPE in a DSSE envelope.

    {"expires": 1900000000, "issued": 1800000000,
     "purposes": {"rules": {"keys": ["<64 hex digits>", ...], "threshold": 1}, ...,
                  "operators": {"grants": {"<64 hex digits>": {"groups": ["*"], "verbs": [...]}},
                                "keys": [...], "threshold": 1}},
     "root": {"keys": [...], "threshold": 2}, "spec": 1, "version": 1}

Rule 1: keys are raw Ed25519 public keys in hex; their ids are computed, never read.
Rule 2: only the canonical bytes are read: one document, one digest.
Rule 3: a threshold below 1 or above the number of different keys is refused.
Rule 4: grants belong to operators alone, each to one of their keys.
"""

from __future__ import annotations

import hashlib
import re

from vedette.codec import topics
from vedette.codec.strict_json import Json, canonical, parse
from vedette.codec.text import quoted
from vedette.errors import ParseError
from vedette.model.trust import EVERY_GROUP, Grant, Role, TrustDocument

PAYLOAD_TYPE = "application/vnd.vedette.trust+json"
MAX_BYTES = 256 << 10
MAX_KEYS = 16
"""Ours, per role: so that half a page of signatures always reaches any threshold."""
MAX_PURPOSES = 32
MAX_GRANTED = 64
"""Ours: verbs, and groups, of one key."""
OPERATORS = "operators"

_MAX_NUMBER = 2**53 - 1  # what every JSON reader holds exactly
_PURPOSE = re.compile(r"[a-z][a-z-]{0,31}")
_KEY = re.compile(r"[0-9a-f]{64}")
_VERB = re.compile(r"[a-z][a-z0-9_-]{0,31}")
_FIELDS = {"expires", "issued", "purposes", "root", "spec", "version"}


def encode(document: TrustDocument) -> bytes:
    """The canonical payload.

    Raises:
        ParseError: the document is none that `decode` would read.
    """
    purposes: dict[str, Json] = {name: _plain(role) for name, role in document.purposes.items()}
    data = canonical(
        {
            "expires": document.expires_s,
            "issued": document.issued_s,
            "purposes": purposes,
            "root": _plain(document.root),
            "spec": 1,
            "version": document.version,
        }
    )
    decode(data)
    return data


def decode(data: bytes) -> TrustDocument:
    """Read a payload; whether it was signed is not looked at.

    Raises:
        ParseError: it is no trust document, or one that could be read in two ways.
    """
    value = parse(data, max_bytes=MAX_BYTES)
    fields = _object(value, "the trust document")
    if fields.keys() != _FIELDS:
        raise ParseError(f"expected the names {sorted(_FIELDS)}, got {sorted(fields)[:16]}")
    if canonical(value) != data:
        raise ParseError("expected canonical JSON (sorted names, no spaces)")
    if fields["spec"] != 1:
        raise ParseError("expected spec 1; a newer agent is needed for another")
    issued, expires = _number(fields, "issued"), _number(fields, "expires")
    if expires <= issued:
        raise ParseError(f"expected it to expire after it was issued, at {issued}, got {expires}")
    return TrustDocument(
        version=_number(fields, "version"),
        issued_s=issued,
        expires_s=expires,
        root=_role("root", fields["root"]),
        purposes=_purposes(fields["purposes"]),
    )


def key_id(public_key: bytes) -> str:
    """The name of a key: SHA-256 of its 32 raw bytes in hex."""
    return hashlib.sha256(public_key).hexdigest()


def _plain(role: Role) -> dict[str, Json]:
    keys: list[Json] = [*sorted(key.hex() for key in role.keys.values())]
    plain: dict[str, Json] = {"keys": keys, "threshold": role.threshold}
    if not role.grants.keys() <= role.keys.keys():
        raise ParseError("expected grants for the keys of the role alone")
    if role.grants:
        plain["grants"] = {
            role.keys[keyid].hex(): {"groups": _sorted(grant.groups), "verbs": _sorted(grant.verbs)}
            for keyid, grant in role.grants.items()
        }
    return plain


def _sorted(words: frozenset[str]) -> list[Json]:
    return [*sorted(words)]


def _purposes(value: Json) -> dict[str, Role]:
    roles = _object(value, "purposes")
    if len(roles) > MAX_PURPOSES:
        raise ParseError(f"expected at most {MAX_PURPOSES} purposes, got {len(roles)}")
    for name in roles:
        if not _PURPOSE.fullmatch(name):
            raise ParseError(f"expected purposes of small letters and hyphens, got {name[:64]!a}")
    return {name: _role(name, role) for name, role in roles.items()}


def _role(name: str, value: Json) -> Role:
    fields = _object(value, name)
    optional = {"grants"} if name == OPERATORS else set()
    if fields.keys() - optional != {"keys", "threshold"}:
        raise ParseError(f"{name}: expected keys and threshold, got {sorted(fields)[:16]}")
    keys = fields["keys"]
    if not isinstance(keys, list) or not 1 <= len(keys) <= MAX_KEYS:
        raise ParseError(f"{name}: expected 1 to {MAX_KEYS} keys")
    raw = [_key(name, key) for key in keys]
    if len(set(raw)) < len(raw):
        raise ParseError(f"{name}: expected each key once, got one twice")
    threshold = _number(fields, "threshold")
    if threshold > len(raw):
        raise ParseError(f"{name}: expected a threshold from 1 to {len(raw)}, got {threshold}")
    grants = _grants(fields["grants"], raw) if "grants" in fields else {}
    return Role({key_id(key): key for key in raw}, threshold, grants)


def _grants(value: Json, keys: list[bytes]) -> dict[str, Grant]:
    grants = _object(value, "grants")
    if not grants or not grants.keys() <= {key.hex() for key in keys}:
        raise ParseError(f"expected grants for keys of {OPERATORS}, one at least")
    return {key_id(bytes.fromhex(key)): _grant(grant) for key, grant in grants.items()}


def _grant(value: Json) -> Grant:
    fields = _object(value, "a grant")
    if fields.keys() != {"groups", "verbs"}:
        raise ParseError(f"expected a grant of groups and verbs, got {sorted(fields)[:16]}")
    verbs, groups = _words(fields, "verbs"), _words(fields, "groups")
    for verb in verbs:
        if not _VERB.fullmatch(verb):
            raise ParseError(f"expected verbs of small letters, got {quoted(verb)}")
    for group in groups:
        if group != EVERY_GROUP and not topics.is_segment(group):
            raise ParseError(f'expected groups as topics have them, or "*", got {quoted(group)}')
    return Grant(frozenset(verbs), frozenset(groups))


def _words(fields: dict[str, Json], name: str) -> list[str]:
    value = fields[name]
    words = [word for word in value if isinstance(word, str)] if isinstance(value, list) else []
    if not isinstance(value, list) or len(words) < len(value) or words != sorted(set(words)):
        raise ParseError(f"expected {name} as a sorted list of texts, each once")
    if not 1 <= len(words) <= MAX_GRANTED:
        raise ParseError(f"expected 1 to {MAX_GRANTED} {name}, got {len(words)}")
    return words


def _key(name: str, value: Json) -> bytes:
    if not isinstance(value, str) or not _KEY.fullmatch(value):
        raise ParseError(f"{name}: expected keys of 64 small hex digits")
    return bytes.fromhex(value)


def _number(fields: dict[str, Json], name: str) -> int:
    value = fields[name]
    if type(value) is not int or not 1 <= value <= _MAX_NUMBER:
        raise ParseError(f"expected {name} to be a whole number from 1")
    return value


def _object(value: Json, what: str) -> dict[str, Json]:
    if not isinstance(value, dict):
        raise ParseError(f"expected {what} to be a JSON object, got {type(value).__name__}")
    return value
