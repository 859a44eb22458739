"""Statements and policies on the operator's side: what a device would say of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vedette.cli._release_terms import read_file
from vedette.codec import dsse, provenance, release_policy
from vedette.codec.text import escape
from vedette.core.provenance import judge
from vedette.errors import ParseError, RequestError
from vedette.model.provenance import ReleasePolicy, StatementKind, Verdict
from vedette.model.release import MAX_STATEMENTS, Release
from vedette.trust.ed25519 import Ed25519Verifier

_OF_TARGET = (StatementKind.BUILD, StatementKind.APPROVAL)


def check_statements(files: Sequence[Path], release: Release) -> None:
    """Refuse files that are no statements, or builds and approvals of something else.

    Reviews and authorship may be about the source, whose digest stands in a build statement.

    Raises:
        RequestError: as said.
    """
    if len(files) > MAX_STATEMENTS:
        raise RequestError(f"expected at most {MAX_STATEMENTS} statements, got {len(files)}")
    for path in files:
        try:
            found = provenance.decode(read_file(path, provenance.MAX_BYTES)).statement
        except ParseError as error:
            raise RequestError(f"{path}: {error}") from error
        is_about = f"sha256:{release.target.sha256}" in found.subjects
        if found.kind in _OF_TARGET and not is_about:
            raise RequestError(
                f"{path}: expected a statement about {release.target.path} (sha256 "
                f"{release.target.sha256[:16]}...), got one about other bytes: make it again "
                "for the final file"
            )


def read_policy(path: Path) -> tuple[ReleasePolicy, tuple[str, ...]]:
    """A signed policy and the ids of the keys it names; the signatures are not checked.

    Raises:
        RequestError: it is none.
    """
    try:
        envelope = dsse.decode(read_file(path, 2 * release_policy.MAX_BYTES))
        if envelope.payload_type != release_policy.PAYLOAD_TYPE:
            raise RequestError(
                f"{path}: expected a payload of type {release_policy.PAYLOAD_TYPE}, got "
                f"{escape(envelope.payload_type)}"
            )
        found = release_policy.decode(envelope.payload)
    except ParseError as error:
        raise RequestError(f"{path}: {error}") from error
    return found, tuple(one.keyid for one in envelope.signatures)


def verdict(policy: ReleasePolicy | None, release: Release, statements: list[bytes]) -> Verdict:
    """What a device with this policy says."""
    return judge(release, statements, policy, Ed25519Verifier())
