"""What releases there are, as far as verified metadata says: the installer's side of TUF.

Rule 1: trusted state is the embedded root, the folder of verified metadata and the floors; all else
is believed only after it was verified against them. A refusal leaves what was there.
Rule 2: every way in raises one of three errors: `RefusedError` (the content's fault, with the kind
of attack that it would be), `FetchError` (not now), `StoreError` (the disk's fault).
Rule 3: stale metadata is refused, and what the device has stays in use: the caller makes a finding
of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tuf.api.exceptions import (
    BadVersionNumberError,
    DownloadError,
    ExpiredMetadataError,
    LengthOrHashMismatchError,
    RepositoryError,
    UnsignedMetadataError,
)
from tuf.api.metadata import TargetFile, Targets
from tuf.api.serialization import DeserializationError

from vedette.codec.strict_json import Json
from vedette.errors import FetchError, TrustError
from vedette.model.update import Cause
from vedette.ports.release_source import ReleaseSource
from vedette.trust.tuf_floors import Floors
from vedette.trust.tuf_updater import FloorUpdater

ADVICE: Mapping[Cause, str] = {
    Cause.SIGNATURE: "have it signed by enough of its keys; if it was, somebody altered it",
    Cause.OLDER: "the source is older than what this device has seen: use a newer one",
    Cause.FREEZE: "have the repository refreshed, or set the clock if it is wrong",
    Cause.MIX_UP: "the source mixes states of the repository: copy it again as a whole",
    Cause.FORMAT: "fetch it again, from another source if it stays so",
    Cause.CONTENT: "fetch it again, from another source if it stays so",
}


class RefusedError(TrustError):
    """Metadata that this device does not accept; what it has stays in use.

    Attributes:
        cause: the attack that it would be, if it is one.
    """

    def __init__(self, cause: Cause, message: str) -> None:
        super().__init__(f"release refused ({cause}): {message}; {ADVICE[cause]}")
        self.cause = cause


class Refreshed(NamedTuple):
    """What a refresh ended with.

    Attributes:
        root, timestamp, snapshot, targets: verified versions.
        is_new: something is not as it was before.
        issued_s: the newest verified time of issue, Unix; 0 where none was ever told.
        expires_s: Unix time at which the first of the four goes stale.
    """

    root: int
    timestamp: int
    snapshot: int
    targets: int
    is_new: bool
    issued_s: int
    expires_s: int


class VerifiedTarget(NamedTuple):
    """A file that a role has signed for.

    Attributes:
        path: its name in the repository.
        length: bytes.
        hashes: of the content, by algorithm, in small hex digits; all of them must hold.
        custom: what the role says about it, or None.
        role: that signed it.
        fetch_path: what to ask a source for.
    """

    path: str
    length: int
    hashes: Mapping[str, str]
    custom: Json
    role: str
    fetch_path: str

    @property
    def sha256(self) -> str:
        """SHA-256 of the content in hex, or "" where its role gave only others."""
        return self.hashes.get("sha256", "")


class ReleaseTrust:
    """The trusted metadata of one repository.

    Args:
        folder: of the verified metadata and nothing else, with "root_history" in it; both private.
        root: the embedded root.
        floors: of this repository.
        source: what is asked for metadata.
        save: replaces a file durably (store.durable.write).
        wall_s: Unix time as this device believes it.
    """

    def __init__(
        self,
        folder: Path,
        *,
        root: bytes,
        floors: Floors,
        source: ReleaseSource,
        save: Callable[[Path, bytes], None],
        wall_s: float,
    ) -> None:
        self._folder, self._root, self._floors = folder, root, floors
        self._source, self._save, self._wall_s = source, save, wall_s
        self._updater: FloorUpdater | None = None

    def refresh(self) -> Refreshed:
        """Fetch and verify what is new of root, timestamp, snapshot and targets, in this order.

        What was verified before something was refused is kept (TUF 5.3 to 5.6).

        Raises:
            RefusedError: something does not verify.
            FetchError: something could not be fetched.
            StoreError: the disk did not take it; the floors may have risen.
        """
        before = self._files()
        with _explained():
            updater = FloorUpdater(
                self._folder, self._root, self._source, self._floors, self._save, self._wall_s
            )
            updater.refresh()
            top = updater.role(Targets.type, "root")
        self._updater = updater
        parts = (updater.root, updater.timestamp, updater.snapshot, top)
        return Refreshed(
            root=updater.root.version,
            timestamp=updater.timestamp.version,
            snapshot=updater.snapshot.version,
            targets=top.version,
            is_new=self._files() != before,
            issued_s=self._floors.issued_s,
            expires_s=min(int(part.expires.timestamp()) for part in parts),
        )

    def target(self, path: str) -> VerifiedTarget | None:
        """What the most trusted role that may sign this path says about it; None if none does.

        Raises:
            RefusedError, FetchError, StoreError: as `refresh`, which is done first if it was not.
        """
        with _explained():
            found = self._ready().get_targetinfo(path)
            return None if found is None else self._verified(found, self._signer(found))

    def targets(self, role: str) -> tuple[VerifiedTarget, ...]:
        """All targets of a role that the top-level targets role delegates to, in their order.

        A target that the role may not sign, or that a more trusted role has another word for, is
        left out. "targets" gives those of the top-level role itself.

        Raises:
            RefusedError, FetchError, StoreError: as `refresh`, which is done first if it was not.
        """
        with _explained():
            updater = self._ready()
            top = updater.role(Targets.type, "root")
            if role != Targets.type and not _delegates(top, role):
                return ()
            found = top if role == Targets.type else updater.role(role, Targets.type)
            return tuple(
                self._verified(target, role)
                for path, target in found.targets.items()
                if updater.get_targetinfo(path) is target
            )

    def _ready(self) -> FloorUpdater:
        if self._updater is None:
            self.refresh()
        if self._updater is None:
            raise RuntimeError("expected a client after a refresh")
        return self._updater

    def _verified(self, target: TargetFile, role: str) -> VerifiedTarget:
        path = fetch_path(target, is_prefixed=bool(self._ready().root.consistent_snapshot))
        return VerifiedTarget(
            target.path, target.length, dict(target.hashes), target.custom, role, path
        )

    def _signer(self, target: TargetFile) -> str:
        return self._ready().signer(target)

    def _files(self) -> dict[str, tuple[int, int]]:
        """Inode and time of each file: each change makes a new one."""
        found = (path.stat() for path in sorted(self._folder.glob("*.json")))
        return {str(index): (s.st_ino, s.st_mtime_ns) for index, s in enumerate(found)}


def fetch_path(target: TargetFile, *, is_prefixed: bool) -> str:
    """What a source has a target's content under (TUF 6.2: the first hash before its name)."""
    if not is_prefixed:
        return target.path
    folder, slash, name = target.path.rpartition("/")
    return f"{folder}{slash}{next(iter(target.hashes.values()))}.{name}"


def _delegates(top: Targets, role: str) -> bool:
    named = top.delegations.roles if top.delegations is not None else None
    return named is not None and role in named


@contextmanager
def _explained() -> Iterator[None]:
    """Errors of tuf as ours."""
    try:
        yield
    except DownloadError as error:
        if isinstance(error.__cause__, FetchError):
            raise error.__cause__ from error
        raise FetchError(f"release metadata: {error}") from error
    except RepositoryError as error:
        raise RefusedError(_cause(error), str(error)) from error
    except (ValueError, RecursionError) as error:  # names that are no text, nesting without end
        raise RefusedError(Cause.FORMAT, str(error)) from error


def _cause(error: RepositoryError) -> Cause:
    match error:
        case UnsignedMetadataError():
            return Cause.SIGNATURE
        case BadVersionNumberError():
            return Cause.OLDER
        case ExpiredMetadataError():
            return Cause.FREEZE
        case DeserializationError():
            return Cause.FORMAT
        case LengthOrHashMismatchError():
            return Cause.MIX_UP
    return Cause.MIX_UP
