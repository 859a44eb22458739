"""`vedette repo sign`: the keys that are here sign what others staged."""

from __future__ import annotations

import argparse

from vedette.cli import _repository_plan as plans
from vedette.cli._repo_output import open_repository, tell
from vedette.cli._trust_source import sign_trust
from vedette.errors import RequestError


def run(args: argparse.Namespace) -> int:
    """Add signatures; says what is still missing."""
    repository = open_repository(args)
    unknown = [role for role in args.roles if role not in plans.ALL_ROLES]
    if unknown:
        raise RequestError(f"expected roles of {', '.join(plans.ALL_ROLES)}, got {unknown[0]!a}")
    lines: list[str] = []
    with repository.locked():
        if not args.roles or plans.ROOT in args.roles:
            lines += sign_trust(repository)
        for role in args.roles or plans.ALL_ROLES:
            metadata = repository.staged(role)
            if metadata is None:
                if args.roles:
                    raise RequestError(f"role {role}: nothing of it is staged")
                continue
            names = repository.add_signatures(role, metadata)
            short = repository.missing(role, metadata)
            done = "complete" if not short else f"{short} more needed"
            lines.append(f"role {role}: signed by {', '.join(names) or 'no key here'}; {done}")
    if not lines:
        raise RequestError("nothing is staged")
    return tell(args, lines)
