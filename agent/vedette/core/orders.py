"""What an operator's command asks for: its arguments, read once, for sender and device alike.

Rule 1: a command with a missing, unknown or malformed argument is no order; nothing is guessed.
Rule 2: an order that a person gave needs no other person's confirmation: one that says `lasts=0`
holds until somebody undoes it.
Rule 3: nothing here decides whether it may be done: trust/operator_gate.py does before, and
core/defence.py (what is never touched) after.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple, TypeAlias

from vedette.codec import command as codec
from vedette.codec.address_sets import address_number
from vedette.codec.addresses import address_text
from vedette.codec.text import quoted
from vedette.core.process_table import ProcessTable
from vedette.errors import RequestError
from vedette.model.command import Command, Verb
from vedette.model.playbook import LONGEST_S
from vedette.model.process import ProcessKey
from vedette.model.response import (
    DeviceTarget,
    FileTarget,
    Mode,
    Order,
    PeerTarget,
    ProcessTarget,
    Target,
)

HOUR_S = 3600
_MAX_PID = 2**22
_MAX_TICKS = 2**63 - 1
_HEX = re.compile(r"[0-9a-f]+")
_PROCESS = re.compile(r"([1-9][0-9]{0,6})/([0-9]{1,19})")
_PLAYBOOK = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
ROLLED_BACK = ("rules", "firmware", "model")
"""Kinds of releases of which the one before is kept."""
_ID_DIGITS = 16
_DIGEST_DIGITS = 64


class Do(NamedTuple):
    """Carry an order out; `is_confirmed` says that it holds until somebody undoes it."""

    order: Order
    is_confirmed: bool


class Lift(NamedTuple):
    """Undo what holds: the response of this id, or ("") all of a responder (against a target)."""

    response_id: str
    responder: str
    target: Target | None


class Decide(NamedTuple):
    """Promote a playbook (by its digest), or demote one (by digest or name)."""

    playbook: str
    mode: Mode


class Acknowledge(NamedTuple):
    """A person has seen an incident: its responses last for so long, 0 until they are undone."""

    incident_id: str
    lasts_s: int


class Collect(NamedTuple):
    """Send what there is to know of an incident."""

    incident_id: str


class Renew(NamedTuple):
    """Look for releases now, or ("rules", "firmware", "model") go back to the one before."""

    rollback: str


Wish: TypeAlias = Do | Lift | Decide | Acknowledge | Collect | Renew


class Argument(NamedTuple):
    """One argument of a verb; `words` say what is expected."""

    words: str
    is_good: Callable[[str], bool]
    is_required: bool = True


def _is_seconds(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 7 and int(text) <= LONGEST_S  # noqa: PLR2004


def _is_path(text: str) -> bool:
    return text.startswith("/") and not {"..", "."} & set(text.split("/")) and text != "/"


def _is_hex(text: str, digits: int) -> bool:
    return len(text) == digits and _HEX.fullmatch(text) is not None


def _is_digest(text: str) -> bool:
    return _is_hex(text, _DIGEST_DIGITS)


def _is_id(text: str) -> bool:
    return _is_hex(text, _ID_DIGITS)


_LASTS = Argument(f"seconds up to {LONGEST_S}, 0 until undone", _is_seconds, is_required=False)
_INCIDENT = Argument("an incident's id of 16 hex digits", _is_id)
_ABOUT = _INCIDENT._replace(is_required=False)
_ADDRESS = Argument("an IPv4 or IPv6 address", lambda text: address_number(text) is not None)
_PATH = Argument("an absolute path without . and ..", _is_path)
_DIGEST = Argument("a SHA-256 of 64 hex digits", _is_digest, is_required=False)

ARGUMENTS: Mapping[Verb, Mapping[str, Argument]] = {
    Verb.ISOLATE: {"lasts": _LASTS, "incident": _ABOUT},
    Verb.RELEASE: {},
    Verb.BLOCK: {"address": _ADDRESS, "lasts": _LASTS, "incident": _ABOUT},
    Verb.UNBLOCK: {"address": _ADDRESS},
    Verb.KILL: {
        "process": Argument(
            "a process as reports name it, PID/START", lambda text: _key(text) is not None
        ),
        "incident": _ABOUT,
    },
    Verb.QUARANTINE: {"path": _PATH, "sha256": _DIGEST, "lasts": _LASTS, "incident": _ABOUT},
    Verb.RESTORE: {"path": _PATH, "lasts": _LASTS, "incident": _ABOUT},
    Verb.UNDO: {"response": Argument("a response's id of 16 hex digits", _is_id)},
    Verb.PROMOTE: {"playbook": Argument("a playbook's digest of 64 hex digits", _is_digest)},
    Verb.DEMOTE: {
        "playbook": Argument(
            "a playbook's name or digest", lambda text: _PLAYBOOK.fullmatch(text) is not None
        )
    },
    Verb.ACKNOWLEDGE: {"incident": _INCIDENT, "lasts": _LASTS},
    Verb.COLLECT: {"incident": _INCIDENT},
    Verb.UPDATE: {},
    Verb.ROLLBACK: {"kind": Argument("rules, firmware or model", lambda text: text in ROLLED_BACK)},
}


def check(command: Command) -> Verb:
    """The verb of a command whose arguments are those it takes.

    Raises:
        RequestError: the verb is unknown, or an argument missing, unknown or malformed.
    """
    if command.verb not in frozenset(Verb):
        raise RequestError(f"expected one of {', '.join(Verb)}, got {quoted(command.verb)}")
    verb = Verb(command.verb)
    known = ARGUMENTS[verb]
    for name, text in command.arguments.items():
        if name not in known:
            takes = ", ".join(known) or "none"
            raise RequestError(f"{verb} has no argument {name}; it takes {takes}")
        if not known[name].is_good(text):
            raise RequestError(
                f"{verb}: expected {known[name].words} as {name}, got {quoted(text)}"
            )
    for name, argument in known.items():
        if argument.is_required and name not in command.arguments:
            raise RequestError(f"{verb}: expected {argument.words} as {name}, got none")
    return verb


def incident_of(command: Command | None) -> str:
    """The incident that a command names in the right form, or ""."""
    found = command.arguments.get("incident", "") if command is not None else ""
    return found if _is_id(found) else ""


def read(  # noqa: C901, PLR0912 - one case for each verb
    command: Command, processes: ProcessTable
) -> Wish:
    """What a device is to do.

    Args:
        command: that may be carried out (trust/operator_gate.py).
        processes: knows a process's program and descendants.

    Raises:
        RequestError: an argument is missing, unknown or malformed.
    """
    verb, given = check(command), command.arguments
    match verb:
        case Verb.ISOLATE:
            return _do(command, "isolate", DeviceTarget(), HOUR_S)
        case Verb.RELEASE:
            return Lift("", "isolate", None)
        case Verb.BLOCK:
            return _do(command, "block_peer", _peer(given["address"]), HOUR_S)
        case Verb.UNBLOCK:
            return Lift("", "block_peer", _peer(given["address"]))
        case Verb.KILL:
            return Do(_order(command, "kill", _process(given["process"], processes), 0), False)
        case Verb.QUARANTINE:
            target = FileTarget(given["path"], given.get("sha256", ""))
            return _do(command, "quarantine", target, 0)
        case Verb.RESTORE:
            return _do(command, "restore_file", FileTarget(given["path"], ""), 0)
        case Verb.UNDO:
            return Lift(given["response"], "", None)
        case Verb.PROMOTE:
            return Decide(given["playbook"], Mode.ENFORCE)
        case Verb.DEMOTE:
            return Decide(given["playbook"], Mode.OBSERVE)
        case Verb.ACKNOWLEDGE:
            return Acknowledge(given["incident"], int(given.get("lasts", "0")))
        case Verb.COLLECT:
            return Collect(given["incident"])
        case Verb.UPDATE:
            return Renew("")
        case Verb.ROLLBACK:
            return Renew(given["kind"])


def lifted(lift: Lift, held: Iterable[Order]) -> list[str]:
    """Ids of the responses in force that are meant."""
    if lift.response_id:
        return [lift.response_id]
    return [
        order.response_id
        for order in held
        if order.responder == lift.responder and lift.target in {None, order.target}
    ]


def _do(command: Command, responder: str, target: Target, usual_s: int) -> Do:
    lasts_s = int(command.arguments.get("lasts", usual_s))
    return Do(_order(command, responder, target, lasts_s or LONGEST_S), is_confirmed=not lasts_s)


def _order(command: Command, responder: str, target: Target, lasts_s: int) -> Order:
    return Order(
        response_id=codec.digest(codec.encode(command))[:_ID_DIGITS],
        responder=responder,
        target=target,
        mode=Mode.ENFORCE,
        cause=command.origin,
        incident_id=incident_of(command),
        playbook="",
        lasts_s=float(lasts_s),
    )


def _key(text: str) -> ProcessKey | None:
    found = _PROCESS.fullmatch(text)
    if found is None:
        return None
    key = ProcessKey(int(found[1]), int(found[2]))
    return key if key.pid <= _MAX_PID and key.start_ticks <= _MAX_TICKS else None


def _process(text: str, processes: ProcessTable) -> ProcessTarget:
    key = _key(text)
    if key is None:
        raise RuntimeError(f"an argument was not checked: {text!a}")
    process = processes.get(key.pid)
    if process is None or process.start_ticks not in {0, key.start_ticks}:
        return ProcessTarget(key, "")
    kin = processes.descendants(key.pid)
    keys = tuple(ProcessKey(one.pid, one.start_ticks) for one in kin)
    return ProcessTarget(key, process.image, kin=keys)


def _peer(text: str) -> PeerTarget:
    """One address has one text, or a block would not be found again to be undone."""
    number = address_number(text)
    if number is None:
        raise RuntimeError(f"an argument was not checked: {text!a}")
    return PeerTarget(address_text(number.value.to_bytes(number.bits // 8, "big")))
