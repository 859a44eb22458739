"""The trust document's payload: read back, truncated, hostile."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette.codec import trust_document as codec
from vedette.errors import ParseError
from vedette.model.trust import EVERY_GROUP, Grant, Role, TrustDocument

KEYS = [bytes([number]) * 32 for number in range(1, 20)]


def role(*keys: bytes, threshold: int = 1) -> Role:
    return Role({codec.key_id(key): key for key in keys}, threshold)


DOCUMENT = TrustDocument(
    version=3,
    issued_s=1_800_000_000,
    expires_s=1_900_000_000,
    root=role(KEYS[0], KEYS[1], KEYS[2], threshold=2),
    purposes={
        "rules": role(KEYS[3]),
        "a-later-purpose": role(KEYS[4]),
        "operators": Role(
            role(KEYS[7], KEYS[8]).keys,
            1,
            {
                codec.key_id(KEYS[7]): Grant(
                    frozenset({"isolate", "reflash"}), frozenset({EVERY_GROUP})
                ),
                codec.key_id(KEYS[8]): Grant(frozenset({"kill"}), frozenset({"cameras", "site-3"})),
            },
        ),
    },
)
WHOLE = codec.encode(DOCUMENT)


def test_what_is_encoded_is_decoded() -> None:
    assert codec.decode(WHOLE) == DOCUMENT


def test_truncated_at_every_byte_and_with_a_tail() -> None:
    for size in range(len(WHOLE)):
        with pytest.raises(ParseError):
            codec.decode(WHOLE[:size])
    for tail in (b" ", b"\n", b"x"):
        with pytest.raises(ParseError):
            codec.decode(WHOLE + tail)


def changed(path: str, value: Any) -> bytes:
    """The document with one member set (or, for None, left out)."""
    document = json.loads(WHOLE)
    *parents, last = path.split(".")
    place = document
    for name in parents:
        place = place[name]
    if value is None:
        del place[last]
    else:
        place[last] = value
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


HEX = KEYS[5].hex()
HOSTILE = {
    "a threshold of 0": changed("root.threshold", 0),
    "a negative threshold": changed("root.threshold", -1),
    "more than there are keys": changed("root.threshold", 4),
    "a threshold of True": changed("root.threshold", True),
    "a threshold of 1.0": changed("root.threshold", 1.0),
    "a threshold in a string": changed("purposes.rules.threshold", "1"),
    "a purpose with threshold 0": changed("purposes.rules.threshold", 0),
    "the same key twice": changed("root.keys", [HEX, HEX]),
    "the same key in capitals": changed("root.keys", [HEX, KEYS[6].hex().replace("0", "A")]),
    "no root key": changed("root.keys", []),
    "17 root keys": changed("root.keys", [key.hex() for key in KEYS[:17]]),
    "a key of 31 bytes": changed("root.keys", [HEX[2:]]),
    "a key that is a number": changed("root.keys", [1]),
    "keys that are text": changed("root.keys", HEX),
    "a key with a line feed": changed("root.keys", [HEX + "\n"]),
    "no root": changed("root", None),
    "a member nobody knows": changed("surprise", 1),
    "a role member nobody knows": changed("root.surprise", 1),
    "no expiry": changed("expires", None),
    "expires before it was issued": changed("expires", 1),
    "version 0": changed("version", 0),
    "version of a million digits": WHOLE.replace(b'"version":3', b'"version":' + b"9" * 100_000),
    "version 2**53": changed("version", 2**53),
    "another spec": changed("spec", 2),
    "a purpose with a dot": changed("purposes", {"ru.les": json.loads(WHOLE)["root"]}),
    "33 purposes": changed(
        "purposes", {"p" + "x" * i: {"keys": [HEX], "threshold": 1} for i in range(33)}
    ),
    "grants for another purpose": changed(
        "purposes.rules.grants", {KEYS[3].hex(): {"groups": ["*"], "verbs": ["kill"]}}
    ),
    "a grant for a key that is none of theirs": changed(
        "purposes.operators.grants", {HEX: {"groups": ["*"], "verbs": ["kill"]}}
    ),
    "no grants, written": changed("purposes.operators.grants", {}),
    "a grant without groups": changed(
        "purposes.operators.grants", {KEYS[7].hex(): {"verbs": ["kill"]}}
    ),
    "a grant of no verb": changed(
        "purposes.operators.grants", {KEYS[7].hex(): {"groups": ["*"], "verbs": []}}
    ),
    "verbs out of order": changed(
        "purposes.operators.grants", {KEYS[7].hex(): {"groups": ["*"], "verbs": ["undo", "kill"]}}
    ),
    "a verb that is a number": changed(
        "purposes.operators.grants", {KEYS[7].hex(): {"groups": ["*"], "verbs": [1]}}
    ),
    "a verb of two words": changed(
        "purposes.operators.grants", {KEYS[7].hex(): {"groups": ["*"], "verbs": ["a b"]}}
    ),
    "a group that is a wildcard of topics": changed(
        "purposes.operators.grants", {KEYS[7].hex(): {"groups": ["+"], "verbs": ["kill"]}}
    ),
    "purposes as a list": changed("purposes", []),
    "not an object": b"[]",
    "with spaces": json.dumps(json.loads(WHOLE), sort_keys=True).encode(),
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_document_is_refused(data: bytes) -> None:
    with pytest.raises(ParseError):
        codec.decode(data)


def test_a_document_that_could_not_be_read_is_not_written() -> None:
    with pytest.raises(ParseError, match="threshold"):
        codec.encode(TrustDocument(1, 1, 2, role(KEYS[0], threshold=2), {}))


@given(st.binary(max_size=200))
def test_any_bytes_give_a_document_or_a_parse_error(data: bytes) -> None:
    try:
        codec.decode(data)
    except ParseError:
        return


@given(st.integers(0, len(WHOLE) - 1), st.binary(max_size=3))
def test_any_change_gives_a_canonical_document_or_a_parse_error(
    position: int, patch: bytes
) -> None:
    data = WHOLE[:position] + patch + WHOLE[position + len(patch) :]
    try:
        document = codec.decode(data)
    except ParseError:
        return
    assert 1 <= document.root.threshold <= len(document.root.keys)
