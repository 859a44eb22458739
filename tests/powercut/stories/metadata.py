"""Verified metadata of the repository, its floors, and the counters of releases."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from tests.powercut.story import Mark, Promises, require
from tests.simulators.tuf_repository import ALL, Repository

from vedette.daemon.installer.opening import Opened, open_trust
from vedette.daemon.updater.directory_source import DirectorySource
from vedette.model.release import ReleaseKind
from vedette.model.update import Cause
from vedette.trust.tuf_client import RefusedError

STATES = 4
ROTATED_AT = 3
BUILD_S = 1_780_000_000


def prepare(folder: Path) -> None:
    """Mirrors of the repository as it was after each release; at the third, keys were replaced."""
    repository = Repository()
    repository.delegate("rules", ["rules/*/*"])
    (folder / "root.json").write_bytes(repository.files["1.root.json"])
    for number in range(1, STATES + 1):
        if number == ROTATED_AT:
            repository.replace_keys("timestamp")
            repository.replace_keys("rules", delegator="targets")
            repository.publish("root")
        repository.add_target(f"rules/core/rules-{number}.bundle", b"%d" % number, "rules")
        repository.publish("rules", *ALL)
        mirror = folder / f"mirror-{number}"
        mirror.mkdir()
        for name, data in repository.files.items():
            (mirror / name).write_bytes(data)


def play(folder: Path, mark: Mark) -> None:
    """Each state of the repository is followed, and its release's counter kept."""
    for number in range(1, STATES + 1):
        mark(f"begun {number}")
        opened = _open(folder, number)
        require(opened.trust.refresh().targets == number + 1, f"state {number} is not there")
        require(len(opened.trust.targets("rules")) == number, f"release {number} is not there")
        opened.floors.raise_counter(ReleaseKind.RULES, "core", number)
        mark(f"done {number}")


def check(folder: Path, marks: Sequence[str]) -> None:
    """Nothing that was promised falls, an old mirror is refused, the true one is followed."""
    promises = Promises(marks)
    done, begun = promises.last("done"), promises.last("begun")
    opened = _open(folder, max(begun, 1))
    promises.require(opened.floors.counter(ReleaseKind.RULES, "core"), "counter of the release")
    for old in range(max(1, done - 2), done):
        _require_refused(folder, old)
    if begun:
        found = _open(folder, begun).trust
        require(found.refresh().targets == begun + 1, "the true mirror is not followed")
        require(len(found.targets("rules")) == begun, "the true mirror's release is not there")


def _require_refused(folder: Path, old: int) -> None:
    trust = _open(folder, old).trust
    try:
        trust.refresh()
    except RefusedError as error:
        require(error.cause in {Cause.OLDER, Cause.SIGNATURE}, f"mirror {old}: {error}")
    else:
        require(is_good=False, what=f"the old mirror {old} was believed")


def _open(folder: Path, number: int) -> Opened:
    mirror = folder / f"mirror-{number}"
    return open_trust(
        folder / "releases" / "metadata",
        folder / "releases" / "floors",
        root=(folder / "root.json").read_bytes(),
        source=DirectorySource(mirror, mirror),
        build_s=BUILD_S,
        wall_s=time.time(),
    )
