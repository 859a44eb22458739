"""Rules for auditd's records, asked of the events that say the same.

Rule 1: a rule is specialised for each kind of record: `type` becomes true or false, its fields
become ours or never match, and what is left is asked of the category that serves the record.
Rule 2: an execution gives a SYSCALL, an EXECVE and PATH records; each kind is looked at on its own,
as auditd's users do, and never joined.
Rule 3: a SYSCALL rule that names no system call is asked of executions alone: what a program does
begins with running it.
Rule 4: `key` is the name of an audit rule: what that rule watches is read from the `definition` of
the log source, or known for a few public ones; any other key is missing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, get_args

from vedette.cli._specialise import Rewrite, any_of, specialise
from vedette.core.arguments import place_of
from vedette.core.condition import compile_condition, view
from vedette.core.partition import fields_of
from vedette.model.event import Activity
from vedette.model.rule import AllOf, AnyOf, Condition, Match, Not

_CALLS: Mapping[str, str] = {
    "init_module": "module_load",
    "finit_module": "module_load",
    "delete_module": "module_unload",
    "mount": "mount",
    "move_mount": "mount",
    "umount2": "umount",
    "ptrace": "ptrace",
    "capset": "capability_change",
    "setuid": "uid_change",
    "setreuid": "uid_change",
    "setresuid": "uid_change",
    "memfd_create": "memfd_create",
    "bpf": "bpf_load",
}
_ACTIVITIES = {call: told for call, told in _CALLS.items() if told in get_args(Activity)}
"""System calls that kernel_activity tells, by what it calls them."""

_EXECUTIONS = ("execve", "execveat")
_CALLS_OUT = ("connect",)
_CALLS_IN = ("accept", "accept4")

_NAME_TYPES = {"create": ("created", "renamed"), "delete": ("deleted",), "normal": ("modified",)}
"""PATH's nametype by our actions: a file that arrives by a rename is a new name too."""

_PUBLIC_KEYS: Mapping[str, str] = {
    "network_connect_4": "0.0.0.0/0",
    "network_connect_6": "::/0",
}
"""Keys of github.com/Neo23x0/auditd, which SigmaHQ's rules speak of: connect(2) to a network."""

_WATCH = re.compile(r"^\s*-w\s+(\S+)\s+-p\s+([rwxa]+)\s+-k\s+(\S+)", re.MULTILINE)
_MERGED = ("/bin/", "/sbin/", "/lib/")
"""Folders that are links into /usr on most systems; the kernel says where a program really is."""

_READS = "files that are only read (auditd's PATH records)"

_COMM_CHARS = 15  # TASK_COMM_LEN less its zero


class _Record(NamedTuple):
    """One kind of record, the category that serves it, and how its fields become ours.

    `needs` names fields one of which must be left in a condition, or the kind is not asked.
    """

    kind: str
    category: str
    rewrite: Rewrite
    needs: frozenset[str] = frozenset()


class Missing(NamedTuple):
    """What no event says: in words, and the comparison that asks for it."""

    words: str
    field: str = ""
    value: str = ""


class _Watch(NamedTuple):
    key: str
    path: str
    permissions: str


def served_by(
    condition: Condition, definition: str
) -> tuple[Mapping[str, Condition], tuple[Missing, ...]]:
    """What a rule for auditd asks of each of our categories, and what no event of ours says.

    Args:
        condition: over auditd's fields.
        definition: the log source's, which may hold audit rules.
    """
    watches = [_Watch(key, path, perms) for path, perms, key in _WATCH.findall(definition)]
    found: dict[str, list[Condition]] = {}
    for record in _records(watches):
        part = _left(condition, record)
        if isinstance(part, bool) or (record.needs and not record.needs & set(fields_of(part))):
            continue
        found.setdefault(record.category, []).append(part)
    joined = {category: _or(dict.fromkeys(parts)) for category, parts in found.items()}
    missing = {one.words: one for one in _missing(condition, _records(watches))}
    if "nametype" in fields_of(condition):
        missing.pop(_READS, None)  # it asks for what changes a name
    return joined, tuple(missing.values())


def field_in(category: str, field: str) -> str:
    """What events of a category call one of auditd's fields; the same where none fits."""
    if category == "process_creation":
        return {**_CALL_FIELDS, **_IDS, "a0": "Argv0"}.get(field, field)
    if category == "file_event" and field == "name":
        return "TargetFilename"
    return _CALL_FIELDS.get(field, field)


_CALL_FIELDS = {"exe": "Image", "pid": "ProcessId", "ppid": "ParentProcessId"}
_IDS = {"uid": "UserId", "euid": "UserId", "fsuid": "UserId", "auid": "LogonId"}


def _records(watches: Sequence[_Watch]) -> list[_Record]:
    def record(kind: str, category: str, rewrite: Rewrite, *needs: str) -> _Record:
        def keyed(match: Match) -> Condition | bool:
            return _keyed(match, category, watches) if match.field == "key" else rewrite(match)

        return _Record(kind, category, keyed, frozenset(needs))

    return [
        record("EXECVE", "process_creation", _execve),
        record("SYSCALL", "process_creation", _execution),
        record("SYSCALL", "kernel_activity", _activity, "Activity"),
        record("SYSCALL", "network_connection", _connection, "Initiated"),
        record("PATH", "file_event", _changed_path),
        record("PATH", "process_creation", _run_path),
    ]


def _execve(match: Match) -> Condition | bool:
    if match.field == "":  # the record holds the arguments and nothing else
        return match._replace(field="CommandLine")
    if match.field == "a0":
        return match._replace(field="Argv0")
    return match if place_of(match.field) else False


