"""What `vedette enroll` wrote about a device goes before the configuration of all devices."""

from __future__ import annotations

from pathlib import Path

import pytest

from vedette.daemon import config, enrolled
from vedette.errors import ConfigError

BASE = '[device]\nid = "base"\nclass = "camera"\n[uplink]\nport = 8884\nkeepalive_s = 30\n'
OWN = (
    '[device]\nid = "own"\ngroups = ["lobby"]\n'
    '[uplink]\nhost = "broker.example"\nca = "/etc/ca.pem"\n[updates]\nsource = "/srv/releases"\n'
)


def load(folder: Path, base: str, own: str | None) -> config.Config:
    path = folder / "vedette.toml"
    path.write_text(base)
    if own is not None:
        (folder / "enrolled.toml").write_text(own)
    return config.load(path)


def test_without_it_the_configuration_stands_as_it_is(tmp_path: Path) -> None:
    assert load(tmp_path, BASE, None) == config.parse(BASE, "v.toml")


def test_its_keys_go_before_and_the_others_stay(tmp_path: Path) -> None:
    found = load(tmp_path, BASE, OWN)
    assert (found.device.id, found.device.class_, found.device.groups) == (
        "own", "camera", ("lobby",),
    )  # fmt: skip
    assert (found.uplink.host, found.uplink.port, found.uplink.keepalive_s) == (
        "broker.example", 8884, 30,
    )  # fmt: skip
    assert found.uplink.enabled
    assert found.updates.enabled


def test_a_broker_that_is_waited_for_is_not_connected_to(tmp_path: Path) -> None:
    assert not load(tmp_path, BASE, OWN.replace("host", "enabled = false\nhost")).uplink.enabled


def test_the_configuration_has_the_last_word_about_enabled(tmp_path: Path) -> None:
    off = BASE + "enabled = false\n[updates]\nenabled = false\n"
    found = load(tmp_path, off, OWN)
    assert found.uplink.host == "broker.example"
    assert not found.uplink.enabled
    assert not found.updates.enabled


MISTAKES = {
    "a mistake is told with its own file and line": (
        '[device]\nid = "Own"\n',
        "enrolled.toml:2:1: [device] id: expected 1 to 64 characters a-z",
    ),
    "a key that only the configuration may have": (
        '[uplink]\nhost = "127.0.0.1"\nuser = "root"\n',
        "enrolled.toml: [uplink] user: expected enabled, host, port, ca, certificate, key",
    ),
    "a table that only the configuration may have": (
        '[models.runners.x]\nargv = ["/bin/sh"]\n',
        "enrolled.toml: [models]: expected [device], [uplink], [updates]",
    ),
}


@pytest.mark.parametrize(("own", "expected"), MISTAKES.values(), ids=MISTAKES)
def test_mistakes_are_named(tmp_path: Path, own: str, expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, BASE, own)
    assert expected in str(caught.value)


def test_what_is_rendered_is_read_back(tmp_path: Path) -> None:
    tables = {"device": {"id": "own", "groups": ["a", "b"]}, "uplink": {}, "updates": {}}
    text = enrolled.render(tables)
    found = load(tmp_path, "", text)
    assert found.device.id == "own"
    assert found.device.groups == ("a", "b")
