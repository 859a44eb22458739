"""What the sentinel has to do with updates: nothing, unless the device takes releases."""

from __future__ import annotations

import asyncio
import dataclasses
from pathlib import Path
from typing import Any

import pytest
from tests.simulators.interpreter import run

from vedette.daemon import update_request
from vedette.daemon.config import Config, Paths
from vedette.daemon.update_options import Updates
from vedette.daemon.update_request import UpdateRequest
from vedette.daemon.updating import Updating


class Device:
    """Whoever keeps the agent takes what is asked for when it is woken."""

    def __init__(self, folder: Path, *, takes_releases: bool) -> None:
        updates = Updates(enabled=takes_releases, source="/srv/repository", every_m=0)
        paths = Paths(str(folder), str(folder))
        self.config = dataclasses.replace(Config(), paths=paths, updates=updates)
        self.taken: list[UpdateRequest | None] = []
        self.updating = Updating(self.config, self.report, self.wake)

    def wake(self) -> bool:
        self.taken.append(update_request.take(self.config.update_request))
        return True

    def report(self, *told: Any) -> None:
        pytest.fail(f"expected nothing to be told, got {told}")


def test_a_device_that_takes_no_releases_asks_for_none_and_says_why(tmp_path: Path) -> None:
    device = Device(tmp_path, takes_releases=False)
    asyncio.run(device.updating.run())
    for rollback in ("", "firmware"):
        assert "[updates]" in asyncio.run(device.updating.ask("operator:x:1", rollback))
    assert device.taken == []
    assert list(tmp_path.iterdir()) == []


def test_its_start_its_operators_and_a_way_back_are_asked_for(tmp_path: Path) -> None:
    device = Device(tmp_path, takes_releases=True)
    device.updating._scheduled()._taken_s = 0.06  # looked at once a millisecond, not once a second
    asyncio.run(device.updating.run())
    by = "operator:0123456789abcdef:7"
    assert asyncio.run(device.updating.ask(by, "")) == ""
    assert asyncio.run(device.updating.ask(by, "rules")) == ""
    assert device.taken == [
        UpdateRequest("boot"), UpdateRequest(by, is_now=True), UpdateRequest(by, rollback="rules")
    ]  # fmt: skip


def test_what_asks_is_loaded_where_releases_are_taken_alone() -> None:
    found = run(
        "import asyncio, dataclasses, json\n"
        "from vedette.daemon.config import Config\n"
        "from vedette.daemon.updating import Updating\n"
        "updating = Updating(Config(), print, bool)\n"
        "asyncio.run(updating.run())\n"
        "said = asyncio.run(updating.ask('control', ''))\n"
        "print(json.dumps([bool(said), 'vedette.daemon.update_schedule' in sys.modules]))"
    )
    assert found == [True, False]
