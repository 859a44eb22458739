"""A TUF repository whose every part a test can bend, and what it answers when it is asked.

Roles are tuf's own values, signed with what `signers` holds; `publish` makes the next version of
each role named and keeps all versions, as a real repository of static files does. Nothing is
checked: wrong repositories are what it is for.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias, cast
from urllib.parse import quote

from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import (
    DelegatedRole,
    Delegations,
    Metadata,
    MetaFile,
    Root,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
)
from tuf.api.serialization.json import JSONSerializer

from vedette.errors import AbsentError, FetchError
from vedette.ports.release_source import Reader, ReleaseSource

TOP_LEVEL = ("root", "timestamp", "snapshot", "targets")
ALL = ("targets", "snapshot", "timestamp")
"""What a new target takes, in the order of signing."""

Signed: TypeAlias = Root | Timestamp | Snapshot | Targets


def in_days(days: float) -> datetime:
    """A date so many days from now, as the wall clock of this process has it."""
    return datetime.now(UTC).replace(microsecond=0) + timedelta(days=days)


class Repository:
    """One repository.

    Attributes:
        signed: the next content of each role, before it is published.
        signers: who signs each role.
        files: metadata by file name, all versions.
        targets: content by the path that is asked for.
        is_hashed: snapshot and timestamp tell hashes and lengths of what they list.
    """

    def __init__(self, *, is_consistent: bool = True, expires: datetime | None = None) -> None:
        self.expires = expires or in_days(30)
        self.signed: dict[str, Signed] = {
            "root": Root(expires=self.expires, consistent_snapshot=is_consistent),
            "timestamp": Timestamp(expires=self.expires),
            "snapshot": Snapshot(expires=self.expires),
            "targets": Targets(expires=self.expires),
        }
        self.signers: dict[str, list[CryptoSigner]] = {}
        self.files: dict[str, bytes] = {}
        self.targets: dict[str, bytes] = {}
        self.is_hashed = False
        self._published: set[str] = set()
        for role in TOP_LEVEL:
            self.add_key(role)
        self.publish(*ALL, "root")

    @property
    def root(self) -> Root:
        return cast("Root", self.signed["root"])

    @property
    def timestamp(self) -> Timestamp:
        return cast("Timestamp", self.signed["timestamp"])

    @property
    def snapshot(self) -> Snapshot:
        return cast("Snapshot", self.signed["snapshot"])

    def role(self, name: str = "targets") -> Targets:
        """A targets role."""
        return cast("Targets", self.signed[name])

    def add_key(
        self, role: str, signer: CryptoSigner | None = None, *, delegator: str = "root"
    ) -> CryptoSigner:
        """Let one more key sign for a role, and have it sign."""
        signer = signer or CryptoSigner.generate_ed25519()
        cast("Root | Targets", self.signed[delegator]).add_key(signer.public_key, role)
        self.signers.setdefault(role, []).append(signer)
        return signer

    def replace_keys(self, role: str, *, delegator: str = "root") -> None:
        """A new key instead of all that a role had."""
        owner = self.signed[delegator]
        named = cast("Root | Targets", owner).get_delegated_role(role)
        named.keyids.clear()
        self.signers[role].clear()
        self.add_key(role, delegator=delegator)

    def delegate(
        self,
        role: str,
        paths: Sequence[str] = ("*",),
        *,
        delegator: str = "targets",
        is_terminating: bool = False,
    ) -> None:
        """A role below another, with a key of its own; `publish` both."""
        owner = self.role(delegator)
        if owner.delegations is None:
            owner.delegations = Delegations({}, {})
        if owner.delegations.roles is None:
            raise TypeError(f"expected {delegator} to delegate by name")
        owner.delegations.roles[role] = DelegatedRole(role, [], 1, is_terminating, list(paths))
        self.add_key(role, delegator=delegator)
        self.signed.setdefault(role, Targets(expires=self.expires))

    def add_target(
        self, path: str, content: bytes, role: str = "targets", custom: object = None
    ) -> TargetFile:
        """A file that a role signs for; `publish` the role."""
        entry = TargetFile.from_data(path, content, ["sha256"])
        if custom is not None:
            entry.unrecognized_fields["custom"] = custom
        self.role(role).targets[path] = entry
        self.put(entry, content)
        return entry

    def put(self, entry: TargetFile, content: bytes) -> None:
        """What is served for an entry, right or wrong."""
        for path in entry.get_prefixed_paths() if self.root.consistent_snapshot else [entry.path]:
            self.targets[path] = content

    def publish(self, *roles: str) -> None:
        """The next version of these roles, in this order."""
        for role in roles:
            if role in self._published:
                self.signed[role].version += 1
            self._published.add(role)
            self.keep(role, self.sign(role))

    def republish(self, *roles: str) -> None:
        """The same version again, with the present content."""
        for role in roles:
            self.keep(role, self.sign(role))

    def sign(self, role: str) -> bytes:
        """A role's present content as a file."""
        document: Metadata[Any] = Metadata(self.signed[role])
        for signer in self.signers[role]:
            document.sign(signer, append=True)
        return document.to_bytes(JSONSerializer())

    def keep(self, role: str, data: bytes) -> None:
        """Let this be the file of a role's present version, and name it where it is listed."""
        version = self.signed[role].version
        name = quote(role, safe="")
        if role != "timestamp":
            self.files[f"{version}.{name}.json"] = data
        if role != "root":
            self.files[f"{name}.json"] = data
        meta = MetaFile(version)
        if self.is_hashed:
            meta = MetaFile.from_data(version, data, ["sha256"])
        if role == "snapshot":
            self.timestamp.snapshot_meta = meta
        elif role not in {"root", "timestamp"}:
            self.snapshot.meta[f"{role}.json"] = meta

    def copy(self) -> dict[str, bytes]:
        """The metadata files of now: a mirror that is never updated again."""
        return dict(self.files)

    def edit(self, name: str, **changes: object) -> None:
        """Change a file's signed part without signing it again."""
        document = json.loads(self.files[name])
        document["signed"].update(changes)
        self.files[name] = json.dumps(document).encode()