def _execution(match: Match) -> Condition | bool:
    if match.field == "SYSCALL":
        return any(_is_met(match, call) for call in _EXECUTIONS)
    if match.field == "success":
        return _is_met(match, "yes")
    if match.field == "comm":
        return _program_name(match)
    if match.field in _IDS:
        return match._replace(field=_IDS[match.field])
    name = _CALL_FIELDS.get(match.field)
    return match._replace(field=name) if name else False


def _activity(match: Match) -> Condition | bool:
    if match.field == "SYSCALL":
        told = [activity for call, activity in _ACTIVITIES.items() if _is_met(match, call)]
        return any_of(_equals("Activity", activity) for activity in dict.fromkeys(told))
    if match.field == "success":
        return _is_met(match, "yes")
    if match.field == "comm":
        return _program_name(match, has_argv0=False)
    name = {"exe": "Image", "pid": "ProcessId"}.get(match.field)
    return match._replace(field=name) if name else False


def _connection(match: Match) -> Condition | bool:
    if match.field == "SYSCALL":
        told = [("true", _CALLS_OUT), ("false", _CALLS_IN)]
        return any_of(
            _equals("Initiated", way)
            for way, calls in told
            if any(_is_met(match, call) for call in calls)
        )
    if match.field == "comm":
        return _program_name(match, has_argv0=False)
    name = {"exe": "Image", "pid": "ProcessId"}.get(match.field)
    return match._replace(field=name) if name else False


def _changed_path(match: Match) -> Condition | bool:
    if match.field == "name":
        return match._replace(field="TargetFilename")
    if match.field == "nametype":
        return any_of(
            _equals("Action", action)
            for kind, actions in _NAME_TYPES.items()
            if _is_met(match, kind)
            for action in actions
        )
    return False


def _run_path(match: Match) -> Condition | bool:
    if match.field == "name":
        return match._replace(field="Image")
    return _is_met(match, "normal") if match.field == "nametype" else False


def _program_name(match: Match, *, has_argv0: bool = True) -> Condition | bool:
    """`comm` is the name of the program's file, cut; a link to a program shows in argv[0] only."""
    if match.operator != "equals":
        return False
    if len(match.value.encode()) >= _COMM_CHARS:
        found = [Match("Image", "glob", f"*/{match.value}*", is_cased=False)]
    else:
        found = [Match("Image", "endswith", f"/{match.value}", is_cased=False)]
        if has_argv0:
            found.append(Match("Argv0", "endswith", f"/{match.value}", is_cased=False))
            found.append(Match("Argv0", "equals", match.value, is_cased=False))
    return any_of(found)


def _keyed(match: Match, category: str, watches: Sequence[_Watch]) -> Condition | bool:
    """What the audit rules watch whose key this is, as far as this category shows it."""
    found: list[Condition] = []
    for watch in watches:
        if _is_met(match, watch.key):
            found += _watched(watch, category)
    for key, network in _PUBLIC_KEYS.items():
        if category == "network_connection" and _is_met(match, key):
            inside = Match("DestinationIp", "cidr", network, is_cased=False)
            found.append(AllOf((_equals("Initiated", "true"), inside)))
    return any_of(found)


def _watched(watch: _Watch, category: str) -> list[Condition]:
    path = watch.path.rstrip("/")
    paths = [path, f"/usr{path}"] if path.startswith(_MERGED) else [path]
    if path.startswith("/usr/"):
        short = path.removeprefix("/usr")
        paths += [short] if short.startswith(_MERGED) else []
    if category == "process_creation" and "x" in watch.permissions:
        return [_equals("Image", one) for one in paths]
    if category == "file_event" and {"w", "a"} & set(watch.permissions):
        below = [Match("TargetFilename", "startswith", f"{one.lower()}/", False) for one in paths]
        return [*(_equals("TargetFilename", one) for one in paths), *below]
    return []


def _left(condition: Condition, record: _Record) -> Condition | bool:
    """What is left of a condition for one kind of record."""
    return specialise(condition, lambda match: _rewritten(match, record))


def _rewritten(match: Match, record: _Record) -> Condition | bool:
    if match.field == "type":
        return _is_met(match, record.kind)
    found = record.rewrite(match)
    if match.operator in ("null", "exists") and match.field and isinstance(found, bool):
        return match.operator == "null" or match.value == "false"  # the record has no such field
    return found


def _or(parts: Iterable[Condition]) -> Condition:
    kept = [one for part in parts for one in (part.parts if isinstance(part, AnyOf) else (part,))]
    return kept[0] if len(kept) == 1 else AnyOf(tuple(kept))


def _equals(field: str, value: str) -> Match:
    return Match(field, "equals", value.lower(), is_cased=False)


def _is_met(match: Match, value: str) -> bool:
    """Whether a comparison is true of a value that the kind of record fixes."""
    return compile_condition(match)(view({match.field: value}))


def _missing(condition: Condition, records: Sequence[_Record]) -> Iterator[Missing]:
    """What is asked for and is false in every kind of record."""
    match condition:
        case Match():
            if all(_left(condition, record) is False for record in records):
                yield Missing(_name_of(condition), condition.field, condition.value)
            elif condition.field == "type" and _is_met(condition, "PATH"):
                yield Missing(_READS, condition.field, condition.value)
        case Not():
            yield from _missing(condition.part, records)
        case AllOf() | AnyOf():
            for part in condition.parts:
                yield from _missing(part, records)


def _name_of(match: Match) -> str:
    match match.field:
        case "type":
            return f"auditd's {match.value.upper()} records"
        case "SYSCALL":
            return f"the system call {match.value}"
        case "key":
            return f"what auditd's key {match.value} watches (its rule is not in the definition)"
        case field:
            return f"auditd's field {field}"
