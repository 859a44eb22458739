"""The sentinel itself: what it recorded and what it accepted, after a cut at any of its writes."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.powercut.story import Mark, Promises, require
from tests.system._site import Running, Site, rule

from vedette.model.rule import Match

SEEN = rule("seen", "file_event", Match("TargetFilename", "endswith", ".seen", False))
QUIET = """[sensors]
disable = [
  "ebpf", "audit", "proc_connector", "conntrack", "journald", "log_file", "listeners", "procnet"
]
"""
"""Nothing of which a machine has only one."""


def prepare(folder: Path) -> None:
    """A device that was never started."""
    device(folder).offer(SEEN, counter=1)


def play(folder: Path, mark: Mark) -> None:
    """Incidents, new rules, a kill, a restart, and an orderly end."""
    mark("begun 1")
    site = device(folder)
    try:
        with Running(site) as running:
            mark("done 1")
            work(site, 2, mark)
            running.stop(signal.SIGKILL)
        with Running(site):
            work(site, 3, mark)
    finally:
        shutil.rmtree(site.run, ignore_errors=True)


def check(folder: Path, marks: Sequence[str]) -> None:
    """It starts, goes on with its journal and its rules, and nothing it promised is lost."""
    site = device(folder)
    try:
        with Running(site) as running:
            require_good(site, Promises(marks))
            running.stop(signal.SIGKILL)
    finally:
        with suppress(OSError):
            shutil.rmtree(site.run)


def device(folder: Path) -> Site:
    """The device in a folder, made with the first call."""
    place = folder / "site"
    place.mkdir(exist_ok=True)
    return Site(place, sensors=QUIET)


def work(site: Site, number: int, mark: Mark) -> None:
    """An incident, then new rules, then another incident."""
    _incident(site, f"before-{number}", mark)
    mark(f"begun {number}")
    site.offer(SEEN, counter=number)
    require(bool(site.ask("reload")["changed"]), f"rules {number} are not in use")
    mark(f"done {number}")
    _incident(site, f"after-{number}", mark)


def require_good(site: Site, promises: Promises) -> dict[str, Any]:
    """What a running sentinel says of itself holds what was promised before it was cut off."""
    status = site.ask("status")
    journal, rules = status["journal"], status["rules"]
    require(not journal["degraded"], f"the journal is degraded: {journal['reason']}")
    known = promises.last("epoch") or 1
    has_promised = promises.last("done") or promises.last("epoch")
    require(journal["epoch"] == known or not has_promised, "a new epoch was begun")
    newest = status["uplink"]["newest"]
    require(newest >= promises.last("sequence"), f"sequence {newest}: entries are lost")
    promises.require(rules["counter"], "rules")
    return status


def _incident(site: Site, name: str, mark: Mark) -> None:
    (site.watched / f"{name}.seen").mkdir()
    site.until(lambda: name in str(site.incidents()))
    mark(f"sequence {site.ask('status')['uplink']['newest']}")
