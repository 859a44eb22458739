"""python-tuf's client, with our floors beside it and our disk below it.

Rule 1: tuf verifies; what it has verified is held against the floors, which are raised, durably,
before anything is kept. Nothing unverified is ever written.
Rule 2: files are written by the caller's `save`; tuf itself would neither sync nor leave a name in
place while it changes. A file that has the right content already is not written again.
Rule 3: dates are held against the time floor; a verified issue raises it at once.
Rule 4: one key under two names is one key (tuf_keys.py); sizes, depth and repeated names are
bounded before tuf reads anything (tuf_fetcher.py).

This stands on hooks of tuf 7.0 that are not its public interface (`_persist_*`, `_load_*`,
`_update_root_symlink`): tests/unit/trust/test_tuf_client.py fails where they change.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, cast
from urllib.parse import quote

from securesystemslib.signer import Signature
from tuf.api.exceptions import (
    BadVersionNumberError,
    RepositoryError,
)
from tuf.api.metadata import Root, Signed, Snapshot, T, TargetFile, Targets, Timestamp
from tuf.api.serialization import DeserializationError
from tuf.ngclient import Updater

from vedette.ports.release_source import ReleaseSource
from vedette.trust.tuf_fetcher import BASE, CONFIG, SourceFetcher
from vedette.trust.tuf_floors import Floors, Keys
from vedette.trust.tuf_keys import require_distinct

ISSUED: Final = "x-vedette-issued"
"""Of timestamp.json's signed part: Unix time of signing."""

HISTORY: Final = "root_history"
LATEST_S: Final = 253_402_300_799
"""9999-12-31, where datetime ends: a clock beyond it is held at it."""

MAX_NAME_BYTES: Final = 200
"""Of a role, quoted: with ".json.new" behind it, it is still a file name."""

MAX_METADATA_BYTES: Final = 5 << 18
"""Of all metadata that one refresh holds at a time: 1.25 MiB, which is 14 MB of memory."""


class BelowFloorError(BadVersionNumberError):
    """A version that this device has gone beyond, whatever tuf's own files say."""


