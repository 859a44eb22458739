"""`vedette repo init`: the first root, empty delegations, and the first trust document."""

from __future__ import annotations

import argparse
from pathlib import Path

from securesystemslib.signer import SSlibKey
from tuf.api.metadata import DelegatedRole, Delegations, Metadata, Root, Targets

from vedette.cli import _repository_plan as plans
from vedette.cli._files import replace_file
from vedette.cli._key_store import ED25519, KeyStore
from vedette.cli._passwords import Passwords
from vedette.cli._publication import publish
from vedette.cli._repo_output import tell
from vedette.cli._repository import Repository
from vedette.cli._repository_plan import DELEGATED, ROOT, TARGETS, Plan, RolePlan
from vedette.cli._trust_source import device_file, stage_trust
from vedette.errors import ParseError, RequestError


def run(args: argparse.Namespace) -> int:
    """Make the repository, and publish it when all signatures are here."""
    keys = KeyStore(args.keys, Passwords(args.password_file))
    if (args.repo / plans.FILE).exists():
        raise RequestError(f"{args.repo}: there is a repository already; see: vedette repo rotate")
    plan = read_plan(args, Plan({role: _default(role) for role in plans.ALL_ROLES}))
    made = _create_keys(keys, plan, args) if args.create_keys else []
    lines = [f"{args.keys}: made the keys {', '.join(made)}"] if made else []
    _check_keys(keys, plan)
    args.repo.mkdir(parents=True, exist_ok=True)
    replace_file(args.repo / plans.FILE, plans.encode(plan))
    repository = Repository(args.repo, keys)
    with repository.locked():
        lines += start(repository)
    return tell(args, lines, keys_made=made, root=str(root_file(repository)))


def start(repository: Repository) -> list[str]:
    """Stage the first version of everything, and publish it if nothing is missing."""
    plan = repository.plan
    root = Root(version=1, consistent_snapshot=True)
    set_root_keys(repository, root)
    repository.stage(ROOT, Metadata(root))
    delegations = Delegations({}, {})
    targets = Targets(version=1, delegations=delegations)
    set_delegations(repository, targets)
    repository.stage(TARGETS, Metadata(targets))
    for role in DELEGATED:
        repository.stage(role, Metadata(Targets(version=1)))
    lines = stage_trust(repository)
    waiting = [role for role in (ROOT, TARGETS, *DELEGATED) if _is_short(repository, role)]
    if waiting or repository.staged_trust.exists():
        lines.append(
            f"staged; signatures are missing for {', '.join(waiting) or 'the trust document'}: "
            "run `vedette repo sign` where those keys are, then `vedette repo publish`"
        )
        return lines
    publish(repository)
    keep_root(repository)
    roots = plan.roles[ROOT]
    lines.append(
        f"{repository.folder}: published version 1 with {len(plan.roles)} roles, root "
        f"{roots.threshold} of {len(roots.keys)}"
    )
    lines.append(f"build devices with {root_file(repository)} and {device_file(repository)}")
    lines.append(f"serve {repository.metadata_folder.parent}")
    return lines


def root_file(repository: Repository) -> Path:
    """The root that devices are built with."""
    return repository.folder / "device" / "root.json"


def keep_root(repository: Repository) -> None:
    """Keep the newest published root for the next image of a device."""
    root = repository.published(ROOT)
    if root is not None:
        root_file(repository).parent.mkdir(exist_ok=True)
        replace_file(root_file(repository), repository.content(ROOT, is_staged=False))


def read_plan(args: argparse.Namespace, plan: Plan) -> Plan:
    """A plan with what the flags change.

    Raises:
        RequestError: a flag is not as it must be.
    """
    roles, grants = dict(plan.roles), dict(plan.grants)
    for text in args.role:
        name, keys, threshold = plans.read_role(text)
        roles[name] = roles[name]._replace(keys=keys, threshold=threshold)
    for text in args.days:
        name, _, days = text.partition("=")
        if name not in roles or not days.isdecimal():
            raise RequestError(f"--days {text}: expected ROLE=N with a role of {', '.join(roles)}")
        roles[name] = roles[name]._replace(days=int(days))
    grants.update(plans.read_grant(text) for text in args.grant)
    changed = Plan(
        roles, {who: one for who, one in grants.items() if who in roles["operators"].keys}
    )
    unknown = sorted({*grants} - {*changed.grants})
    if args.grant and unknown:
        raise RequestError(f"--grant: expected a key of operators, got {', '.join(unknown)}")
    try:
        plans.encode(changed)
    except ParseError as error:
        raise RequestError(str(error)) from error
    return changed


def set_root_keys(repository: Repository, root: Root) -> None:
    """Give the top-level roles exactly the keys and thresholds of the plan."""
    for role in plans.TOP_LEVEL:
        plan, wanted = repository.plan.roles[role], _by_id(repository, role)
        for key_id in [key_id for key_id in root.roles[role].keyids if key_id not in wanted]:
            root.revoke_key(key_id, role)
        for key in wanted.values():
            root.add_key(key, role)
        root.roles[role].threshold = plan.threshold


def set_delegations(repository: Repository, targets: Targets) -> None:
    """Give the delegated roles exactly the keys, thresholds and paths of the plan."""
    delegations = Delegations({}, {})
    for role in DELEGATED:
        found = _by_id(repository, role)
        delegations.keys.update(found)
        if delegations.roles is not None:
            delegations.roles[role] = DelegatedRole(
                name=role,
                keyids=[*found],
                threshold=repository.plan.roles[role].threshold,
                terminating=True,
                paths=plans.delegated_paths(role),
            )
    targets.delegations = delegations


def _by_id(repository: Repository, role: str) -> dict[str, SSlibKey]:
    keys = (repository.keys.public(name) for name in repository.plan.roles[role].keys)
    return {key.keyid: key for key in keys}


def _is_short(repository: Repository, role: str) -> bool:
    staged = repository.staged(role)
    return staged is not None and repository.missing(role, staged) > 0


def _default(role: str) -> RolePlan:
    return RolePlan((role,), 1, plans.DAYS.get(role, plans.DELEGATED_DAYS))


def _create_keys(keys: KeyStore, plan: Plan, args: argparse.Namespace) -> list[str]:
    wanted = dict.fromkeys(name for role in plan.roles.values() for name in role.keys)
    made = [name for name in wanted if not keys.has(name)]
    for name in made:
        keys.create(name, ED25519, is_encrypted=not args.no_password)
    return made


def _check_keys(keys: KeyStore, plan: Plan) -> None:
    """All public halves are there, and no key stands in for two of one role."""
    for role, one in plan.roles.items():
        ids = [keys.public(name).keyid for name in one.keys]
        if len(set(ids)) < len(ids):
            raise RequestError(f"role {role}: expected different keys, got one under two names")
