"""The whole agent denies an execution on a file system of the test's own, and tells of it."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.simulators.exec_theatre import DEADLINE_S, refusal, runs
from tests.simulators.mounts import PrivateMount
from tests.system._site import Running, Site

from vedette.model.response import FileTarget, Mode, Order, Outcome, ResponseStatus
from vedette.ports.responder import ResponderContext
from vedette.responses.deny_exec import DenyExec

pytestmark = [pytest.mark.system, pytest.mark.skipif(bool(refusal()), reason=refusal())]

QUIET = '[sensors]\ndisable = ["ebpf", "audit", "proc_connector", "conntrack", "journald"]'
"""Sources of which a machine has only one stay out of this."""


class Place:
    """A site, and programs on a mount that it alone watches."""

    def __init__(self, folder: Path) -> None:
        self.mount_point = folder / "mount"
        self.mount_point.mkdir()
        (folder / "site").mkdir()
        self._mount = PrivateMount(self.mount_point)
        self.site = Site(folder / "site", sensors=QUIET)
        self.site.write_config(f'[deny]\nenabled = true\ntrees = ["{self.mount_point}"]')
        self.site.offer()

    def program(self, name: str, tail: bytes) -> Path:
        path = Path(shutil.copy2("/bin/true", self.mount_point / name))
        with path.open("ab") as stream:
            stream.write(tail)
        return path

    def deny(self, path: Path) -> Outcome:
        options = {"socket": str(self.site.run / "deny.sock")}
        responder = DenyExec(ResponderContext(self.mount_point, self.mount_point, options=options))
        order = Order(
            secrets.token_hex(8), "deny_exec", FileTarget(str(path), ""), Mode.ENFORCE, "test", "",
            "", 600.0,
        )  # fmt: skip
        return responder.act(order, responder.plan(order))

    def held(self) -> dict[str, Any]:
        found: dict[str, Any] = self.site.ask("doctor")["deny"]
        return found

    def close(self) -> None:
        self._mount.close()
        shutil.rmtree(self.site.run, ignore_errors=True)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path)
    try:
        yield made
    finally:
        made.close()


def holders(sentinel: int) -> list[int]:
    """The guardian and the holder of a sentinel."""
    found: list[int] = []
    for child in _children(sentinel):
        if b"vedette.daemon.holder" in Path(f"/proc/{child}/cmdline").read_bytes():
            found += [child, *_children(child)]
    return found


def await_end(pids: list[int]) -> None:
    until_s = time.monotonic() + DEADLINE_S
    while any(Path(f"/proc/{pid}").exists() for pid in pids):
        assert time.monotonic() < until_s, "the holder outlived its sentinel"


def _children(pid: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_a_denied_execution_becomes_an_incident(place: Place) -> None:
    bad, good = place.program("bad", b"b"), place.program("good", b"g")
    with Running(place.site) as running:
        assert place.deny(bad).status is ResponseStatus.DONE
        assert not runs(bad)
        assert runs(good)
        incident = json.dumps(place.site.until_incident("vedette:exec-denied"))
        assert str(bad) in incident
        assert "its path is denied" in incident
        assert place.held()["running"]
        assert place.held()["bans"] == 1
        pids = holders(running.process.pid)
        assert len(pids) == 2
        assert running.stop() == 0
    assert runs(bad)
    await_end(pids)
    assert not (place.site.run / "deny.sock").exists()


def test_a_lost_holder_is_an_incident_and_the_bans_hold_again(place: Place) -> None:
    bad = place.program("bad", b"b")
    with Running(place.site) as running:
        place.deny(bad)
        _, holder = holders(running.process.pid)
        os.kill(holder, signal.SIGKILL)
        place.site.until_incident("vedette:holder-lost")
        place.site.until(lambda: place.held()["running"])
        assert not runs(bad)


def test_a_killed_sentinel_holds_nobody(place: Place) -> None:
    bad = place.program("bad", b"b")
    with Running(place.site) as running:
        place.deny(bad)
        pids = holders(running.process.pid)
        running.process.kill()
        running.process.wait()
        await_end(pids)
        assert runs(bad)


def test_the_doctor_says_what_it_cannot_deny(place: Place) -> None:
    with Running(place.site):
        place.deny(place.program("bad", b"b"))
        command = [sys.executable, "-m", "vedette.cli", "doctor", "--config"]
        told = subprocess.run(
            [*command, str(place.site.config)], capture_output=True, text=True, check=False
        )
        assert "1 files denied; 1 file systems watched" in told.stdout
        for word in ("memfd", "interpreter", "ld.so"):
            assert word in told.stdout


def test_the_holder_has_only_the_rights_that_it_needs(place: Place) -> None:
    with Running(place.site) as running:
        place.deny(place.program("bad", b"b"))
        guardian, holder = holders(running.process.pid)
        assert _capabilities(guardian) == {2, 14, 21}  # dac_read_search, ipc_lock, sys_admin
        assert _capabilities(holder) == {2, 21, 28}  # dac_read_search, sys_admin, lease
        locked = Path(f"/proc/{guardian}/smaps_rollup").read_text()
        assert int(locked.split("Locked:")[1].split()[0]) > 1000


def _capabilities(pid: int) -> set[int]:
    status = Path(f"/proc/{pid}/status").read_text()
    assert "NoNewPrivs:\t1" in status
    bits = int(status.split("CapPrm:")[1].split()[0], 16)
    return {number for number in range(64) if bits >> number & 1}
