"""Who signs what in a repository, and for how long: repository.json, the operator's own.

    {"format": 1, "grants": {"alice": {"groups": ["*"], "verbs": ["isolate"]}},
     "roles": {"root": {"days": 365, "keys": ["root-a", "root-b"], "threshold": 2}, ...}}

Rule 1: keys are named as in the folder of keys; the ids stand in the signed metadata.
Rule 2: every role of ours is there, each with a threshold that its keys can reach.
Rule 3: nothing secret is in it, and no device reads it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from vedette.codec import strict_fields as strict
from vedette.codec import topics
from vedette.codec.strict_json import Json, parse
from vedette.errors import ParseError, RequestError
from vedette.model.command import Verb
from vedette.model.release import FOLDERS, ROLES
from vedette.model.trust import EVERY_GROUP, Grant

FILE = "repository.json"
FORMAT = 1
MAX_KEYS = 16
"""As the trust document allows for a role."""

ROOT, TARGETS, SNAPSHOT, TIMESTAMP = "root", "targets", "snapshot", "timestamp"
TOP_LEVEL = (ROOT, TARGETS, SNAPSHOT, TIMESTAMP)
DELEGATED = tuple(role for role in dict.fromkeys(ROLES.values()) if role != TARGETS)
ALL_ROLES = (*TOP_LEVEL, *DELEGATED)

DAYS: Mapping[str, int] = {ROOT: 365, TARGETS: 365, SNAPSHOT: 90, TIMESTAMP: 30}
DELEGATED_DAYS = 180
"""Ours: people sign these by hand, so they last; snapshot and timestamp are a timer's work."""

_MAX_BYTES = 1 << 20
_MAX_DAYS = 3650
_KEY = re.compile(r"[a-z0-9][a-z0-9.-]{0,63}")
_PLAN = frozenset({"format", "grants", "roles"})
_ROLE = frozenset({"days", "keys", "threshold"})
_GRANT = frozenset({"groups", "verbs"})
_VERB = re.compile("|".join(Verb))


class RolePlan(NamedTuple):
    """Whose keys sign a role.

    Attributes:
        keys: names, each once.
        threshold: how many of them must.
        days: for which a signature is good.
    """

    keys: tuple[str, ...]
    threshold: int
    days: int


@dataclass(frozen=True, slots=True)
class Plan:
    """A repository's roles, and what operators' keys may command."""

    roles: Mapping[str, RolePlan]
    grants: Mapping[str, Grant] = field(default_factory=dict)


def delegated_paths(role: str) -> list[str]:
    """The targets that a delegated role may sign."""
    return [f"{FOLDERS[kind]}/*/*" for kind, name in ROLES.items() if name == role]


def encode(plan: Plan) -> bytes:
    """As a person may read and diff it.

    Raises:
        ParseError: it is none that `decode` would read.
    """
    value: dict[str, Json] = {
        "format": FORMAT,
        "grants": {
            name: {"groups": [*sorted(grant.groups)], "verbs": [*sorted(grant.verbs)]}
            for name, grant in plan.grants.items()
        },
        "roles": {
            name: {"days": role.days, "keys": list(role.keys), "threshold": role.threshold}
            for name, role in plan.roles.items()
        },
    }
    data = json.dumps(value, indent=1, sort_keys=True).encode() + b"\n"
    decode(data)
    return data


def decode(data: bytes) -> Plan:
    """Read a plan.

    Raises:
        ParseError: it is none.
    """
    fields = strict.fields(parse(data, max_bytes=_MAX_BYTES), "a repository's plan", _PLAN)
    strict.format_number(fields["format"], FORMAT)
    roles = strict.fields(fields["roles"], "the roles", frozenset(ALL_ROLES))
    made = {name: _role(name, roles[name]) for name in ALL_ROLES}
    grants = fields["grants"]
    if not isinstance(grants, Mapping) or not grants.keys() <= {*made["operators"].keys}:
        raise ParseError("expected grants for keys of the role operators alone")
    return Plan(made, {name: _grant(one) for name, one in grants.items()})


def read_role(text: str) -> tuple[str, tuple[str, ...], int]:
    """`ROLE=KEY[,KEY...][:THRESHOLD]` as the command line has it.

    Raises:
        RequestError: it is not of that form; the threshold is 1 where none is said.
    """
    name, _, rest = text.partition("=")
    keys, _, threshold = rest.partition(":")
    if name not in ALL_ROLES:
        raise RequestError(f"--role: expected a role of {', '.join(ALL_ROLES)}, got {name!a}")
    if threshold and not threshold.isdecimal():
        raise RequestError(f"--role {name}: expected a threshold in digits, got {threshold!a}")
    return name, tuple(keys.split(",")), int(threshold or 1)


def read_grant(text: str) -> tuple[str, Grant]:
    """`KEY=VERB,...@GROUP,...` as the command line has it; `*` stands for all.

    Raises:
        RequestError: it is not of that form.
    """
    name, _, rest = text.partition("=")
    verbs, _, groups = rest.partition("@")
    words = [str(verb) for verb in Verb] if verbs == "*" else verbs.split(",")
    try:
        plain = {"groups": sorted(groups.split(",")), "verbs": sorted(words)}
        return strict.matched(name, "the name of a key", _KEY), _grant(plain)
    except ParseError as error:
        raise RequestError(
            f"--grant {text}: expected KEY=VERB[,VERB]@GROUP[,GROUP]: {error}"
        ) from error


def _role(name: str, value: object) -> RolePlan:
    fields = strict.fields(value, f"the role {name}", _ROLE)
    keys = strict.rows(
        fields["keys"], "keys", MAX_KEYS, lambda one: strict.matched(one, "a key's name", _KEY)
    )
    if not keys or len(set(keys)) < len(keys):
        raise ParseError(f"role {name}: expected one key at least, each once")
    return RolePlan(
        keys,
        strict.number(fields["threshold"], f"the threshold of {name}", 1, len(keys)),
        strict.number(fields["days"], f"the days of {name}", 1, _MAX_DAYS),
    )


def _grant(value: object) -> Grant:
    fields = strict.fields(value, "a grant", _GRANT)
    verbs = strict.texts(fields["verbs"], "verbs", 64, _VERB)
    groups = strict.rows(fields["groups"], "groups", 64, _group)
    if not verbs or not groups:
        raise ParseError("expected a grant of one verb and one group at least")
    return Grant(frozenset(verbs), frozenset(groups))


def _group(value: object) -> str:
    if not isinstance(value, str) or (value != EVERY_GROUP and not topics.is_segment(value)):
        raise ParseError(f'expected a group as topics have them, or "*", got {strict.shown(value)}')
    return value
