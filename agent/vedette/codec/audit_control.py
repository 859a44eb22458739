"""What one says to the kernel's audit system: its status and its rules (linux/audit.h).

Rule: a rule is deleted by sending the bytes that added it, so `pack_rule` must stay deterministic.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from vedette.errors import ParseError

NETLINK_AUDIT: Final = 9

AUDIT_GET: Final = 1000
AUDIT_SET: Final = 1001
AUDIT_ADD_RULE: Final = 1011
AUDIT_DEL_RULE: Final = 1012
AUDIT_LIST_RULES: Final = 1013
AUDIT_REPLACE: Final = 1329

STATUS_ENABLED: Final = 0x1
STATUS_FAILURE: Final = 0x2
STATUS_PID: Final = 0x4
STATUS_RATE_LIMIT: Final = 0x8
STATUS_BACKLOG_LIMIT: Final = 0x10
STATUS_BACKLOG_WAIT_TIME: Final = 0x20

ENABLED_IMMUTABLE: Final = 2
"""AUDIT_LOCKED: nothing can be changed until reboot."""
FAILURE_SILENT: Final = 0
FAILURE_PANIC: Final = 2

FILTER_EXIT: Final = 4
FILTER_EXCLUDE: Final = 5
ACTION_NEVER: Final = 0
ACTION_ALWAYS: Final = 2

FIELD_ARCH: Final = 11
FIELD_MSGTYPE: Final = 12
FIELD_SUCCESS: Final = 104
FIELD_ARG0: Final = 200
FIELD_KEY: Final = 210
EQUAL: Final = 0x40000000

ALL_SYSCALLS: Final = range(2048)
MAX_FIELDS: Final = 64
MAX_KEY_BYTES: Final = 256

_TEXT_FIELDS: Final = frozenset({13, 14, 15, 16, 17, 19, 20, 21, 22, 23, 105, 107, 112, FIELD_KEY})
"""SUBJ_*, OBJ_*, WATCH, DIR, EXE and FILTERKEY: their value is the length of a text."""

_STATUS = struct.Struct("=11I")
_STATUS_MIN_BYTES: Final = 32
"""Linux 2.6's struct audit_status; the two fields for the backlog wait came in 3.14 and 5.9."""
_RULE = struct.Struct("=3I64I64I64I64II")


class Status(NamedTuple):
    """struct audit_status; `pid` owns the daemon slot, 0 when it is free."""

    mask: int
    enabled: int
    failure: int
    pid: int
    rate_limit: int
    backlog_limit: int
    lost: int
    backlog: int
    features: int
    backlog_wait_time: int
    backlog_wait_actual: int


class Rule(NamedTuple):
    """One audit rule.

    Attributes:
        filter: FILTER_EXIT or FILTER_EXCLUDE.
        action: ACTION_ALWAYS or ACTION_NEVER.
        fields: (field, value) pairs that must all be equal.
        syscalls: numbers below 2048.
        key: the word that names its owner, up to 256 bytes; "" for none.
    """

    filter: int
    action: int
    fields: tuple[tuple[int, int], ...]
    syscalls: tuple[int, ...]
    key: str


def parse_status(payload: bytes) -> Status:
    """Read an AUDIT_GET reply; fields that an older kernel does not send are 0.

    Raises:
        ParseError: it is shorter than any kernel's.
    """
    if len(payload) < _STATUS_MIN_BYTES:
        raise ParseError(
            f"audit_status: expected at least {_STATUS_MIN_BYTES} bytes, got {len(payload)}",
            len(payload),
        )
    return Status(*_STATUS.unpack(payload[: _STATUS.size].ljust(_STATUS.size, b"\0")))


def pack_status(status: Status) -> bytes:
    """The AUDIT_SET payload that changes what `mask` says to what the other fields say."""
    return _STATUS.pack(*status)


def change(
    mask: int,
    *,
    enabled: int = 0,
    failure: int = 0,
    pid: int = 0,
    backlog_limit: int = 0,
    backlog_wait_time: int = 0,
) -> bytes:
    """The AUDIT_SET payload that changes the fields of `mask` and no other."""
    return pack_status(
        Status(mask, enabled, failure, pid, 0, backlog_limit, 0, 0, 0, backlog_wait_time, 0)
    )


def pack_rule(rule: Rule) -> bytes:
    """Struct audit_rule_data with its key.

    Raises:
        ValueError: more fields than a rule holds, a key too long, or a number out of range.
    """
    key = rule.key.encode()
    fields = [(field, EQUAL, value) for field, value in rule.fields]
    if key:
        fields.append((FIELD_KEY, EQUAL, len(key)))
    if len(fields) > MAX_FIELDS or len(key) > MAX_KEY_BYTES:
        raise ValueError(
            f"audit rule: expected at most {MAX_FIELDS} fields and {MAX_KEY_BYTES} bytes of key, "
            f"got {len(fields)} and {len(key)}"
        )
    kinds, operators, values = (_column(fields, index) for index in range(3))
    head = _RULE.pack(
        rule.filter, rule.action, len(fields), *_bitmap(rule.syscalls), *kinds, *values,
        *operators, len(key),
    )  # fmt: skip
    return head + key


def parse_rule(payload: bytes) -> Rule:
    """Read one AUDIT_LIST_RULES reply as far as we need it: fields with numbers, and the key.

    Raises:
        ParseError: it is too short, or counts more fields or key bytes than there are.
    """
    if len(payload) < _RULE.size:
        raise ParseError(
            f"audit_rule_data: expected at least {_RULE.size} bytes, got {len(payload)}",
            len(payload),
        )
    numbers = _RULE.unpack_from(payload)
    count, text_bytes = numbers[2], numbers[-1]
    if count > MAX_FIELDS or text_bytes > len(payload) - _RULE.size:
        raise ParseError(
            f"audit_rule_data: expected at most {MAX_FIELDS} fields and "
            f"{len(payload) - _RULE.size} bytes of text, got {count} and {text_bytes}",
            8,
        )
    mask, kinds, values = numbers[3:67], numbers[67:131], numbers[131:195]
    pairs = tuple(zip(kinds[:count], values[:count], strict=True))
    text = payload[_RULE.size : _RULE.size + text_bytes]
    return Rule(
        filter=numbers[0],
        action=numbers[1],
        fields=tuple(pair for pair in pairs if pair[0] != FIELD_KEY),
        syscalls=tuple(n for n in ALL_SYSCALLS if mask[n // 32] >> (n % 32) & 1),
        key=_key(pairs, text),
    )


def _key(pairs: Sequence[tuple[int, int]], text: bytes) -> str:
    """The key among a rule's texts, which stand in the order of their fields.

    Raises:
        ParseError: a text is longer than what is left.
    """
    start = 0
    for field, value in pairs:
        if field not in _TEXT_FIELDS:
            continue
        if value > len(text) - start:
            raise ParseError(
                f"audit_rule_data: expected a text of at most {len(text) - start} bytes, "
                f"got {value}",
                _RULE.size + start,
            )
        if field == FIELD_KEY:
            return text[start : start + value].decode("utf-8", "surrogateescape")
        start += value
    return ""


def _column(fields: Sequence[tuple[int, int, int]], index: int) -> list[int]:
    return [field[index] for field in fields] + [0] * (MAX_FIELDS - len(fields))


def _bitmap(syscalls: Iterable[int]) -> list[int]:
    words = [0] * 64
    for number in syscalls:
        if number not in ALL_SYSCALLS:
            raise ValueError(f"audit rule: expected a syscall number below 2048, got {number}")
        words[number // 32] |= 1 << (number % 32)
    return words
