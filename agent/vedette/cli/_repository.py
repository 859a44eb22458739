"""A TUF repository as a folder: what is published, what is staged, and the way between them.

    repository.json          who signs what (cli/_repository_plan.py)
    staged/ROLE.json         the next version of a role, until it is published
    staged/trust.json        the next trust document, until enough of the root signed it
    public/metadata/         N.ROLE.json and timestamp.json: static files, as all below public/
    public/targets/          FOLDER/NAME/<sha256>.FILE
    device/                  what a device is built with: root.json, trust.json

Rule 1: a version that was published is never changed: a device may have it.
Rule 2: of a role's keys we sign with those that are here; others add theirs (`vedette repo sign`).
"""

from __future__ import annotations

import fcntl
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeAlias

from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Metadata, Root, Targets
from tuf.api.serialization import DeserializationError

from vedette.cli import _repository_plan as plans
from vedette.cli._files import replace_file
from vedette.cli._key_store import KeyStore
from vedette.cli._repository_plan import ROOT, TARGETS, TIMESTAMP, Plan
from vedette.errors import ParseError, RequestError

AnyMetadata: TypeAlias = Metadata[Any]

_MAX_METADATA_BYTES = 5_000_000  # what a device reads of targets (tuf.ngclient.UpdaterConfig)


def signing_time() -> datetime:
    """Now, in whole seconds; SOURCE_DATE_EPOCH stands for it."""
    return datetime.fromtimestamp(int(os.environ.get("SOURCE_DATE_EPOCH") or time.time()), tz=UTC)


