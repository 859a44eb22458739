"""`vedette update`, with its updater and its installer, after a cut at any of their writes."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.powercut.live.sentinel import QUIET, SEEN
from tests.powercut.story import Mark, Promises, require
from tests.simulators.tuf_repository import ALL, Repository
from tests.system._site import Site

from vedette.codec import release as release_codec
from vedette.daemon.build import BUILD_S
from vedette.daemon.installer.opening import Opened, open_trust
from vedette.daemon.updater.directory_source import DirectorySource
from vedette.errors import TrustError
from vedette.model.release import Release, ReleaseKind, TargetFile

RELEASES = 3
NAME = "core"
INSTALL_S = 60.0
UPDATER = "nobody"


class Publisher:
    """A repository of rules, and a mirror of it as it was after each release.

    Args:
        folder: gets root.json, the mirrors and what they hold.
        site: whose rules key signs.
    """

    def __init__(self, folder: Path, site: Site) -> None:
        self._folder, self._site = folder, site
        self._repository = Repository()
        self._repository.delegate("rules", ["rules/*/*"])
        (folder / "root.json").write_bytes(self._repository.files["1.root.json"])

    def publish(self, number: int) -> None:
        """The release of a counter, as the newest of a mirror of its own."""
        data = self._site.offer(SEEN, counter=number)
        (self._folder / f"bundle-{number}").write_bytes(data)
        path = f"rules/{NAME}/{NAME}-{number}.bundle"
        target = TargetFile(path, len(data), hashlib.sha256(data).hexdigest())
        made = Release(ReleaseKind.RULES, NAME, str(number), number, int(time.time()), target)
        custom = release_codec.encode(made)
        self._repository.add_target(path, data, "rules", custom)
        self._repository.publish("rules", *ALL)
        mirror = self._folder / f"mirror-{number}"
        _write(mirror / "metadata", self._repository.files)
        _write(mirror / "targets", self._repository.targets)


def prepare(folder: Path) -> None:
    """A device without rules, and what will be published for it."""
    site = device(folder)
    publisher = Publisher(folder, site)
    for number in range(1, RELEASES + 1):
        publisher.publish(number)
    site.bundle.unlink()


def play(folder: Path, mark: Mark) -> None:
    """One release after the other is installed, by the real processes."""
    site = device(folder)
    for number in range(1, RELEASES + 1):
        mark(f"begun {number}")
        require(install(site, folder, number) == 0, f"release {number} is not installed")
        mark(f"done {number}")


def check(folder: Path, marks: Sequence[str]) -> None:
    """What was installed stays, what is old is refused, and the next run ends what was begun."""
    _give_rights_back(folder)
    site, promises = device(folder), Promises(marks)
    require_good(site, folder, promises)
    begun = promises.last("begun")
    if begun:
        require(install(site, folder, begun) == 0, f"release {begun} cannot be installed now")
        require_good(site, folder, Promises([f"begun {begun}", f"done {begun}"]))


def device(folder: Path) -> Site:
    """The device in a folder, made with the first call."""
    place = folder / "site"
    place.mkdir(exist_ok=True)
    site = Site(place, sensors=QUIET)
    user = f'user = "{UPDATER}"\nworker = "{UPDATER}"\n'
    root = folder / "root.json"
    site.write_config(f'[updates]\nenabled = false\nroot = "{root}"\n{user}')
    return site


def install(site: Site, folder: Path, number: int) -> int:
    """The exit code of `vedette update install` for the mirror of a release."""
    argv = command(site, folder, number)
    done = subprocess.run(argv, check=False, capture_output=True, timeout=INSTALL_S)
    return done.returncode


def command(site: Site, folder: Path, number: int) -> list[str]:
    """What installs the newest release of a mirror."""
    mirror = str(folder / f"mirror-{number}")
    words = ["update", "install", mirror, "--config", str(site.config), "--json"]
    return [sys.executable, "-m", "vedette.cli", *words]


def require_good(site: Site, folder: Path, promises: Promises) -> None:
    """Counter and offered rules are those that were promised, and an old mirror is refused."""
    done, begun = promises.last("done"), promises.last("begun")
    counter = _open(site, folder, max(begun, 1)).floors.counter(ReleaseKind.RULES, NAME)
    promises.require(counter, "counter of the release")
    offered = site.bundle.read_bytes() if site.bundle.exists() else b""
    allowed = [(folder / f"bundle-{number}") for number in range(max(done, 1), begun + 1)]
    is_whole = any(path.read_bytes() == offered for path in allowed)
    require(is_whole or (not offered and not done), f"the agent is offered {offered[:40]!r}")
    for old in range(max(1, done - 2), done):
        try:
            _open(site, folder, old).trust.refresh()
        except TrustError:
            continue
        require(is_good=False, what=f"the old mirror {old} was believed")


def forget_steps(site: Site) -> None:
    """Take the steps that wait to be told, as a sentinel would."""
    shutil.rmtree(site.state / "updates" / "steps", ignore_errors=True)


def _give_rights_back(folder: Path) -> None:
    """Modes and owners, which the model of a disk does not have: all of it was root's alone."""
    for mirror in folder.glob("mirror-*"):
        for path in (mirror, *mirror.rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)
    cache = folder / "site" / "state" / "updates" / "cache"
    for path in (cache, *cache.rglob("*")) if cache.exists() else ():
        shutil.chown(path, UPDATER)


def _open(site: Site, folder: Path, number: int) -> Opened:
    mirror = folder / f"mirror-{number}"
    releases = site.state / "releases"
    return open_trust(
        releases / "metadata", releases / "floors", root=(folder / "root.json").read_bytes(),
        source=DirectorySource(mirror / "metadata", mirror / "targets"), build_s=BUILD_S,
        wall_s=time.time(),
    )  # fmt: skip


def _write(folder: Path, files: Mapping[str, bytes]) -> None:
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
