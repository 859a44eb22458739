"""A command's bytes: read back, truncated, with a tail, hostile."""

from __future__ import annotations

import contextlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.simulators.operators import ALICE, BOB, CAMERAS, HERE, unsigned

from vedette.codec import command as codec
from vedette.errors import ParseError
from vedette.model.command import Approval, Audience, Command
from vedette.trust.approval import approve

PATH = b"/tmp/\xff x".decode("utf-8", "surrogateescape")
ONE = approve(unsigned("quarantine", arguments={"path": PATH, "sha256": ""}), ALICE, 7)
TWO = approve(approve(unsigned("isolate", CAMERAS), ALICE, 8), BOB, 1)
WHOLE = codec.encode(TWO)


@pytest.mark.parametrize("command", [ONE, TWO])
def test_what_is_encoded_is_decoded(command: Command) -> None:
    assert codec.decode(codec.encode(command)) == command


def test_truncated_at_every_byte_and_with_a_tail() -> None:
    for size in range(len(WHOLE)):
        with pytest.raises(ParseError):
            codec.decode(WHOLE[:size])
    for tail in (b"\0", b"\0\0\0\0", WHOLE):
        with pytest.raises(ParseError):
            codec.decode(WHOLE + tail)


APPROVAL = TWO.approvals[0]
UNWRITTEN = {
    "a verb of two words": replace(TWO, verb="isolate now"),
    "a device with a wildcard": replace(TWO, audience=Audience("acme", is_group=False, name="+")),
    "a tenant in capitals": replace(TWO, audience=Audience("ACME", is_group=False, name="cam-7")),
    "that expired when it was issued": replace(TWO, expires_s=TWO.issued_s),
    "issued before 1970": replace(TWO, issued_s=-1),
    "that expires after the sun": replace(TWO, expires_s=2**53),
    "without an approval": replace(TWO, approvals=()),
    "approved twice by one key": replace(TWO, approvals=(APPROVAL, APPROVAL)),
    "with approvals the wrong way round": replace(TWO, approvals=TWO.approvals[::-1]),
    "with half a signature": replace(TWO, approvals=(APPROVAL._replace(signature=bytes(32)),)),
    "with number 0": replace(TWO, approvals=(APPROVAL._replace(number=0),)),
    "with a short key id": replace(TWO, approvals=(APPROVAL._replace(key_id="ab"),)),
    "with five approvals": replace(
        TWO, approvals=tuple(Approval(f"{n:064x}", 1, bytes(64)) for n in range(5))
    ),
    "with 17 arguments": replace(TWO, arguments={f"a{n:02}": "" for n in range(17)}),
    "with NUL in an argument": replace(TWO, arguments={"path": "/tmp/a\0b"}),
    "with an argument named by a digit": replace(TWO, arguments={"1": ""}),
    "with a path beyond all paths": replace(TWO, arguments={"path": "x" * 4097}),
}


@pytest.mark.parametrize("command", UNWRITTEN.values(), ids=UNWRITTEN.keys())
def test_a_command_that_could_not_be_read_is_not_written(command: Command) -> None:
    with pytest.raises(ParseError):
        codec.encode(command)


def test_another_purpose_is_refused() -> None:
    with pytest.raises(ParseError, match="begins with vedette/v1/command"):
        codec.decode(WHOLE.replace(b"v1/command", b"v1/receipt"))


def test_more_than_a_frame_holds_is_refused_unread() -> None:
    with pytest.raises(ParseError, match="at most 16384 bytes"):
        codec.decode(bytes(codec.MAX_BYTES + 1))


SIGNED = {
    "the verb": replace(ONE, verb="kill"),
    "the device": replace(ONE, audience=HERE._replace(name="cam-8")),
    "the tenant": replace(ONE, audience=HERE._replace(tenant="other")),
    "a group of the same name": replace(ONE, audience=HERE._replace(is_group=True)),
    "an argument's value": replace(ONE, arguments={"path": "/etc", "sha256": ""}),
    "an argument's name": replace(ONE, arguments={"pathsha256": "", "x": PATH}),
    "an argument left out": replace(ONE, arguments={"path": PATH}),
    "the time of issue": replace(ONE, issued_s=ONE.issued_s + 1),
    "the time it expires": replace(ONE, expires_s=ONE.expires_s + 1),
}


@pytest.mark.parametrize("changed", SIGNED.values(), ids=SIGNED.keys())
def test_the_signature_covers(changed: Command) -> None:
    key_id = ONE.approvals[0].key_id
    assert codec.signed_bytes(changed, key_id, 7) != codec.signed_bytes(ONE, key_id, 7)


def test_the_signature_covers_whose_it_is_and_its_number_and_nothing_of_the_others() -> None:
    first, second = (approval.key_id for approval in TWO.approvals)
    assert codec.signed_bytes(TWO, first, 1) != codec.signed_bytes(TWO, second, 1)
    assert codec.signed_bytes(TWO, first, 1) != codec.signed_bytes(TWO, first, 2)
    alone = replace(TWO, approvals=TWO.approvals[:1])
    assert codec.signed_bytes(TWO, first, 1) == codec.signed_bytes(alone, first, 1)


@given(st.binary(max_size=400))
def test_any_bytes_give_a_command_or_a_parse_error(data: bytes) -> None:
    with contextlib.suppress(ParseError):
        assert codec.encode(codec.decode(data)) == data


@given(st.integers(0, len(WHOLE) - 1), st.binary(max_size=5))
def test_any_change_gives_the_one_encoding_of_a_command_or_a_parse_error(
    position: int, patch: bytes
) -> None:
    data = WHOLE[:position] + patch + WHOLE[position + len(patch) :]
    with contextlib.suppress(ParseError):
        assert codec.encode(codec.decode(data)) == data