class Repository:
    """One repository and the keys at hand.

    Args:
        folder: of the repository; its plan is read from it.
        keys: with which to sign.
        now: of signing.

    Raises:
        RequestError: it is no repository.
    """

    def __init__(self, folder: Path, keys: KeyStore, now: datetime | None = None) -> None:
        self.folder, self.keys = folder, keys
        self.now = now or signing_time()
        self.metadata_folder = folder / "public" / "metadata"
        self.targets_folder = folder / "public" / "targets"
        self.staged_folder = folder / "staged"
        self.staged_trust = self.staged_folder / "trust.json"
        self.plan = _read_plan(folder)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the repository: two people on one machine do not stage over each other.

        Raises:
            RequestError: somebody else does.
        """
        descriptor = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
        except BlockingIOError as error:
            raise RequestError(
                f"{self.folder}: another command is changing it; try again"
            ) from error
        finally:
            os.close(descriptor)

    def save_plan(self, plan: Plan) -> None:
        """Change who signs what from now on."""
        replace_file(self.folder / plans.FILE, plans.encode(plan))
        self.plan = plan

    def published(self, role: str) -> AnyMetadata | None:
        """What devices are given now; of root the newest."""
        return self._load(self._published_file(role))

    def staged(self, role: str) -> AnyMetadata | None:
        """What the next publication brings."""
        return self._load(self.staged_file(role))

    def current(self, role: str) -> AnyMetadata | None:
        """What is staged, else what is published."""
        return self.staged(role) or self.published(role)

    def draft(self, role: str) -> AnyMetadata:
        """To change and `stage`: what is staged, else what is published with the next version."""
        found = self.staged(role)
        if found is not None:
            return found
        found = self.published(role)
        if found is None:
            raise RequestError(
                f"{self.folder}: role {role} was never staged; see: vedette repo init"
            )
        found.signed.version += 1
        return found

    def stage(self, role: str, metadata: AnyMetadata) -> list[str]:
        """Sign with the keys at hand, anew, and keep it for the next publication.

        Returns:
            Names of the keys that signed.
        """
        metadata.signed.expires = self.now + timedelta(days=self.plan.roles[role].days)
        metadata.signatures.clear()
        return self.add_signatures(role, metadata)

    def add_signatures(self, role: str, metadata: AnyMetadata) -> list[str]:
        """Add signatures of the keys at hand that the role's delegators name, and keep it."""
        wanted = self.wanted(role, metadata) - metadata.signatures.keys()
        names = [name for key_id, name in self.at_hand().items() if key_id in wanted]
        for name in names:
            signature = self.keys.sign(name, metadata.signed_bytes)
            metadata.signatures[signature.keyid] = signature
        self.staged_folder.mkdir(exist_ok=True)
        replace_file(self.staged_file(role), metadata.to_bytes())
        return names

    def missing(self, role: str, metadata: AnyMetadata, *, is_next: bool = True) -> int:
        """How many signatures it still needs.

        Args:
            role: whose metadata it is.
            metadata: to judge.
            is_next: under the root and delegations of the next publication, else the present ones.
        """
        payload, signatures = metadata.signed_bytes, metadata.signatures
        if role == ROOT:
            before = self._root_before(metadata)
            result = metadata.signed.get_root_verification_result(
                before.signed if before else None, payload, signatures
            )
            both = (result.first, result.second)
            return int(max(0, *(one.threshold - len(one.signed) for one in both)))
        found = self.delegator(role, is_next=is_next).get_verification_result(
            role, payload, signatures
        )
        return max(0, found.threshold - len(found.signed))

    def missing_at_hand(self, role: str, metadata: AnyMetadata) -> int:
        """How many signatures it would need beside those of the keys that are here."""
        here = self.wanted(role, metadata) & self.at_hand().keys()
        if role == ROOT:
            return max(0, int(metadata.signed.roles[ROOT].threshold) - len(here))
        return max(0, self.delegator(role).get_delegated_role(role).threshold - len(here))

    def wanted(self, role: str, metadata: AnyMetadata, *, is_next: bool = True) -> set[str]:
        """Ids of the keys whose signature counts: of a new root, those of the old one too."""
        if role == ROOT:
            before = self._root_before(metadata)
            roots = [metadata, *([before] if before else [])]
            return {key_id for root in roots for key_id in root.signed.roles[ROOT].keyids}
        delegator = self.delegator(role, is_next=is_next)
        return set(delegator.get_delegated_role(role).keyids)

    def _root_before(self, metadata: AnyMetadata) -> AnyMetadata | None:
        """The root that this one follows; it was published, or this is the first."""
        version = metadata.signed.version - 1
        return self._load(self.versioned_file(ROOT, version)) if version else None

    def delegator(self, role: str, *, is_next: bool = True) -> Root | Targets:
        """The role that names the keys of this one.

        Raises:
            RequestError: it is not there yet.
        """
        name = TARGETS if role in plans.DELEGATED else ROOT
        found = self.current(name) if is_next else self.published(name)
        if found is None:
            raise RequestError(f"{self.folder}: role {name} was never staged: vedette repo init")
        signed: Root | Targets = found.signed
        return signed

    def at_hand(self) -> dict[str, str]:
        """Names of the keys with which we can sign, by key id."""
        here = (name for name in self.keys.names() if self.keys.is_here(name))
        return {self.keys.public(name).keyid: name for name in here}

    def content(self, role: str, *, is_staged: bool) -> bytes:
        """The bytes of a role's metadata, which are what digests and devices see.

        Raises:
            RequestError: there is none.
        """
        path = self.staged_file(role) if is_staged else self._published_file(role)
        if path is None:
            raise RequestError(f"{self.folder}: role {role} was never published")
        return path.read_bytes()

    def staged_file(self, role: str) -> Path:
        """Where the next version of a role waits."""
        return self.staged_folder / f"{role}.json"

    def versioned_file(self, role: str, version: int) -> Path:
        """Where a version of a role is published."""
        return self.metadata_folder / f"{version}.{role}.json"

    def _published_file(self, role: str) -> Path | None:
        if role == TIMESTAMP:
            path = self.metadata_folder / "timestamp.json"
            return path if path.exists() else None
        pattern = re.compile(rf"([1-9][0-9]{{0,9}})\.{role}\.json")
        found = [
            pattern.fullmatch(path.name) for path in self.metadata_folder.glob(f"*.{role}.json")
        ]
        versions = [int(one[1]) for one in found if one]
        return self.versioned_file(role, max(versions)) if versions else None

    def _load(self, path: Path | None) -> AnyMetadata | None:
        if path is None or not path.exists():
            return None
        try:
            with path.open("rb") as stream:
                return Metadata.from_bytes(stream.read(_MAX_METADATA_BYTES + 1))
        except (DeserializationError, RepositoryError, OSError) as error:
            raise RequestError(f"{path}: expected TUF metadata: {error}") from error


def _read_plan(folder: Path) -> Plan:
    path = folder / plans.FILE
    try:
        return plans.decode(path.read_bytes())
    except FileNotFoundError as error:
        raise RequestError(
            f"{folder}: expected a repository (there is no {plans.FILE}): make one with "
            "`vedette repo init`, or name it with --repo"
        ) from error
    except (OSError, ParseError) as error:
        raise RequestError(f"{path}: {error}") from error
