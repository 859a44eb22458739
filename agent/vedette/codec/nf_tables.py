"""Tables of nf_tables (linux/netfilter/nf_tables.h) as requests of an nfnetlink batch.

Rule 1: a table is described whole, its sets and chains before its rules, and made by one batch.
Rule 2: what the kernel shows of it is compared as bytes, never interpreted.
Rule 3: any bytes of the kernel's answer give a value or a ParseError.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from vedette.codec import nfnetlink
from vedette.codec.netlink import (
    NLM_F_APPEND,
    NLM_F_CREATE,
    NLM_F_DUMP,
    NLM_F_EXCL,
    attribute,
)
from vedette.codec.nf_expressions import nest, text, u32
from vedette.codec.nfnetlink import Request

TABLE_DORMANT = 0x1
"""NFT_TABLE_F_DORMANT: the table stands and does nothing."""
TABLE_OWNED = 0x2
"""NFT_TABLE_F_OWNER (Linux 5.12): the table ends with the socket that made it, also at SIGKILL,
and `nft flush ruleset` leaves it."""

# enum nf_inet_hooks
PREROUTING = 0
LOCAL_IN = 1
FORWARD = 2
LOCAL_OUT = 3
POSTROUTING = 4

# enum nft_set_flags
SET_TIMEOUT = 0x10
SET_DYNAMIC = 0x20

# nft's own numbers for what a key means (src/datatype.c): they only serve its listing.
KEY_FAMILY = 2
KEY_IPV4 = 7
KEY_IPV6 = 8
KEY_PROTOCOL = 12
KEY_PORT = 13
KEY_UID = 24
_KEY_BITS = 6

_NEWTABLE, _GETTABLE, _DELTABLE = 0, 1, 2
_NEWCHAIN, _GETCHAIN = 3, 4
_NEWRULE, _GETRULE = 6, 7
_NEWSET = 9
_NEWSETELEM, _GETSETELEM, _DELSETELEM = 12, 13, 14
_ACCEPT = 1

# Attribute numbers, by the nest they belong to.
_TABLE_NAME, _TABLE_FLAGS = 1, 2
_CHAIN_TABLE, _CHAIN_NAME, _CHAIN_HOOK, _CHAIN_POLICY, _CHAIN_TYPE = 1, 3, 4, 5, 7
_HOOK_NUMBER, _HOOK_PRIORITY = 1, 2
_RULE_TABLE, _RULE_CHAIN, _RULE_EXPRESSIONS = 1, 2, 4
_SET_TABLE, _SET_NAME, _SET_FLAGS, _SET_KEY_TYPE, _SET_KEY_LENGTH = 1, 2, 3, 4, 5
_SET_DESCRIPTION, _SET_ID = 9, 10
_DESCRIPTION_SIZE = 1
_LIST_TABLE, _LIST_SET, _LIST_ELEMENTS = 1, 2, 3
_LIST_ELEMENT = 1
_ELEMENT_KEY, _ELEMENT_TIMEOUT = 1, 4
_DATA_VALUE = 1
_MILLISECONDS = 1000


class Set(NamedTuple):
    """A set of keys.

    Attributes:
        key_types: of its parts, KEY_...
        key_bytes: of the whole key, each part filled to 4 bytes.
        most: elements it may have.
        flags: SET_...
    """

    name: str
    key_types: tuple[int, ...]
    key_bytes: int
    most: int
    flags: int = SET_TIMEOUT


class Chain(NamedTuple):
    """A chain at a hook of the packets' way; what no rule decides goes on.

    Attributes:
        priority: lower comes earlier; conntrack stands at -200.
        rules: expressions (codec/nf_expressions.py), joined for each rule.
    """

    name: str
    hook: int
    priority: int
    rules: tuple[bytes, ...]


class Table(NamedTuple):
    """A table of the family inet (IPv4 and IPv6)."""

    name: str
    chains: tuple[Chain, ...]
    sets: tuple[Set, ...] = ()


class Element(NamedTuple):
    """One key of a set; after `timeout_s` the kernel takes it out itself, 0 keeps it."""

    set_name: str
    key: bytes
    timeout_s: float


def create(table: Table, *, is_owned: bool) -> tuple[Request, ...]:
    """Make it whole; refused with EEXIST if there is one of its name."""
    flags = TABLE_OWNED if is_owned else 0
    name = text(_TABLE_NAME, table.name)
    return (
        Request(_NEWTABLE, NLM_F_CREATE | NLM_F_EXCL, name + u32(_TABLE_FLAGS, flags)),
        *(_set(table.name, one, number) for number, one in enumerate(table.sets, 1)),
        *(_chain(table.name, chain) for chain in table.chains),
        *(_rule(table.name, chain.name, rule) for chain in table.chains for rule in chain.rules),
    )


def delete(name: str) -> tuple[Request, ...]:
    """Remove the table with all that is in it; refused with ENOENT if there is none."""
    return (Request(_DELTABLE, 0, text(_TABLE_NAME, name)),)


def add(name: str, elements: Iterable[Element]) -> tuple[Request, ...]:
    """Put elements into sets of a table; one that is there keeps its time."""
    return tuple(
        Request(_NEWSETELEM, NLM_F_CREATE, _elements(name, one.set_name, _timed(one)))
        for one in elements
    )


def remove(name: str, elements: Iterable[Element]) -> tuple[Request, ...]:
    """Take elements out; refused with ENOENT where one of them is not there."""
    return tuple(
        Request(_DELSETELEM, 0, _elements(name, one.set_name, _key(one.key))) for one in elements
    )


def questions(name: str) -> tuple[Request, ...]:
    """Ask for the table, its chains and its rules: what somebody could have changed."""
    return (
        Request(_GETTABLE, 0, text(_TABLE_NAME, name)),
        Request(_GETCHAIN, NLM_F_DUMP, text(_CHAIN_TABLE, name)),
        Request(_GETRULE, NLM_F_DUMP, text(_RULE_TABLE, name)),
    )


def element_question(name: str, element: Element) -> Request:
    """Ask for one element; refused with ENOENT where it is not there."""
    return Request(_GETSETELEM, 0, _elements(name, element.set_name, _key(element.key)))


def belongs(payload: bytes, name: str) -> bool:
    """Whether a kernel's answer is about this table: old kernels dump the chains of all.

    Raises:
        ParseError: it is cut, or its attributes are malformed.
    """
    # Of a table, a chain and a rule the table's name is attribute 1.
    return nfnetlink.attributes(payload).get(_TABLE_NAME) == name.encode("ascii") + b"\0"


def _chain(table: str, chain: Chain) -> Request:
    hook = u32(_HOOK_NUMBER, chain.hook) + u32(_HOOK_PRIORITY, chain.priority)
    return Request(
        _NEWCHAIN,
        NLM_F_CREATE,
        text(_CHAIN_TABLE, table)
        + text(_CHAIN_NAME, chain.name)
        + nest(_CHAIN_HOOK, hook)
        + u32(_CHAIN_POLICY, _ACCEPT)
        + text(_CHAIN_TYPE, "filter"),
    )


def _rule(table: str, chain: str, rule: bytes) -> Request:
    return Request(
        _NEWRULE,
        NLM_F_CREATE | NLM_F_APPEND,
        text(_RULE_TABLE, table) + text(_RULE_CHAIN, chain) + nest(_RULE_EXPRESSIONS, rule),
    )


def _set(table: str, one: Set, number: int) -> Request:
    key_type = 0
    for part in one.key_types:
        key_type = key_type << _KEY_BITS | part
    return Request(
        _NEWSET,
        NLM_F_CREATE,
        text(_SET_TABLE, table)
        + text(_SET_NAME, one.name)
        + u32(_SET_FLAGS, one.flags)
        + u32(_SET_KEY_TYPE, key_type)
        + u32(_SET_KEY_LENGTH, one.key_bytes)
        + u32(_SET_ID, number)
        + nest(_SET_DESCRIPTION, u32(_DESCRIPTION_SIZE, one.most)),
    )


def _elements(table: str, set_name: str, element: bytes) -> bytes:
    listed = nest(_LIST_ELEMENTS, nest(_LIST_ELEMENT, element))
    return text(_LIST_TABLE, table) + text(_LIST_SET, set_name) + listed


def _timed(element: Element) -> bytes:
    if not element.timeout_s:
        return _key(element.key)
    milliseconds = max(1, round(element.timeout_s * _MILLISECONDS))
    return _key(element.key) + attribute(_ELEMENT_TIMEOUT, milliseconds.to_bytes(8))


def _key(key: bytes) -> bytes:
    return nest(_ELEMENT_KEY, attribute(_DATA_VALUE, key))
