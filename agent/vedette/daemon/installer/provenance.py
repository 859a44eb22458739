"""How a release was made, held against the policy that this device has; the verdict is recorded.

Rule 1: the policy is the newest one that came as a verified release (daemon/appliers/policy.py).
Rule 2: statements are fetched whole and count only with the digest that the release names.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from vedette.codec import dsse, release_policy
from vedette.core import provenance
from vedette.daemon.appliers import _staged
from vedette.daemon.config import Config
from vedette.errors import ParseError, StoreError
from vedette.model.provenance import ReleasePolicy, Verdict
from vedette.model.release import Release
from vedette.ports.release_source import ReleaseSource
from vedette.store import durable
from vedette.trust.ed25519 import Ed25519Verifier

FILE: Final = "release.policy"
MAX_STATEMENT_BYTES: Final = 1 << 20


def policy_file(config: Config) -> Path:
    """Where the policy in force is kept, as it was signed."""
    return Path(config.paths.state) / "releases" / FILE


def judge_for(config: Config) -> Callable[[Release, ReleaseSource], Verdict]:
    """Holds releases against the policy that is in force when they come."""
    staging = config.updates_folder / "staging" / "statements"

    def judge(release: Release, source: ReleaseSource) -> Verdict:
        statements: list[bytes] = []
        for file in release.statements:
            path = _staged.fetch(source, file, release.kind, staging)
            statements.append(_staged.content(path, MAX_STATEMENT_BYTES))
            durable.remove(path)
        return provenance.judge(release, statements, read_policy(config), Ed25519Verifier())

    return judge


def read_policy(config: Config) -> ReleasePolicy | None:
    """The policy in force; None where none was ever installed.

    Raises:
        StoreError: it is there and cannot be read: nothing may be applied without it.
    """
    path = policy_file(config)
    data = durable.read(path, 2 * release_policy.MAX_BYTES)
    if data is None:
        return None
    try:
        return release_policy.decode(dsse.decode(data).payload)
    except ParseError as error:
        raise StoreError(f"{path}: the release policy is damaged: {error}") from error
