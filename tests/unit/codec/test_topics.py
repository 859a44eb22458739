from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette.codec import topics
from vedette.codec.topics import Topic
from vedette.errors import ParseError

SUFFIXES = ("state", "birth", "up/finding", "up/update", "up/evidence", "up/receipt", "down/cmd")
BAD_SEGMENTS = ("", "a/b", "+", "#", "A", "-a", "a-", "ä", "a" * 65, "a\n", "a b")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_is_built_is_read_back(suffix: str) -> None:
    text = topics.build("acme", "cam-7", suffix)
    assert text == f"fleet/v1/acme/cam-7/{suffix}"
    assert topics.parse(text) == Topic("acme", "cam-7", suffix)
    assert text.count("/") <= 7


@pytest.mark.parametrize("name", BAD_SEGMENTS)
def test_no_wildcard_and_no_separator_gets_into_a_topic(name: str) -> None:
    with pytest.raises(ValueError, match="expected a tenant"):
        topics.build(name, "d", "state")
    with pytest.raises(ValueError, match="expected a device"):
        topics.build("t", name, "state")
    with pytest.raises(ParseError):
        topics.parse(f"fleet/v1/t/{name}/state")


@pytest.mark.parametrize("suffix", ["", "up", "up/#", "up/finding/x", "State", "down/", "down/A"])
def test_an_unknown_suffix_is_refused_both_ways(suffix: str) -> None:
    with pytest.raises(ValueError, match="expected a suffix"):
        topics.build("t", "d", suffix)
    with pytest.raises(ParseError):
        topics.parse(f"fleet/v1/t/d/{suffix}")


@given(st.text(max_size=80) | st.text("fletv1/abc+#-", max_size=40).map("fleet/v1/".__add__))
def test_any_text_gives_a_topic_or_a_parse_error(text: str) -> None:
    with contextlib.suppress(ParseError):
        found = topics.parse(text)
        assert topics.build(*found) == text


def test_no_device_is_named_as_what_groups_hear() -> None:
    device = topics.for_commands("acme", "cam-7", is_group=False)
    group = topics.for_commands("acme", "cameras", is_group=True)
    assert device == "fleet/v1/acme/cam-7/down/cmd"
    assert group == "fleet/v1/acme/_group/cameras/down/cmd"
    with pytest.raises(ParseError):
        topics.parse(group)
    for name in BAD_SEGMENTS:
        with pytest.raises(ValueError, match="expected"):
            topics.for_commands("acme", name, is_group=True)


def test_subscriptions_cover_what_devices_say_and_no_commands() -> None:
    assert topics.subscriptions("acme") == (
        "fleet/v1/acme/+/up/#",
        "fleet/v1/acme/+/state",
        "fleet/v1/acme/+/birth",
    )
