"""RAUC's status: what we need of it, or a ParseError."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette.codec.rauc_status import RaucSlot, RaucStatus, decode
from vedette.errors import ParseError

# As RAUC 1.8 printed it, shortened.
SAID = (
    '{"compatible":"t","variant":"","booted":"A","boot_primary":"rootfs.1","slots":[{"rootfs.1":'
    '{"class":"rootfs","device":"/dev/b","type":"raw","bootname":"B","state":"inactive","parent":'
    'null,"mountpoint":null,"boot_status":"good"}},{"rootfs.0":{"class":"rootfs","device":"/dev/a"'
    ',"bootname":"A","state":"booted","boot_status":"bad"}},{"data.0":{"bootname":null}}]}'
)


def test_slots_with_a_bootname_are_read() -> None:
    slots = (RaucSlot("rootfs.0", "A", is_good=False), RaucSlot("rootfs.1", "B", is_good=True))
    assert decode(SAID) == RaucStatus("A", "B", slots)


def changed(**given: Any) -> str:
    return json.dumps({**json.loads(SAID), **given})


def test_an_unknown_primary_is_none() -> None:
    assert decode(changed(boot_primary=None)).primary == ""
    assert decode(changed(boot_primary="rootfs.7")).primary == ""


@pytest.mark.parametrize(
    "text",
    [
        "", "[]", "{}", "rauc-Message: no", changed(booted="C"), changed(booted=None),
        changed(slots={}), changed(slots=[1]), changed(slots=[{"a": 1}]), SAID[:-1], SAID + "}",
    ],
)  # fmt: skip
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ParseError):
        decode(text)


@given(st.text(max_size=300))
def test_any_text_is_a_status_or_a_parse_error(text: str) -> None:
    with contextlib.suppress(ParseError):
        decode(text)
