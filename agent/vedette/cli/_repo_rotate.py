"""`vedette repo rotate`: changed keys, thresholds and grants come into force.

Rule 1: keys are found by name: after `vedette keys rotate NAME` the new one takes its place.
Rule 2: a new root is signed by the old keys and the new ones (TUF 5.3.4), and what a changed role
had signed is signed anew by its new keys, so that devices see both at once.
"""

from __future__ import annotations

import argparse

from vedette.cli import _repository_plan as plans
from vedette.cli._repo_init import read_plan, set_delegations, set_root_keys
from vedette.cli._repo_output import open_repository, tell
from vedette.cli._repository import AnyMetadata, Repository
from vedette.cli._repository_plan import DELEGATED, ROOT, TARGETS
from vedette.cli._trust_source import stage_trust
from vedette.errors import RequestError

_SIGNED_CONTENT = {"rules": "bundles", "playbooks": "playbooks", ROOT: "a release policy"}
"""Roles whose keys sign the content itself too (the trust document's purposes)."""


def run(args: argparse.Namespace) -> int:
    """Stage the new root and delegations, and what goes with them."""
    repository = open_repository(args)
    with repository.locked():
        repository.save_plan(read_plan(args, repository.plan))
        changed = _stage(repository)
        lines = [f"role {role}: new keys or threshold" for role in changed]
        lines += stage_trust(repository)
        lines += [
            f"role {role}: devices will refuse {what} that its former keys signed: sign their "
            "content anew, with a higher counter, and release it"
            for role, what in _SIGNED_CONTENT.items()
            if role in changed
        ]
        if not lines:
            raise RequestError(
                "every role has the keys and threshold that it has already: nothing to do"
            )
        short = {role: _short(repository, role) for role in plans.ALL_ROLES}
    waiting = [f"{role} ({count})" for role, count in short.items() if count]
    lines.append(
        f"staged; signatures missing: {', '.join(waiting)}; run `vedette repo sign` where they are"
        if waiting
        else "staged; next: vedette repo publish"
    )
    return tell(args, lines, changed=changed)


def _stage(repository: Repository) -> list[str]:
    """Roles whose keys or thresholds differ from what is staged or published."""
    root, targets = repository.draft(ROOT), repository.draft(TARGETS)
    before = {
        role: _terms(root if role in plans.TOP_LEVEL else targets, role) for role in plans.ALL_ROLES
    }
    set_root_keys(repository, root.signed)
    set_delegations(repository, targets.signed)
    changed = [
        role
        for role in plans.ALL_ROLES
        if before[role] != _terms(root if role in plans.TOP_LEVEL else targets, role)
    ]
    if any(role in plans.TOP_LEVEL for role in changed):
        repository.stage(ROOT, root)
    if TARGETS in changed or any(role in DELEGATED for role in changed):
        repository.stage(TARGETS, targets)
    for role in DELEGATED:
        if role in changed:
            repository.stage(role, repository.draft(role))
    return changed


def _terms(metadata: AnyMetadata, role: str) -> tuple[frozenset[str], int]:
    found = metadata.signed.get_delegated_role(role)
    return frozenset(found.keyids), found.threshold


def _short(repository: Repository, role: str) -> int:
    staged = repository.staged(role)
    return repository.missing(role, staged) if staged else 0
