from __future__ import annotations

import pytest

from vedette.errors import ConfigError
from vedette.uplink.settings import UplinkSettings, from_json, to_json

SETTINGS = UplinkSettings(socket="/run/x.sock", host="broker.example", keepalive_s=30)


def test_settings_are_read_back_as_they_were() -> None:
    assert from_json(to_json(SETTINGS)) == SETTINGS


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"[]", "expected a JSON object"),
        (b"{", "expected JSON"),
        (b'{"socket":"a","host":"b","prot":1}', "there is no 'prot'"),
        (b'{"socket":"a","host":"b","port":"8883"}', "expected int as port"),
        (b'{"socket":"a","host":"b","port":true}', "expected int as port"),
        (b'{"socket":"a"}', "host"),
    ],
)
def test_what_is_wrong_is_named(data: bytes, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        from_json(data)
