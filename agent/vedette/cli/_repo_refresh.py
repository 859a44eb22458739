"""`vedette repo refresh`: sign anew what would expire, with no other change.

Rule 1: the timestamp is always signed; the snapshot once half of its time is over.
Rule 2: other roles are signed at half of their time too, if their keys are here; if not, status and
this command say so, weeks before it matters.
"""

from __future__ import annotations

import argparse
from datetime import timedelta

from vedette.cli import _repository_plan as plans
from vedette.cli._publication import publish, refresh
from vedette.cli._repo_init import keep_root
from vedette.cli._repo_output import open_repository, tell
from vedette.cli._repository import Repository
from vedette.cli._repository_plan import ROOT, SNAPSHOT, TARGETS
from vedette.errors import RequestError


def run(args: argparse.Namespace) -> int:
    """Refresh what is published."""
    repository = open_repository(args)
    with repository.locked():
        lines, is_changed = _sign_old(repository, is_all=args.all)
        if is_changed:
            files = publish(repository)
            keep_root(repository)
        else:
            is_new = args.all or _is_half_over(repository, SNAPSHOT)
            files = refresh(repository, is_snapshot_new=is_new)
    return tell(args, [*lines, f"published {', '.join(files)}"], files=files)


def _sign_old(repository: Repository, *, is_all: bool) -> tuple[list[str], bool]:
    """Stage roles that are due; one that somebody has staged already is left to them."""
    lines: list[str] = []
    is_changed = False
    if any(repository.staged(role) for role in plans.ALL_ROLES):
        return ["something is staged: only the timestamp and the snapshot are signed"], False
    for role in (ROOT, TARGETS, *plans.DELEGATED):
        if not (is_all or _is_half_over(repository, role)):
            continue
        metadata = repository.draft(role)
        if repository.missing_at_hand(role, metadata):
            lines.append(f"role {role} is due, and its keys are not all here: vedette repo sign")
            continue
        repository.stage(role, metadata)
        is_changed = True
    return lines, is_changed


def _is_half_over(repository: Repository, role: str) -> bool:
    metadata = repository.published(role)
    if metadata is None:
        raise RequestError(f"{repository.folder}: role {role} was never published")
    half = timedelta(days=repository.plan.roles[role].days) / 2
    return bool(metadata.signed.expires - repository.now < half)
