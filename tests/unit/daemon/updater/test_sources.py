"""Where releases come from: a place that cannot be used is refused without showing a secret."""

from __future__ import annotations

import pytest

from vedette.daemon.updater.sources import folder_of, places
from vedette.errors import ConfigError


@pytest.mark.parametrize("place", ["http://127.0.0.1/repo", "https://updates.example:8443"])
def test_a_server_is_no_folder(place: str) -> None:
    assert folder_of(place) is None
    assert places(place + "/") == (f"{place}/metadata", f"{place}/targets")


@pytest.mark.parametrize("place", ["/media/stick", "file:///media/stick"])
def test_a_folder_is_one_however_it_is_written(place: str) -> None:
    assert str(folder_of(place)) == "/media/stick"


@pytest.mark.parametrize("place", ["https://joe:hunter2@updates.example/", "http://hunter2@h/"])
def test_a_secret_in_a_url_is_refused_and_not_repeated(place: str) -> None:
    with pytest.raises(ConfigError, match="without a user or password") as raised:
        places(place)
    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize(
    "place", ["ftp://updates.example/", "relative/path", "http://[::1", "https://"]
)
def test_what_is_neither_is_refused(place: str) -> None:
    with pytest.raises(ConfigError, match="expected a URL"):
        folder_of(place)