class MemorySource(ReleaseSource):
    """Files from memory, and a list of what was asked for.

    Attributes:
        files, targets: what there is; a test may put others in their place.
        asked: names and paths, in their order.
        failing: names that cannot be fetched.
    """

    def __init__(self, repository: Repository) -> None:
        self.files = repository.files
        self.targets = repository.targets
        self.asked: list[str] = []
        self.failing: set[str] = set()

    def metadata(self, name: str, max_bytes: int) -> bytes:
        self.asked.append(name)
        data = self._get(self.files, name)
        if len(data) > max_bytes:
            raise FetchError(f"{name}: expected at most {max_bytes} bytes, got {len(data)}")
        return data

    def target(self, path: str, runs: Sequence[tuple[int, int]]) -> Reader:
        self.asked.append(path)
        data = self._get(self.targets, path)
        return _Pieces(b"".join(data[start : start + count] for start, count in runs), path, runs)

    def _get(self, known: dict[str, bytes], name: str) -> bytes:
        if name in self.failing:
            raise FetchError(f"{name}: the line is cut")
        if name not in known:
            raise AbsentError(f"{name}: not here")
        return known[name]


class _Pieces(Reader):
    """Bytes of memory, 1000 at a time; too few of them break off."""

    def __init__(self, data: bytes, path: str, runs: Sequence[tuple[int, int]]) -> None:
        self._data, self._path = data, path
        self._missing = sum(count for _, count in runs) - len(data)

    def readinto(self, buffer: memoryview, /) -> int:
        if not self._data and self._missing:
            raise FetchError(f"{self._path}: {self._missing} bytes are missing")
        count = min(len(buffer), len(self._data), 1000)
        buffer[:count] = self._data[:count]
        self._data = self._data[count:]
        return count
