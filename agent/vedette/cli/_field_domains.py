"""What the fields of events can hold (core/enrich.py), so that what they never hold is noticed.

Rule: only what every tier keeps to stands here; a field that is not named may hold any text.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Literal, NamedTuple, TypeAlias, get_args

from vedette.core.comparison import compile_test
from vedette.errors import RuleError
from vedette.model.event import Activity, FileAction, Protocol
from vedette.model.rule import Match

Kind: TypeAlias = Literal["path", "number", "address", "words", "lower", "mode"]


class Domain(NamedTuple):
    """The values of one field; `words` are all there are, where `kind` says so."""

    kind: Kind
    words: tuple[str, ...] = ()


_FLAG = Domain("words", ("true",))
_PATH, _NUMBER, _ADDRESS = Domain("path"), Domain("number"), Domain("address")

DOMAINS: Mapping[str, Domain] = {
    "Action": Domain("words", get_args(FileAction)),
    "Activity": Domain("words", get_args(Activity)),
    "Address": _ADDRESS,
    "CommandLineIncomplete": _FLAG,
    "CurrentDirectory": _PATH,
    "DestinationIp": _ADDRESS,
    "DestinationPort": _NUMBER,
    "DistinctCount": _NUMBER,
    "Established": _FLAG,
    "Executable": _FLAG,
    "Initiated": Domain("words", ("true", "false")),
    "IsDirectory": _FLAG,
    "LogonId": _NUMBER,
    "Mode": Domain("mode"),
    "OldFilename": _PATH,
    "ParentIsUpdate": _FLAG,
    "ParentProcessId": _NUMBER,
    "Port": _NUMBER,
    "ProcessId": _NUMBER,
    "Protocol": Domain("words", get_args(Protocol)),
    "QueryName": Domain("lower"),
    "QueryType": _NUMBER,
    "Setgid": _FLAG,
    "Setuid": _FLAG,
    "SourceIp": _ADDRESS,
    "SourcePort": _NUMBER,
    "SweepKind": Domain("words", ("ports", "hosts")),
    "TargetFilename": _PATH,
    "TargetRunning": _FLAG,
    "UserId": _NUMBER,
}
"""`DestinationHostname` is lower case where a name was asked for, but a hint may bring any."""

_NUMBER_CHARS = frozenset("-0123456789")
_ADDRESS_CHARS = frozenset("0123456789abcdef:.%")
_TEXTS = frozenset(("equals", "contains", "startswith", "endswith"))


def why_never(match: Match) -> str:
    """Why no event can meet a comparison with a value, "" where one may.

    `exists` and `null` are not judged.
    """
    domain = DOMAINS.get(match.field)
    if domain is None or match.operator in ("exists", "null"):
        return ""
    match domain.kind:
        case "words":
            return _never_a_word(match, domain.words)
        case "path":
            return _never_a_path(match)
        case "number":
            return _never_made_of(match, _NUMBER_CHARS, "a whole number")
        case "address":
            return _never_made_of(match, _ADDRESS_CHARS, "an IP address") or _not_an_address(match)
        case "lower":
            return _never_lower(match)
        case "mode":
            return _never_made_of(match, frozenset("01234567"), "four octal digits such as 0755")


def _never_a_word(match: Match, words: tuple[str, ...]) -> str:
    try:
        test = compile_test([match])
    except RuleError:
        return ""
    if any(map(test, words)):
        return ""
    return f"{match.field} is always one of {', '.join(words)}"


def _never_a_path(match: Match) -> str:
    begins = match.operator in ("equals", "startswith")
    if begins and match.value and not match.value.startswith("/"):
        return f"{match.field} is an absolute path, it begins with /"
    if match.operator == "equals" and match.value.endswith("/") and len(match.value) > 1:
        return f"{match.field} never ends with /"
    return ""


def _never_made_of(match: Match, chars: frozenset[str], what: str) -> str:
    if match.operator in _TEXTS and not chars.issuperset(match.value.lower()):
        return f"{match.field} is {what}"
    return ""


def _not_an_address(match: Match) -> str:
    if match.operator != "equals" or not match.value:
        return ""
    try:
        found = str(ipaddress.ip_address(match.value.partition("%")[0]))
    except ValueError:
        return f"{match.field} is an IP address: for networks use {match.field}|cidr"
    if found != match.value.partition("%")[0]:
        return f"{match.field} is written {found}"
    return ""


def _never_lower(match: Match) -> str:
    if match.operator in _TEXTS and match.is_cased and match.value != match.value.lower():
        return f"{match.field} is always in lower case"
    return ""
