"""One update as the schedule sees it: what went as it should leaves a mark, what failed none."""

from __future__ import annotations

import dataclasses
import socket
from pathlib import Path

import pytest

from vedette.daemon import update_run
from vedette.daemon.config import Config, Paths
from vedette.daemon.update_options import Updates
from vedette.daemon.update_run import Wanted
from vedette.errors import RequestError


@pytest.fixture
def config(tmp_path: Path) -> Config:
    (tmp_path / "source").mkdir()
    return dataclasses.replace(
        Config(),
        paths=Paths(str(tmp_path / "state"), str(tmp_path)),
        updates=Updates(enabled=True, source=str(tmp_path / "source"), user=""),
    )


@pytest.mark.parametrize("code", [0, 1])
def test_only_an_update_that_went_as_it_should_counts_as_a_look(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def install(_path: Path, _wanted: Wanted, link: socket.socket, _on_line: object) -> int:
        link.close()
        return code

    # The installer is another program; what it does is tests/system/test_release_demo.py's.
    monkeypatch.setattr(update_run, "_install", install)
    assert update_run.run(config, tmp_path / "vedette.toml", Wanted("schedule"), print) == code
    assert config.update_reached.exists() == (code == 0)


def test_without_a_source_there_is_nothing_to_look_at(config: Config, tmp_path: Path) -> None:
    bare = dataclasses.replace(config, updates=Updates(enabled=True, source=""))
    with pytest.raises(RequestError, match="no source of releases"):
        update_run.run(bare, tmp_path / "vedette.toml", Wanted("schedule"), print)
    assert not config.update_reached.exists()
