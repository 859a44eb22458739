"""Signed notes against the example of golang.org/x/mod/sumdb/note, then whole, cut and hostile."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette.codec import note
from vedette.codec.merkle import Frontier, leaf_hash
from vedette.errors import ParseError
from vedette.trust.ed25519 import Ed25519Verifier

GO_TEXT = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
)
GO_NOTE = (
    GO_TEXT + "\n\u2014 PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZ"
    "SNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
).encode()
GO_KEY = base64.b64decode("ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW")[1:]

FRONTIER = Frontier().appended(leaf_hash(b"%d" % number) for number in range(11))
CHECKPOINT = note.frontier_checkpoint("vedette/device/1", FRONTIER)


def test_the_note_of_go_is_read_and_its_signature_holds() -> None:
    text, (signature,) = note.decode_note(GO_NOTE)
    assert text == GO_TEXT
    assert signature.name == "PeterNeumann"
    assert signature.key_hash == note.key_hash("PeterNeumann", GO_KEY)
    assert signature.key_hash.hex() == "c74f20a3"
    assert Ed25519Verifier().verify(GO_KEY, signature.signature, text.encode())
    assert note.encode_note(text, [signature]) == GO_NOTE


def test_truncated_at_every_byte_and_with_a_tail() -> None:
    for size in range(len(GO_NOTE)):
        with pytest.raises(ParseError):
            note.decode_note(GO_NOTE[:size])
    for tail in (b"x", b"\n", b"\n\n"):
        with pytest.raises(ParseError):
            note.decode_note(GO_NOTE + tail)


HOSTILE = {
    "no signature": b"text\n\n",
    "a carriage return": GO_NOTE.replace(b"problem,\n", b"problem,\r\n"),
    "an escape": GO_NOTE.replace(b"problem,", b"\x1b[2J"),
    "a hyphen for the dash": GO_NOTE.replace("\u2014".encode(), b"-"),
    "a name with a plus": GO_NOTE.replace(b"PeterNeumann", b"Peter+Neumann"),
    "a signature of another length": GO_NOTE.replace(b"JnAM=", b""),
    "stray bits at the end of base64": GO_NOTE.replace(b"JnAM=", b"JnAN="),
    "not UTF-8": GO_NOTE.replace(b"think", b"th\xffnk"),
    "17 signatures": GO_NOTE + GO_NOTE.split(b"\n\n")[1] * 16,
    "20 KB": b"a" * 20_000 + GO_NOTE,
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_note_is_refused(data: bytes) -> None:
    with pytest.raises(ParseError):
        note.decode_note(data)


@pytest.mark.parametrize("text", ["no line feed", "a\x00b\n", ""])
def test_a_text_that_would_not_be_read_back_is_not_written(text: str) -> None:
    _, (signature,) = note.decode_note(GO_NOTE)
    with pytest.raises(ParseError):
        note.encode_note(text, [signature])


def test_a_frontier_goes_through_a_checkpoint() -> None:
    checkpoint = note.parse_checkpoint(note.checkpoint_text(CHECKPOINT))
    assert checkpoint == CHECKPOINT
    assert checkpoint.size == 11
    assert note.parse_frontier(checkpoint) == FRONTIER


def test_a_checkpoint_without_extensions_is_the_standard_one() -> None:
    root = leaf_hash(b"")
    text = note.checkpoint_text(note.Checkpoint("example.com/log", 1, root))
    assert text == f"example.com/log\n1\n{base64.b64encode(root).decode()}\n"
    assert note.parse_checkpoint(text) == ("example.com/log", 1, root, ())


def test_hashes_that_do_not_give_the_root_are_refused() -> None:
    for wrong in (
        CHECKPOINT._replace(root=leaf_hash(b"other")),
        CHECKPOINT._replace(extensions=CHECKPOINT.extensions[1:]),
        CHECKPOINT._replace(extensions=CHECKPOINT.extensions[::-1]),
        CHECKPOINT._replace(size=12),
    ):
        with pytest.raises(ParseError):
            note.parse_frontier(wrong)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "o\n",
        "o\n1\n",
        "o\n01\nAAAA\n",
        "o\n-1\nAAAA\n",
        "o\n1\nAAAA\n",
        "\n1\nAAAA\n",
        "o\n1\nÄ\n",
    ],
)
def test_hostile_checkpoint_is_refused(text: str) -> None:
    with pytest.raises(ParseError):
        note.parse_checkpoint(text)


@given(st.binary(max_size=200) | st.text(max_size=100).map(str.encode))
def test_any_bytes_give_a_note_or_a_parse_error(data: bytes) -> None:
    try:
        note.decode_note(data)
    except ParseError:
        return


@given(st.text(max_size=100))
def test_any_text_gives_a_checkpoint_or_a_parse_error(text: str) -> None:
    try:
        note.parse_frontier(note.parse_checkpoint(text))
    except ParseError:
        return
