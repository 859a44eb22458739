"""The record of a firmware comes back as it was kept, or is refused."""

from __future__ import annotations

import contextlib
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.simulators.images import firmware, image

from vedette.codec.firmware_record import decode, encode
from vedette.errors import ParseError
from vedette.model.firmware import FirmwareRecord, FirmwareState, Running
from vedette.model.update import Cause

RELEASE = firmware(image(1, 9000), 7, late_rollback_s=60)
RECORD = FirmwareRecord(
    state=FirmwareState.TRIAL, is_done=False, release=RELEASE, slot="b", before_slot="a",
    before=Running("cam", "6.0", 6), running=Running("cam", "6.0", 6), boot_id="some-boot",
    marked_bytes=2**32 + 4096, window_left_s=90, failed_sha256="ab" * 32, cause=Cause.HEALTH,
    reason="ä because", counted_s=12,
)  # fmt: skip


@pytest.mark.parametrize("state", FirmwareState)
def test_it_comes_back_in_every_state(state: FirmwareState) -> None:
    record = replace(RECORD, state=state)
    assert decode(encode(record)) == record


def test_that_of_a_new_device_comes_back() -> None:
    assert decode(encode(FirmwareRecord())) == FirmwareRecord()


def altered(**given: Any) -> str:
    return json.dumps({**json.loads(encode(RECORD)), **given})


@pytest.mark.parametrize(
    "text",
    [
        "", "{}", "[]", encode(RECORD)[:-1], altered(format=2), altered(state="gone"),
        altered(is_done=1), altered(more=1), altered(release=None), altered(release=[1, 2, 3, 4]),
        altered(release=["../x", 1, "a", {}]), altered(slot=3), altered(slot="x" * 2000),
        altered(marked_bytes=-1), altered(marked_bytes=True), altered(window_left_s=2**53),
        altered(failed_sha256="zz"), altered(cause="bad luck"),
        altered(counted_s="1"), altered(running=["a", "b", -1]), altered(before=["a", "b"]),
        altered(running=["a", "b", 1.5]),
    ],
)  # fmt: skip
def test_what_is_none_is_refused(text: str) -> None:
    with pytest.raises(ParseError):
        decode(text)


@given(st.text(max_size=200))
def test_any_text_is_a_record_or_a_parse_error(text: str) -> None:
    with contextlib.suppress(ParseError):
        decode(text)
