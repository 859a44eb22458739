"""Playbooks <-> the canonical JSON that is signed.

    {"counter": 3, "expires": 1900000000, "format": 1, "issued": 1800000000, "name": "playbooks",
     "playbooks": [{"name": "end-miner", "per-hour": 60, "per-target": 3, "rules": ["<id>"],
                    "severity": "high", "steps": [{"aim": "process", "lasts": 0,
                    "responder": "kill", "unit": ""}], "tags": [], "title": "..."}],
     "profiles": [{"classes": ["camera"], "limits": {"kill": {"longest": 0, "mode": "enforce",
                   "per-hour": 120}}, "name": "home"}],
     "promoted": ["<SHA-256 of a playbook in hex>"]}

Rule 1: only the canonical bytes are read: one set, one digest; and each playbook has one of its
own, over its canonical bytes, which a promotion names.
Rule 2: what this file does not know is refused, never passed over.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from typing import TypeVar, get_args

from vedette.codec.strict_json import Json, canonical, parse
from vedette.codec.text import escape, quoted
from vedette.errors import ParseError
from vedette.model.finding import Severity
from vedette.model.playbook import (
    LONGEST_S,
    MAX_PER_HOUR,
    MAX_PLAYBOOKS,
    MAX_PROFILES,
    MAX_RULES,
    MAX_STEPS,
    Aim,
    DeviceProfile,
    Limit,
    Playbook,
    Playbooks,
    Step,
)
from vedette.model.response import Mode

PAYLOAD_TYPE = "application/vnd.vedette.playbooks+json"
MAX_BYTES = 1 << 20
FORMAT = 1

_MAX_NUMBER = 2**53 - 1  # what every JSON reader holds exactly
_MAX_TITLE = 256
_SET = frozenset(
    {"counter", "expires", "format", "issued", "name", "playbooks", "profiles", "promoted"}
)
_PLAYBOOK = frozenset(
    {"name", "per-hour", "per-target", "rules", "severity", "steps", "tags", "title"}
)
_STEP = frozenset({"aim", "lasts", "responder", "unit"})
_PROFILE = frozenset({"classes", "limits", "name"})
_LIMIT = frozenset({"longest", "mode", "per-hour"})
_AIMS: tuple[Aim, ...] = get_args(Aim)
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
_RESPONDER = re.compile(r"[a-z][a-z0-9_]{0,31}")
_RULE = re.compile(r"[A-Za-z0-9][A-Za-z0-9:._-]{0,127}")
_TAG = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)+")
_CLASS = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]{0,63})?")
_UNIT = re.compile(r"([A-Za-z0-9:_.\\@-]{1,250}\.(service|socket|timer|target|path|mount))?")
_MODEL = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
_DIGEST = re.compile(r"[0-9a-f]{64}")

Entry = TypeVar("Entry")


def encode(playbooks: Playbooks) -> bytes:
    """The payload of a signed set; no digest is written, they follow from what is.

    Raises:
        ParseError: it is none that `decode` would read.
    """
    data = canonical(
        {
            "counter": playbooks.counter,
            "expires": playbooks.expires_s,
            "format": FORMAT,
            "issued": playbooks.issued_s,
            "name": playbooks.name,
            "playbooks": [_plain_playbook(one) for one in playbooks.playbooks],
            "profiles": [_plain_profile(one) for one in playbooks.profiles],
            "promoted": list(playbooks.promoted),
        }
    )
    decode(data)
    return data


def decode(payload: bytes) -> Playbooks:
    """Read the payload of a signed set; whether it was signed is not looked at.

    Raises:
        ParseError: it is none, or one that could be read in two ways.
    """
    value = parse(payload, max_bytes=MAX_BYTES)
    if canonical(value) != payload:
        raise ParseError("expected canonical JSON (sorted names, no spaces)")
    fields = _fields(value, "the playbooks", _SET)
    if fields["format"] != FORMAT:
        raise ParseError(f"expected format {FORMAT}; a newer agent is needed for another")
    found = Playbooks(
        name=_text(fields, "name", _MAX_TITLE),
        counter=_number(fields, "counter", 1, _MAX_NUMBER),
        issued_s=_number(fields, "issued", 0, _MAX_NUMBER),
        expires_s=_number(fields, "expires", 0, _MAX_NUMBER),
        playbooks=_list(fields["playbooks"], "playbooks", MAX_PLAYBOOKS, _playbook),
        profiles=_list(fields["profiles"], "profiles", MAX_PROFILES, _profile),
        promoted=_texts(fields["promoted"], "promoted", MAX_PLAYBOOKS, _DIGEST),
        digest=hashlib.sha256(payload).hexdigest(),
    )
    _check(found)
    return found


def digest_of(playbook: Playbook) -> str:
    """What a promotion names: SHA-256 over all of a playbook, in hex."""
    return hashlib.sha256(canonical(_plain_playbook(playbook))).hexdigest()


def _check(found: Playbooks) -> None:
    """What no single entry shows."""
    if found.expires_s <= found.issued_s:
        raise ParseError("expected the playbooks to expire after they were issued")
    digests = {playbook.digest for playbook in found.playbooks}
    for what, names in (
        ("playbook", [one.name for one in found.playbooks]),
        ("profile", [one.name for one in found.profiles]),
        ("class of a profile", [name for one in found.profiles for name in one.classes]),
    ):
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise ParseError(f"expected each {what} once, got {quoted(twice)} again")
    stray = [digest for digest in found.promoted if digest not in digests]
    if stray:
        raise ParseError(f"expected promotions of the playbooks there are, got {stray[0][:16]}...")


def _plain_playbook(playbook: Playbook) -> dict[str, Json]:
    return {
        "name": playbook.name,
        "per-hour": playbook.per_hour,
        "per-target": playbook.per_target,
        "rules": list(playbook.rules),
        "severity": playbook.severity.name.lower(),
        "steps": [
            {"aim": one.aim, "lasts": one.lasts_s, "responder": one.responder, "unit": one.unit}
            for one in playbook.steps
        ],
        "tags": list(playbook.tags),
        "title": playbook.title,
    }


def _plain_profile(profile: DeviceProfile) -> dict[str, Json]:
    limits: dict[str, Json] = {
        name: {"longest": one.longest_s, "mode": str(one.mode), "per-hour": one.per_hour}
        for name, one in profile.limits.items()
    }
    return {"classes": list(profile.classes), "limits": limits, "name": profile.name}


def _playbook(value: Json) -> Playbook:
    fields = _fields(value, "a playbook", _PLAYBOOK)
    made = Playbook(
        name=_matched(fields["name"], "the name of a playbook", _NAME),
        title=_text(fields, "title", _MAX_TITLE),
        rules=_texts(fields["rules"], "rules", MAX_RULES, _RULE),
        tags=_texts(fields["tags"], "tags", MAX_RULES, _TAG),
        severity=_severity(fields["severity"]),
        steps=_list(fields["steps"], "steps", MAX_STEPS, _step),
        per_hour=_number(fields, "per-hour", 1, MAX_PER_HOUR),
        per_target=_number(fields, "per-target", 1, MAX_PER_HOUR),
        digest="",
    )
    if not made.steps or not (made.rules or made.tags):
        raise ParseError(f"{made.name}: expected a rule or tag to answer, and a step to take")
    return made._replace(digest=digest_of(made))


def _step(value: Json) -> Step:
    fields = _fields(value, "a step", _STEP)
    aim = next((one for one in _AIMS if one == fields["aim"]), None)
    if aim is None:
        raise ParseError(f"expected an aim of {', '.join(_AIMS)}, got {quoted(fields['aim'])}")
    unit = _named(fields["unit"], aim)
    return Step(
        responder=_matched(fields["responder"], "the name of a responder", _RESPONDER),
        aim=aim,
        lasts_s=_number(fields, "lasts", 0, LONGEST_S),
        unit=unit,
    )


def _named(value: Json, aim: Aim) -> str:
    """What the step names: its unit or model, and nothing where the finding says what is meant."""
    match aim:
        case "unit":
            name = _matched(value, "a unit with its suffix", _UNIT)
        case "model":
            name = _matched(value, "the name of a model", _MODEL)
        case _:
            name = "" if value == "" else "stray"
    if (name == "") == (aim in {"unit", "model"}) or name == "stray":
        raise ParseError('expected a name where the aim is "unit" or "model", and only there')
    return name


def _profile(value: Json) -> DeviceProfile:
    fields = _fields(value, "a profile", _PROFILE)
    limits = fields["limits"]
    if not isinstance(limits, dict) or len(limits) > MAX_RULES:
        raise ParseError("expected the limits of a profile by responder")
    return DeviceProfile(
        name=_matched(fields["name"], "the name of a profile", _NAME),
        classes=_texts(fields["classes"], "classes", MAX_RULES, _CLASS),
        limits={
            _matched(name, "the name of a responder", _RESPONDER): _limit(limit)
            for name, limit in limits.items()
        },
    )


def _limit(value: Json) -> Limit:
    fields = _fields(value, "a limit", _LIMIT)
    mode = next((one for one in Mode if one == fields["mode"]), None)
    if mode is None:
        raise ParseError(f'expected "observe" or "enforce", got {quoted(fields["mode"])}')
    per_hour = _number(fields, "per-hour", 0, MAX_PER_HOUR)
    return Limit(mode, per_hour, _number(fields, "longest", 0, LONGEST_S))


def _severity(value: Json) -> Severity:
    found = next((one for one in Severity if one.name.lower() == value), None)
    if found is None:
        words = ", ".join(one.name.lower() for one in Severity)
        raise ParseError(f"expected a severity of {words}, got {quoted(value)}")
    return found


def _fields(value: Json, what: str, names: frozenset[str]) -> dict[str, Json]:
    if not isinstance(value, dict) or value.keys() != names:
        raise ParseError(f"expected {what} with {', '.join(sorted(names))}, got {quoted(value)}")
    return value


def _list(value: Json, what: str, most: int, read: Callable[[Json], Entry]) -> tuple[Entry, ...]:
    if not isinstance(value, list) or len(value) > most:
        raise ParseError(f"expected a list of at most {most} {what}, got {quoted(value)}")
    return tuple(read(one) for one in value)


def _texts(value: Json, what: str, most: int, pattern: re.Pattern[str]) -> tuple[str, ...]:
    found = _list(value, what, most, lambda one: _matched(one, f"an entry of {what}", pattern))
    if len(set(found)) < len(found):
        raise ParseError(f"expected each entry of {what} once")
    return found


def _matched(value: Json, what: str, pattern: re.Pattern[str]) -> str:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise ParseError(f"expected {what}, got {quoted(value)}")
    return value


def _text(fields: dict[str, Json], name: str, most: int) -> str:
    value = fields[name]
    if not isinstance(value, str) or len(value) > most or escape(value) != value:
        raise ParseError(f"expected {name} to be visible text of at most {most} characters")
    return value


def _number(fields: dict[str, Json], name: str, low: int, high: int) -> int:
    value = fields[name]
    if type(value) is not int or not low <= value <= high:
        raise ParseError(f"expected {name} to be a number from {low} to {high}, got "
                         f"{quoted(value)}")  # fmt: skip
    return value
