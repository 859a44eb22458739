"""An operator at the command line, with keys and a repository; and a plain TUF client of it."""

from __future__ import annotations

import functools
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tuf.api.exceptions import DownloadHTTPError
from tuf.ngclient import FetcherInterface, Updater

from vedette.cli import _command_line as cli

OPEN = ("--no-password",)
START_S = 1_800_000_000
DAY_S = 86_400


class Office:
    """Runs `vedette` with one folder of keys and one repository.

    Args:
        folder: made to work in.
        monkeypatch: sets the variables that name both, and the time of signing.
    """

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.repository = folder / "repository"
        self.public = self.repository / "public"
        self._monkeypatch = monkeypatch
        self.use_keys(folder / "keys")
        monkeypatch.setenv("VEDETTE_REPO", str(self.repository))
        monkeypatch.delenv("VEDETTE_PASSWORD_FILE", raising=False)
        # Two thirds of a test's time, and no test here cuts the power.
        monkeypatch.setattr(os, "fsync", lambda _: None)

    def use_keys(self, keys: Path) -> None:
        """Sit down at the machine with these keys."""
        self.keys = keys
        self._monkeypatch.setenv("VEDETTE_KEYS", str(keys))

    def at(self, time_s: int) -> None:
        """Sign at another time than now."""
        self._monkeypatch.setenv("SOURCE_DATE_EPOCH", str(time_s))

    def run(self, *words: object) -> int:
        """The exit code; what goes wrong is an exception of ours."""
        return cli._run([str(word) for word in words])

    def open(self, *words: object) -> None:
        """Make a repository with unencrypted keys; the plain one is made once and copied."""
        if words or "SOURCE_DATE_EPOCH" in os.environ or self.keys.exists():
            self.run("repo", "init", "--create-keys", *OPEN, *words)
            return
        for name, (mode, content) in _plain_repository().items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            path.chmod(mode)

    def client(self, name: str = "device") -> Updater:
        """A device's plain TUF client, which keeps what it trusts under a name."""
        cache = self.folder / name
        cache.mkdir(exist_ok=True)
        root = (self.repository / "device" / "root.json").read_bytes()
        known = cache / "first-root.json"
        if not known.exists():
            known.write_bytes(root)
        return Updater(
            str(cache),
            f"file://{self.public}/metadata/",
            str(cache),
            f"file://{self.public}/targets/",
            fetcher=FolderFetcher(),
            bootstrap=known.read_bytes(),
        )


@functools.cache
def _plain_repository() -> dict[str, tuple[int, bytes]]:
    """Mode and content of each file of a new repository and its keys."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        places = ("--keys", str(folder / "keys"), "--repo", str(folder / "repository"))
        cli._run(["repo", "init", "--create-keys", *OPEN, *places])
        return {
            str(path.relative_to(folder)): (path.stat().st_mode, path.read_bytes())
            for path in folder.rglob("*")
            if path.is_file()
        }


class FolderFetcher(FetcherInterface):
    """A web server, as far as a client sees one."""

    def _fetch(self, url: str) -> Iterator[bytes]:
        path = Path(url.removeprefix("file://"))
        if not path.is_file():
            raise DownloadHTTPError(f"{path} is not there", 404)
        yield path.read_bytes()
