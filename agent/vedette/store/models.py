"""Models on the disk: a folder for each content, and a link to the one in use.

    FOLDER/NAME/content/<digest of the manifest>/manifest.json, model/..., model.sig, golden/...
    FOLDER/NAME/current -> content/<digest>        what the inference process opens
    FOLDER/NAME/last-good -> content/<digest>      what was in use before it
    FOLDER/NAME/trial                              while `current` is not committed

Rule 1: a folder below `content` is whole from the moment it has its name; it is never changed.
Rule 2: `current` is switched by rename of a new link: it is never missing once it was there.
Rule 3: what was on trial when the power went is rolled back by `recover`: nobody watched it.
Rule 4: what is oldest goes when room is needed; never what is in use, was in use before, or is to
come back when a trial fails.
Rule 5: several processes may use a store; what changes the links is done under its lock.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vedette.codec import model_manifest, model_trial
from vedette.codec.model_trial import NONE, Trial
from vedette.codec.release import NAME
from vedette.errors import ParseError, StoreError, TrustError
from vedette.model.model_manifest import ModelManifest
from vedette.model.model_use import ModelPointers
from vedette.store import durable, model_content
from vedette.store.model_content import MANIFEST, ORDER, PUBLIC_FOLDER

CONTENT = "content"
CURRENT = "current"
LAST_GOOD = "last-good"
STAGING = "staging"
TRIAL = "trial"

_DIGEST = re.compile(r"[0-9a-f]{64}")
_GONE = ".gone"
_MAX_TRIAL_BYTES = 1024
_MAX_ORDER_BYTES = 32


class ModelStore:
    """The models of a device.

    Args:
        folder: of the store; others may read it, so no folder above it may be closed to them.
        max_bytes: what all contents may take together.
    """

    def __init__(self, folder: Path, *, max_bytes: int) -> None:
        self.folder = folder
        self._max_bytes = max_bytes

    def names(self) -> list[str]:
        """The models that have a content, sorted.

        Raises:
            StoreError: the folder cannot be read.
        """
        found = [name for name in _entries(self.folder) if NAME.fullmatch(name)]
        return [name for name in found if (self.folder / name / CONTENT).is_dir()]

    def digests(self, name: str) -> list[str]:
        """The contents of a model that are whole, oldest first.

        Raises:
            StoreError: the folder cannot be read.
        """
        found = [one for one in _entries(self._home(name) / CONTENT) if _DIGEST.fullmatch(one)]
        return sorted(found, key=lambda digest: (self._order(name, digest), digest))

    def path(self, name: str, digest: str) -> Path:
        """The folder of a content."""
        if not _DIGEST.fullmatch(digest):
            raise ValueError(f"expected a digest of 64 small hex digits, got {digest!a}")
        return self._home(name) / CONTENT / digest

    def pointers(self, name: str) -> ModelPointers:
        """What is in use.

        Raises:
            StoreError: a link is there and leads to no content.
        """
        home = self._home(name)
        is_trial = (home / TRIAL).exists()
        return ModelPointers(_target(home / CURRENT), _target(home / LAST_GOOD), is_trial)

    def manifest(self, name: str, digest: str) -> ModelManifest:
        """The manifest of a content, compared with its digest.

        Raises:
            StoreError: it cannot be read.
            TrustError: it was changed.
        """
        data = durable.read(self.path(name, digest) / MANIFEST, model_manifest.MAX_BYTES)
        if data is None:
            raise StoreError(f"{self.path(name, digest)}: expected a manifest, there is none")
        if hashlib.sha256(data).hexdigest() != digest:
            raise TrustError(f"{name}: the manifest of {digest[:16]}... was changed at rest")
        return model_manifest.decode(data)

    def verify(self, name: str, digest: str) -> int:
        """Compare every file of a content with its manifest; the bytes that were read.

        Raises:
            TrustError: a file was changed, is missing, or is there without being listed.
            StoreError: one cannot be read.
        """
        return model_content.check(self.path(name, digest), self.manifest(name, digest), name)

    def switch(self, name: str, digest: str) -> None:
        """Put a content into use, on trial; what was in use becomes the last good one.

        Raises:
            StoreError: it is not there, a trial is running, or the disk did not take it: then what
                was in use still is, or is again after `recover`.
        """
        if not self.path(name, digest).is_dir():
            raise StoreError(f"{name}: expected the content {digest[:16]}..., it is not there")
        with self._locked():
            before = self.pointers(name)
            if before.is_trial:
                raise StoreError(f"{name}: a trial of {before.current[:16]}... is running")
            if before.current == digest:
                return
            home = self._home(name)
            trial = Trial(digest, before.current, before.last_good)
            durable.write(home / TRIAL, model_trial.encode(trial))
            if before.current:
                _point(home / LAST_GOOD, before.current)
            _point(home / CURRENT, digest)

    def commit(self, name: str, digest: str) -> None:
        """End the trial of a content well.

        Raises:
            StoreError: it is not on trial any more (somebody rolled it back), or the disk failed.
        """
        with self._locked():
            found = self.pointers(name)
            if found.current == digest and found.is_trial:
                durable.remove(self._home(name) / TRIAL)
            elif found.current != digest:
                raise StoreError(f"{name}: {digest[:16]}... is not in use any more")

    def roll_back(self, name: str) -> ModelPointers:
        """Return to what was in use before; during a trial that may be nothing.

        Returns:
            What is in use now.

        Raises:
            StoreError: there is nothing to return to, or the disk did not take it.
        """
        with self._locked():
            found = self.pointers(name)
            if found.is_trial:
                self._end_trial(name)
            elif found.last_good in {"", found.current}:
                raise StoreError(f"{name}: expected a model from before, none is kept")
            elif not self.path(name, found.last_good).is_dir():
                raise StoreError(f"{name}: {found.last_good[:16]}... is not there any more")
            else:
                _point(self._home(name) / CURRENT, found.last_good)
            return self.pointers(name)

    def recover(self) -> list[str]:
        """After a start: roll back what was on trial, and remove what was left half done.

        Returns:
            The models that were rolled back.

        Raises:
            StoreError: the disk does not allow it.
        """
        rolled_back = []
        with self._locked():
            for name in self.names():
                if (self._home(name) / TRIAL).exists():
                    self._end_trial(name)
                    rolled_back.append(name)
                self._sweep(name)
        return rolled_back

    def make_room(self, name: str, need_bytes: int) -> list[str]:
        """Remove the oldest contents until so many bytes fit; what the new one is of.

        Returns:
            What was removed, "NAME DIGEST" each.

        Raises:
            StoreError: they cannot fit; nothing was removed.
        """
        with self._locked():
            used, free = self._used(), self._free()
            over = max(used + need_bytes - self._max_bytes, need_bytes - free)
            chosen: list[tuple[str, str]] = []
            for model, digest in self._removable():
                if over <= 0:
                    break
                over -= model_content.size(self.path(model, digest))
                chosen.append((model, digest))
            if over > 0:
                raise StoreError(
                    f"{name}: expected room for {need_bytes} bytes, {over} are missing: models may "
                    f"take {self._max_bytes} ([models] max_mb) and take {used}, the disk has {free}"
                )
            for model, digest in chosen:
                self.remove(model, digest)
        return [f"{model} {digest}" for model, digest in chosen]

    def remove(self, name: str, digest: str) -> None:
        """Remove a content at once, so that half of one is never taken for whole.

        Raises:
            StoreError: it is in use, or the disk did not let it go.
        """
        if digest in self.kept(name):
            raise StoreError(f"{name}: {digest[:16]}... is in use and stays")
        durable.make_folder(self._home(name) / STAGING)
        gone = self._home(name) / STAGING / (digest + _GONE)
        durable.rename(self.path(name, digest), gone)
        durable.remove_tree(gone)

    def next_order(self) -> int:
        """Grows with each content: a device's clock says little about what is older."""
        orders = [self._order(name, one) for name in self.names() for one in self.digests(name)]
        return max(orders, default=0) + 1

    def _end_trial(self, name: str) -> None:
        """Both links as before the trial, then the trial is over; again and again if need be."""
        home = self._home(name)
        trial = self._trial(name)
        if trial is None:  # damaged: its writer was cut, so no link was changed yet, or the disk is
            if _target(home / LAST_GOOD):
                _point(home / CURRENT, _target(home / LAST_GOOD))
        else:
            _point(home / CURRENT, trial.before)
            _point(home / LAST_GOOD, trial.last_good)
        durable.remove(home / TRIAL)

    def _trial(self, name: str) -> Trial | None:
        try:
            data = durable.read(self._home(name) / TRIAL, _MAX_TRIAL_BYTES)
            return model_trial.decode(data) if data is not None else NONE
        except ParseError:
            return None

    def kept(self, name: str) -> frozenset[str]:
        """What is in use, was before, or comes back when a trial fails: it is never removed."""
        found = self.pointers(name)
        trial = (self._trial(name) or NONE) if found.is_trial else NONE
        return frozenset((found.current, found.last_good, *trial)) - {""}

    def _removable(self) -> list[tuple[str, str]]:
        """(model, digest) of what may go, oldest first."""
        found = [
            (self._order(name, digest), name, digest)
            for name in self.names()
            for digest in self.digests(name)
            if digest not in self.kept(name)
        ]
        return [(name, digest) for _, name, digest in sorted(found)]

    def _sweep(self, name: str) -> None:
        """What `remove` began is finished; a half staged model stays, to be gone on with."""
        home = self._home(name)
        for entry in _entries(home / STAGING):
            if entry.endswith(_GONE):
                durable.remove_tree(home / STAGING / entry)
        for entry in _entries(home):
            if durable.is_temporary(home / entry):
                durable.remove(home / entry)

    def _order(self, name: str, digest: str) -> int:
        data = durable.read(self.path(name, digest) / ORDER, _MAX_ORDER_BYTES) or b""
        return int(data) if re.fullmatch(rb"[0-9]{1,18}", data) else 0

    def _used(self) -> int:
        return model_content.size(self.folder)

    def _free(self) -> int:
        place = self.folder
        while not place.exists():
            place = place.parent
        found = os.statvfs(place)
        return found.f_bavail * found.f_frsize

    def _home(self, name: str) -> Path:
        if not NAME.fullmatch(name):
            raise ValueError(f"expected the name of a model, got {name!a}")
        return self.folder / name

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Alone in this store; whoever holds it does so for some fsyncs."""
        try:
            durable.make_folder(self.folder, PUBLIC_FOLDER)
            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
            descriptor = os.open(self.folder, flags)
        except OSError as error:
            raise StoreError(f"{self.folder}: cannot be locked: {error.strerror}") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def _point(link: Path, digest: str) -> None:
    if digest:
        durable.switch_link(link, f"{CONTENT}/{digest}")
    else:
        durable.remove(link)


def _target(link: Path) -> str:
    """The digest that a link leads to, "" where there is none."""
    try:
        target = os.readlink(link)  # noqa: PTH115 (the text, not a path to be followed)
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise StoreError(f"{link}: expected a link: {error.strerror}") from error
    folder, _, digest = target.partition("/")
    if folder != CONTENT or not _DIGEST.fullmatch(digest):
        raise StoreError(f"{link}: expected a link to {CONTENT}/DIGEST, it leads to {target!a}")
    return digest


def _entries(folder: Path) -> list[str]:
    try:
        return sorted(os.listdir(folder))  # noqa: PTH208
    except FileNotFoundError:
        return []
    except OSError as error:
        raise StoreError(f"{folder}: cannot be listed: {error.strerror}") from error