class FloorUpdater(Updater):
    """One refresh of one repository.

    Args:
        folder: of the trusted metadata; it is there, and so is HISTORY in it.
        root: the embedded root, of any version.
        source: where the rest comes from.
        floors: of this repository.
        save: replaces a file durably.
        wall_s: Unix time as this device believes it.

    Raises:
        RepositoryError: the embedded root is not signed by itself.
        StoreError: the disk did not take it.
    """

    def __init__(
        self,
        folder: Path,
        root: bytes,
        source: ReleaseSource,
        floors: Floors,
        save: Callable[[Path, bytes], None],
        wall_s: float,
    ) -> None:
        self._floors, self._save, self._wall_s = floors, save, wall_s
        self._delegator = Root.type
        self._held: set[tuple[str, str]] = set()
        self._snapshot_before: Signed | None = None
        self._sizes: dict[str, int] = {}
        super().__init__(
            str(folder), BASE, fetcher=SourceFetcher(source), config=CONFIG, bootstrap=root
        )
        self._tuf_load = self._trusted_set._load_data  # noqa: SLF001 (as hooks, see above)
        self._trusted_set._load_data = self._load_distinct  # noqa: SLF001
        self._set_time()

    @property
    def root(self) -> Root:
        """The verified root."""
        return self._trusted_set.root

    @property
    def timestamp(self) -> Timestamp:
        """The verified timestamp, after `refresh`."""
        return self._trusted_set.timestamp

    @property
    def snapshot(self) -> Snapshot:
        """The verified snapshot, after `refresh`."""
        return self._trusted_set.snapshot

    def role(self, name: str, delegator: str) -> Targets:
        """The verified metadata of a targets role, fetched where it has to be.

        Raises:
            RepositoryError: it does not verify.
            DownloadError: it could not be fetched.
            StoreError: the disk did not take it.
        """
        return self._load_targets(name, delegator)

    def signer(self, target: TargetFile) -> str:
        """Which verified role has this entry; "" for none."""
        known = self._trusted_set._trusted_set.items()  # noqa: SLF001 (its Mapping has no names)
        roles = ((name, signed) for name, signed in known if isinstance(signed, Targets))
        return next((name for name, r in roles if r.targets.get(target.path) is target), "")

    def _load_distinct(
        self,
        role: type[T],
        data: bytes,
        delegator: Root | Targets | None = None,
        role_name: str | None = None,
    ) -> tuple[T, bytes, dict[str, Signature]]:
        """Every verification of tuf's, with each key counted once."""
        signed, payload, signatures = self._tuf_load(role, data, delegator, role_name)
        if delegator is not None:
            require_distinct(delegator, role_name or role.type, payload, signatures)
        if isinstance(signed, Root):
            require_distinct(signed, Root.type, payload, signatures)
        return signed, payload, signatures

    def _load_root(self) -> None:
        """Those roots that it has followed before do not count against the bound of one refresh."""
        known = max(0, self._floors.root - self.root.version)
        self.config = replace(CONFIG, max_root_rotations=CONFIG.max_root_rotations + known)
        super()._load_root()
        if self.root.version < self._floors.root:
            raise BelowFloorError(
                f"expected root version {self._floors.root} or later, got {self.root.version}: a "
                "mirror hides newer roots, and the device's own copy of them is lost"
            )
        self._floors.raise_root(self.root.version)

    def _load_timestamp(self) -> None:
        super()._load_timestamp()
        self._hold_timestamp()

    def _load_snapshot(self) -> None:
        try:
            super()._load_snapshot()
        except BelowFloorError:
            raise
        except BadVersionNumberError as error:
            if self._trusted_set.get(Snapshot.type) is self._snapshot_before:
                raise  # it was not taken at all: it lists older versions than the one before
            raise RepositoryError(f"timestamp and snapshot disagree: {error}") from error
        self._hold_snapshot()

    def _load_targets(self, role: str, parent_role: str) -> Targets:
        self._delegator = parent_role
        try:
            targets = super()._load_targets(role, parent_role)
        except BelowFloorError:
            raise
        except BadVersionNumberError as error:
            raise RepositoryError(f"snapshot and {role[:80]!a} disagree: {error}") from error
        self._hold_targets(role)
        return targets

    def _download_metadata(self, rolename: str, length: int, version: int | None = None) -> bytes:
        if rolename == Snapshot.type:
            self._snapshot_before = self._trusted_set.get(Snapshot.type)
        return self._counted(rolename, super()._download_metadata(rolename, length, version))

    def _load_local_metadata(self, rolename: str) -> bytes:
        return self._counted(rolename, super()._load_local_metadata(rolename))

    def _counted(self, rolename: str, data: bytes) -> bytes:
        """Many roles may each be small enough, and all of them too much."""
        self._sizes[rolename] = len(data)
        total = sum(self._sizes.values())
        if total > MAX_METADATA_BYTES:
            raise RepositoryError(
                f"expected at most {MAX_METADATA_BYTES} bytes of metadata in all, got {total} with "
                f"{rolename[:80]!a}: have old releases taken out"
            )
        return data

    def _persist_metadata(self, rolename: str, data: bytes) -> None:
        if len(quote(rolename, safe="")) > MAX_NAME_BYTES:
            raise RepositoryError(f"expected a role of a shorter name, got {rolename[:80]!a}")
        if rolename == Timestamp.type:
            self._hold_timestamp()
        elif rolename == Snapshot.type:
            self._hold_snapshot()
        else:
            self._hold_targets(rolename)
        super()._persist_metadata(rolename, data)

    def _persist_file(self, filename: str, data: bytes) -> None:
        path = Path(filename)
        if _content(path) != data:
            self._save(path, data)

    def _update_root_symlink(self) -> None:
        """A copy instead of a link: nobody needs it to verify, so it may lag behind."""
        folder = Path(self._dir)
        data = _content(folder / HISTORY / f"{self.root.version}.root.json")
        if data:
            self._persist_file(str(folder / "root.json"), data)

    def _hold_timestamp(self) -> None:
        guards = (self._top_level(Timestamp.type),)
        self._check_version(Root.type, Timestamp.type, guards, self.timestamp.version)
        self._check_version(
            Root.type,
            Snapshot.type,
            (self._top_level(Snapshot.type),),
            self.timestamp.snapshot_meta.version,
        )
        self._take_issue()
        self._floors.raise_version(Root.type, Timestamp.type, guards, self.timestamp.version)

    def _hold_snapshot(self) -> None:
        keys = self._top_level(Snapshot.type)
        self._check_version(Root.type, Snapshot.type, (keys,), self.snapshot.version)
        listed = self._floors.listed(keys)
        named = {quote(name.removesuffix(".json"), safe="") for name in self.snapshot.meta}
        missing = sorted({role for _, role in listed} - named)
        if missing:
            raise RepositoryError(f"the new snapshot leaves out {', '.join(missing)[:200]}")
        targets = self.snapshot.meta.get(f"{Targets.type}.json")
        if targets is None:
            raise RepositoryError("the snapshot does not name the top-level targets")
        guards = (self._top_level(Targets.type), keys)
        self._check_version(Root.type, Targets.type, guards, targets.version)
        self._floors.raise_version(Root.type, Snapshot.type, (keys,), self.snapshot.version)
        self._floors.prune(named, keys)

    def _hold_targets(self, role: str) -> None:
        if (self._delegator, role) in self._held:
            return
        delegator = cast("Root | Targets", self._trusted_set[self._delegator])
        guards = (_keys_of(delegator, role), self._top_level(Snapshot.type))
        version = cast("Targets", self._trusted_set[role]).version
        self._check_version(self._delegator, role, guards, version)
        self._floors.raise_version(self._delegator, role, guards, version)
        self._held.add((self._delegator, role))

    def _check_version(
        self, delegator: str, role: str, guards: tuple[Keys, ...], version: int
    ) -> None:
        floor = self._floors.version(delegator, role, guards)
        if version < floor:
            raise BelowFloorError(f"expected {role[:80]!a} version {floor} or later, got {version}")

    def _take_issue(self) -> None:
        """Time does not go back behind a verified issue; the root's expiry bounds a stolen key."""
        issued = self.timestamp.unrecognized_fields.get(ISSUED)
        if issued is None:
            return
        expires_s = int(self.timestamp.expires.timestamp())
        if type(issued) is not int or not 0 < issued <= expires_s:
            raise DeserializationError(
                f"expected {ISSUED} as Unix time up to the expiry, {expires_s}, got {issued!r:.80}"
            )
        self._floors.raise_issued(min(issued, int(self.root.expires.timestamp())))
        self._set_time()
        self._trusted_set._check_final_timestamp()  # noqa: SLF001 (time may have moved)

    def _set_time(self) -> None:
        now_s = min(self._floors.now(self._wall_s), LATEST_S)
        self._trusted_set.reference_time = datetime.fromtimestamp(now_s, UTC)

    def _top_level(self, role: str) -> Keys:
        return _keys_of(self.root, role)


def _keys_of(delegator: Root | Targets, role: str) -> Keys:
    """Who signs a role, as its delegator says."""
    named = delegator.get_delegated_role(role)
    return Keys(named.threshold, frozenset(named.keyids))


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None
