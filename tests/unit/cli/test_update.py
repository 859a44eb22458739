"""`vedette update run --by-request`, as a service manager starts it."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import pytest

from vedette.cli import update
from vedette.daemon import update_run
from vedette.daemon.config import Config


def test_it_is_announced_before_it_touches_the_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sentinel tells of everybody else who writes in its run folder as of an intruder."""
    (tmp_path / "run").mkdir()
    file = tmp_path / "vedette.toml"
    file.write_text(f'[paths]\nstate = "{tmp_path}/state"\nrun = "{tmp_path}/run"\n')
    request = tmp_path / "run/update.request"
    request.write_text("nothing that anybody asked for\n")
    seen: list[tuple[int, bool]] = []

    def announce(_config: Config, _by: str, pid: int) -> None:
        seen.append((pid, request.exists()))

    monkeypatch.setattr(update_run, "announce", announce)
    given = argparse.Namespace(by_request=True, config=file, by="control", now=False)
    assert update.begin_run(given) == 0
    assert seen == [(os.getpid(), True)]
    assert not request.exists()
