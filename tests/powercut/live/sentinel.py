"""The sentinel itself: what it recorded and what it accepted, after a cut at any of its writes."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

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
    _site(folder).offer(SEEN, counter=1)


def play(folder: Path, mark: Mark) -> None:
    """Incidents, new rules, a kill, a restart, and an orderly end."""
    site = _site(folder)
    try:
        mark("begun 1")
        with Running(site) as running:
            mark("done 1")
            _incident(site, "first", mark)
            _rules(site, 2, mark)
            _incident(site, "second", mark)
            running.stop(signal.SIGKILL)
        with Running(site):
            _rules(site, 3, mark)
            _incident(site, "third", mark)
    finally:
        shutil.rmtree(site.run, ignore_errors=True)


def check(folder: Path, marks: Sequence[str]) -> None:
    """It starts, goes on with its journal and its rules, and nothing it promised is lost."""
    promises = Promises(marks)
    site = _site(folder)
    try:
        with Running(site) as running:
            status = site.ask("status")
            journal, rules = status["journal"], status["rules"]
            require(not journal["degraded"], f"the journal is degraded: {journal['reason']}")
            require(journal["epoch"] == 1 or not promises.last("done"), "a new epoch was begun")
            newest = status["uplink"]["newest"]
            require(newest >= promises.last("sequence"), f"sequence {newest}: entries are lost")
            promises.require(rules["counter"], "rules")
            running.stop(signal.SIGKILL)
    finally:
        with suppress(OSError):
            shutil.rmtree(site.run)


def _incident(site: Site, name: str, mark: Mark) -> None:
    known = len(site.incidents())
    (site.watched / f"{name}.seen").mkdir()
    site.until(lambda: len(site.incidents()) > known or str(name) in str(site.incidents()))
    mark(f"sequence {site.ask('status')['uplink']['newest']}")


def _rules(site: Site, counter: int, mark: Mark) -> None:
    mark(f"begun {counter}")
    site.offer(SEEN, counter=counter)
    require(bool(site.ask("reload")["changed"]), f"rules {counter} are not in use")
    mark(f"done {counter}")


def _site(folder: Path) -> Site:
    place = folder / "site"
    place.mkdir(exist_ok=True)
    return Site(place, sensors=QUIET)
