"""A look at a repository that has nothing new, and what the updater holds while an image passes.

Rule 1: the repository has 200 rules releases; the look is the installer's own code over a folder,
beside python-tuf's client on the same metadata, which has neither floors nor syncs.
Rule 2: the updater's memory is its own peak (VmHWM), over what it held before the first request;
the image is a sparse file, so that no disk is measured.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path

from tests.bench.figure import Figure, figure
from tests.simulators.tuf_repository import ALL, Repository
from tuf.api.exceptions import DownloadHTTPError
from tuf.ngclient import FetcherInterface, Updater

from vedette.daemon.installer.linked_source import LinkedSource
from vedette.daemon.installer.opening import open_trust
from vedette.daemon.updater.directory_source import DirectorySource
from vedette.errors import DeviceError

RELEASES = 200
LOOKS, QUICK_LOOKS = 30, 5
IMAGE_BYTES, QUICK_BYTES = 1 << 30, 128 << 20
PIECE_BYTES = 1 << 20
BUILD_S = 1_780_000_000
_HELD = re.compile(r"Vm(HWM|RSS):\s+([0-9]+) kB")


def figures(*, is_quick: bool) -> Iterator[Figure]:
    """Milliseconds of a look, megabytes of an updater."""
    with tempfile.TemporaryDirectory(prefix="vedette-refresh-") as made:
        folder = Path(made)
        root = _published(folder / "mirror")
        looks = QUICK_LOOKS if is_quick else LOOKS
        ours = _timed(lambda: _look(folder, root), looks)
        plain = _timed(lambda: _plain_look(folder, root), looks)
        beside = sorted(plain)[len(plain) // 2]
        note = "beside python-tuf's client, without floors and syncs; both read a folder"
        yield figure("refresh with nothing new", ours, "ms", beside, note)
        size = QUICK_BYTES if is_quick else IMAGE_BYTES
        idle_mb, peak_mb = _updater(folder, size)
        note = f"over the {idle_mb:.1f} MB that it held before the first request; from a folder"
        name = f"updater, image of {size >> 20} MB: memory"
        yield figure(name, [peak_mb - idle_mb], "MB", None, note)


def _published(mirror: Path) -> bytes:
    repository = Repository()
    repository.delegate("rules", ["rules/*/*"])
    for number in range(RELEASES):
        repository.add_target(f"rules/core/{number}.bundle", b"%d" % number, "rules")
    repository.publish("rules", *ALL)
    mirror.mkdir()
    for name, data in repository.files.items():
        (mirror / name).write_bytes(data)
    return repository.files["1.root.json"]


def _look(folder: Path, root: bytes) -> None:
    opened = open_trust(
        folder / "metadata", folder / "floors", root=root, build_s=BUILD_S, wall_s=time.time(),
        source=DirectorySource(folder / "mirror", folder / "mirror"),
    )  # fmt: skip
    opened.trust.refresh()
    if len(opened.trust.targets("rules")) != RELEASES:
        raise DeviceError(f"refresh: expected {RELEASES} releases")


def _plain_look(folder: Path, root: bytes) -> None:
    cache = folder / "plain"
    cache.mkdir(exist_ok=True)
    updater = Updater(
        str(cache), f"{folder}/mirror/", str(cache), f"{folder}/mirror/",
        fetcher=_FolderFetcher(), bootstrap=root,
    )  # fmt: skip
    updater.refresh()
    if updater.get_targetinfo("rules/core/7.bundle") is None:
        raise DeviceError("refresh: expected a release")


class _FolderFetcher(FetcherInterface):
    def _fetch(self, url: str) -> Iterator[bytes]:
        path = Path(url)
        if not path.is_file():
            raise DownloadHTTPError(f"{path} is not there", 404)
        yield path.read_bytes()


def _timed(work: Callable[[], None], times: int) -> list[float]:
    """Milliseconds of each run but the first, in which all is new."""
    work()
    found: list[float] = []
    for _ in range(times):
        began_s = time.perf_counter()
        work()
        found.append((time.perf_counter() - began_s) * 1000)
    return found


def _updater(folder: Path, size: int) -> tuple[float, float]:
    """What the real updater holds before and at most while an image of a size passes, in MB."""
    with (folder / "mirror" / "image").open("wb") as image:
        image.truncate(size)
    (folder / "cache").mkdir()
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    with ours, theirs:
        process = subprocess.Popen(
            [
                sys.executable, "-m", "vedette.daemon.updater", "--link", str(theirs.fileno()),
                "--parent", str(os.getpid()), "--metadata", str(folder / "mirror"),
                "--targets", str(folder / "mirror"), "--cache", str(folder / "cache"),
            ],
            pass_fds=[theirs.fileno()],
        )  # fmt: skip
        theirs.close()
        source = LinkedSource(ours)
        try:
            source.metadata("timestamp.json", 1 << 20)
            idle = _held(process.pid)["RSS"]
            _drain(source, size)
            return idle, _held(process.pid)["HWM"]
        finally:
            source.leave()
            process.wait()


def _drain(source: LinkedSource, size: int) -> None:
    reader, left = source.target("image", ((0, size),)), size
    buffer = memoryview(bytearray(PIECE_BYTES))
    while count := reader.readinto(buffer):
        left -= count
    if left:
        raise DeviceError(f"refresh: {left} bytes of the image did not come")


def _held(pid: int) -> Mapping[str, float]:
    with closing(Path(f"/proc/{pid}/status").open()) as status:
        return {name: int(kb) / 1024 for name, kb in _HELD.findall(status.read())}
