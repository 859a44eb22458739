"""`vedette release rules|playbooks|policy|advisories|operators`: content that is a file already.

Rule: what a device will verify by its trust document is verified here first, with the same keys;
and the release has the counter of its content, so that both floors of a device agree.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from vedette.cli._release_terms import begin, file_path, finish, read_file
from vedette.cli._repo_output import open_repository
from vedette.cli._repository import Repository
from vedette.cli._target_staging import store_bytes, store_file
from vedette.cli._trust_source import purpose_role
from vedette.codec import bundle, dsse, playbook, release_policy, rule_samples
from vedette.errors import ParseError, RequestError, RuleError, TrustError
from vedette.model.release import PartKind, Release, ReleaseKind
from vedette.trust import signed
from vedette.trust.content_gate import Numbered
from vedette.trust.ed25519 import Ed25519Verifier


class _Form(NamedTuple):
    """How signed content of a kind is read."""

    purpose: str
    payload_type: str
    suffix: str
    decode: Callable[[bytes], Numbered]


_FORMS: Mapping[ReleaseKind, _Form] = {
    ReleaseKind.RULES: _Form("rules", bundle.PAYLOAD_TYPE, "bundle", bundle.decode),
    ReleaseKind.PLAYBOOKS: _Form(
        "playbooks", playbook.PAYLOAD_TYPE, "playbooks", playbook.decode
    ),
    ReleaseKind.POLICY: _Form(
        "policy", release_policy.PAYLOAD_TYPE, "policy", release_policy.decode
    ),
}  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Stage one file as a release."""
    repository = open_repository(args)
    data = read_file(args.file, dsse.MAX_ENVELOPE_BYTES)
    form = _FORMS.get(args.kind)
    with repository.locked():
        content = _verified(repository, args.file, data, form) if form else None
        release = begin(args, repository, args.kind, content.counter if content else None)
        suffix = form.suffix if form else "json"
        stored = store_bytes(repository, file_path(release, suffix), data)
        release = replace(release, target=stored)
        if getattr(args, "samples", None) is not None:
            release = _with_samples(repository, release, args.samples, content)
        return finish(args, repository, release)


def _verified(repository: Repository, path: Path, data: bytes, form: _Form) -> Numbered:
    try:
        envelope = signed.open_envelope(data, form.payload_type, str(path))
        role = purpose_role(repository, form.purpose)
        signed.require(envelope, role, Ed25519Verifier(), str(path))
        return form.decode(envelope.payload)
    except (TrustError, ParseError, RuleError) as error:
        raise RequestError(f"no device would take this: {error}") from error


def _with_samples(
    repository: Repository, release: Release, path: Path, content: Numbered | None
) -> Release:
    """Samples have to be those of this bundle, since a device refuses others."""
    data = read_file(path, rule_samples.MAX_BYTES)
    try:
        found = rule_samples.decode(data)
    except ParseError as error:
        raise RequestError(f"{path}: {error}") from error
    if content is not None and found.bundle != content.digest:
        raise RequestError(
            f"{path}: expected the samples of this bundle, got those of another: build both with "
            "one `vedette rules build --samples FILE`"
        )
    part = store_file(repository, file_path(release, "samples"), path)
    if part.sha256 != hashlib.sha256(data).hexdigest():
        raise RequestError(f"{path}: changed while it was read; try again")
    return replace(release, parts={PartKind.SAMPLES: part})
