"""`vedette repo status`: what expires when, what waits for whose signature, what is published.

Rule 1: what is published is verified as a device would: every role under its delegator, versions
and digests of the snapshot, dates.
Rule 2: a role is due weeks before it expires; exit code 1 says that something wants to be done.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from datetime import timedelta
from typing import NamedTuple

from vedette.cli import _repository_plan as plans
from vedette.cli._repo_output import open_repository
from vedette.cli._repository import AnyMetadata, Repository
from vedette.cli._repository_plan import ROOT, SNAPSHOT, TIMESTAMP
from vedette.cli._target_staging import releases
from vedette.codec.text import escape, human_age, human_size
from vedette.model.release import Release

WARN_DAYS = 28


class RoleStatus(NamedTuple):
    """How a role stands.

    Attributes:
        version: published; 0 for none.
        expires_s: seconds from now; below 0 it is over.
        keys: names of its keys; an id where no name is known here.
        here: how many of them can sign here.
        staged: the version that waits; 0 for none.
        missing: signatures that the staged version still needs.
        problem: what a device would refuse, or what is due; "" for nothing.
    """

    role: str
    version: int
    expires_s: float
    keys: tuple[str, ...]
    threshold: int
    here: int
    staged: int
    missing: int
    problem: str


def run(args: argparse.Namespace) -> int:
    """Print how the repository stands."""
    repository = open_repository(args)
    found = [_status(repository, role, args.warn_days) for role in plans.ALL_ROLES]
    published = releases(repository, is_next=False)
    staged = [one for one in releases(repository) if one not in published]
    if args.json:
        print(json.dumps(_document(repository, found, published, staged)))
    else:
        print("\n".join(_lines(repository, found, published, staged)))
    return 1 if any(one.problem for one in found) or _waits(repository) else 0


def _status(repository: Repository, role: str, warn_days: int | None) -> RoleStatus:
    metadata, staged = repository.published(role), repository.staged(role)
    plan = repository.plan.roles[role]
    at_hand = repository.at_hand().values()
    left = metadata.signed.expires - repository.now if metadata else timedelta()
    return RoleStatus(
        role=role,
        version=metadata.signed.version if metadata else 0,
        expires_s=left.total_seconds(),
        keys=plan.keys,
        threshold=plan.threshold,
        here=sum(name in at_hand for name in plan.keys),
        staged=staged.signed.version if staged else 0,
        missing=repository.missing(role, staged) if staged else 0,
        problem=_problem(repository, role, metadata, left, warn_days),
    )


def _problem(
    repository: Repository,
    role: str,
    metadata: AnyMetadata | None,
    left: timedelta,
    warn_days: int | None,
) -> str:
    if metadata is None:
        return "never published"
    if repository.missing(role, metadata, is_next=False):
        return "its signatures do not hold under what is published: devices refuse it"
    if _is_other(repository, role):
        return "it is not what the snapshot names: publish again"
    if left <= timedelta():
        return "EXPIRED: devices keep what they have and report a freeze"
    days = repository.plan.roles[role].days
    due = timedelta(days=min(WARN_DAYS, days / 2) if warn_days is None else warn_days)
    if left < due:
        return f"expires in {human_age(left.total_seconds())}: vedette repo refresh"
    return ""


def _is_other(repository: Repository, role: str) -> bool:
    """Whether timestamp or snapshot name another version or other bytes than are there."""
    if role in (ROOT, TIMESTAMP):
        return False
    above = repository.published(TIMESTAMP if role == SNAPSHOT else SNAPSHOT)
    if above is None:
        return True
    named = (
        above.signed.snapshot_meta if role == SNAPSHOT else above.signed.meta.get(f"{role}.json")
    )
    digest = hashlib.sha256(repository.content(role, is_staged=False)).hexdigest()
    return named is None or (named.hashes or {}).get("sha256") != digest


def _waits(repository: Repository) -> bool:
    """Whether something is staged that is not public yet."""
    return repository.staged_trust.exists() or any(
        repository.staged(role) is not None for role in plans.ALL_ROLES
    )


def _document(
    repository: Repository,
    found: list[RoleStatus],
    published: list[Release],
    staged: list[Release],
) -> dict[str, object]:
    return {
        "repository": str(repository.folder),
        "roles": [one._asdict() for one in found],
        "published": [_release(one) for one in published],
        "staged": [_release(one) for one in staged],
        "waits": _waits(repository),
        "problems": [f"{one.role}: {one.problem}" for one in found if one.problem],
    }


def _release(one: Release) -> dict[str, object]:
    return {
        "kind": one.kind,
        "name": one.name,
        "version": one.version,
        "counter": one.counter,
        "size": one.target.length,
        "sha256": one.target.sha256,
        "urgency": one.urgency,
        "fraction": one.rollout.fraction,
        "statements": len(one.statements),
    }


def _lines(
    repository: Repository,
    found: list[RoleStatus],
    published: list[Release],
    staged: list[Release],
) -> list[str]:
    lines = [str(repository.folder), "", f"{'role':11}{'version':>8}  {'expires in':13}keys"]
    for one in found:
        keys = f"{one.threshold} of {', '.join(one.keys)} ({one.here} here)"
        left = human_age(one.expires_s) if one.expires_s > 0 else "-"
        lines.append(f"{one.role:11}{one.version or '-':>8}  {left:13}{keys}")
    lines += ["", "published" if published else "nothing is published yet"]
    lines += [_release_line(one) for one in published]
    lines += ["", "staged"] * bool(staged) + [_release_line(one) for one in staged]
    for one in found:
        if one.staged:
            word = f"{one.missing} signatures missing" if one.missing else "complete"
            lines.append(f"  {one.role} {one.staged}: {word}")
    waits = _waits(repository)
    lines += ["", "to do"] * (waits or any(one.problem for one in found))
    lines += [f"  {one.role}: {one.problem}" for one in found if one.problem]
    lines += ["  something is staged: vedette repo sign, vedette repo publish"] * waits
    return [escape(line) for line in lines]


def _release_line(one: Release) -> str:
    part = one.rollout.fraction / 100
    share = "" if part == 100 else f", {part:g} % of the fleet"  # noqa: PLR2004 - all of it
    return f"  {one.title}, {human_size(one.target.length)}, {one.urgency}{share}"
