"""Which firmware /etc/os-release names."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette.codec.os_release import MAX_CHARS, firmware_of
from vedette.codec.text import escape

FILES = {
    'PRETTY_NAME="Debian GNU/Linux 12"\nID=debian\nVERSION_ID="12"\n': "debian 12",
    "ID=debian\nVERSION_ID=12\nIMAGE_ID=cam-os\nIMAGE_VERSION='2.4'\n": "cam-os 2.4",
    "ID=arch\nBUILD_ID=rolling\n": "arch rolling",
    "# ID=x\nID=openwrt\n": "openwrt",
    'ID="open\nVERSION_ID=3\n': "3",
    "": "",
    'ID="a\x1b[2Jb"\nVERSION_ID="1"\n': "a\\e[2Jb 1",
}


@pytest.mark.parametrize(("content", "firmware"), FILES.items())
def test_names(content: str, firmware: str) -> None:
    assert firmware_of(content) == firmware


@given(st.text(max_size=200))
def test_any_text_gives_a_name_that_a_person_can_read(content: str) -> None:
    for text in (content, f'ID="{content}"'):
        found = firmware_of(text)
        assert len(found) <= MAX_CHARS
        assert escape(found) == found
