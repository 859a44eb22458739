"""Batches for nf_tables (linux/netfilter/nf_tables.h): the one table that makes conntrack see.

Rule 1: the table is ours by its name, and one batch makes it wholly or not at all.
Rule 2: its rule accepts and changes nothing; a single ct expression anywhere is what makes the
kernel track connections in this network namespace.
"""

from __future__ import annotations

from struct import Struct

from vedette.codec import netlink
from vedette.codec.netlink import NLM_F_ACK, NLM_F_APPEND, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REQUEST

TABLE = "vedette"
CHAIN = "conntrack"

TABLE_OWNED = 0x2
"""NFT_TABLE_F_OWNER (Linux 5.12): the table ends with the socket that made it, also at SIGKILL,
and `nft flush ruleset` leaves it."""

_NFNL_MSG_BATCH_BEGIN = 16
_NFNL_MSG_BATCH_END = 17
_NFNL_SUBSYS_NFTABLES = 10
_NFT_MSG_NEWTABLE = 0
_NFT_MSG_DELTABLE = 2
_NFT_MSG_NEWCHAIN = 3
_NFT_MSG_NEWRULE = 6
_NFPROTO_INET = 1
_NF_INET_LOCAL_OUT = 3
_NF_ACCEPT = 1

# Attribute numbers, by the nest they belong to.
_TABLE_NAME, _TABLE_FLAGS = 1, 2
_CHAIN_TABLE, _CHAIN_NAME, _CHAIN_HOOK, _CHAIN_POLICY, _CHAIN_TYPE = 1, 3, 4, 5, 7
_HOOK_NUMBER, _HOOK_PRIORITY = 1, 2
_RULE_TABLE, _RULE_CHAIN, _RULE_EXPRESSIONS = 1, 2, 4
_LIST_ELEMENT = 1
_EXPRESSION_NAME, _EXPRESSION_DATA = 1, 2
_DATA_VALUE = 1
_CT_DESTINATION, _CT_KEY = 1, 2
_BITWISE_SOURCE, _BITWISE_DESTINATION, _BITWISE_BYTES, _BITWISE_MASK, _BITWISE_XOR = 1, 2, 3, 4, 5
_COMPARE_SOURCE, _COMPARE_OPERATION, _COMPARE_DATA = 1, 2, 3
_COUNTER_BYTES, _COUNTER_PACKETS = 1, 2

_REGISTER_1 = 1
_CT_STATE = 0
_CT_STATE_NEW = 8  # NF_CT_STATE_BIT(IP_CT_NEW), in host order in its register
_NOT_EQUAL = 1

_HOST_U32 = Struct("=I")


def table_request(*, is_owned: bool, sequence: int) -> tuple[bytes, int]:
    """Make the table with its chain and rule; fails with EEXIST if there is one.

    Returns:
        The batch, and how many acknowledgements it brings.
    """
    flags = TABLE_OWNED if is_owned else 0
    table = _text(_TABLE_NAME, TABLE) + _u32(_TABLE_FLAGS, flags)
    hook = _u32(_HOOK_NUMBER, _NF_INET_LOCAL_OUT) + _u32(_HOOK_PRIORITY, 0)
    chain = (
        _text(_CHAIN_TABLE, TABLE)
        + _text(_CHAIN_NAME, CHAIN)
        + _nest(_CHAIN_HOOK, hook)
        + _u32(_CHAIN_POLICY, _NF_ACCEPT)
        + _text(_CHAIN_TYPE, "filter")
    )
    rule = (
        _text(_RULE_TABLE, TABLE)
        + _text(_RULE_CHAIN, CHAIN)
        + _nest(_RULE_EXPRESSIONS, _count_new_connections())
    )
    create = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE
    return _batch(
        sequence,
        (_NFT_MSG_NEWTABLE, create | NLM_F_EXCL, table),
        (_NFT_MSG_NEWCHAIN, create, chain),
        (_NFT_MSG_NEWRULE, create | NLM_F_APPEND, rule),
    )


def delete_request(*, sequence: int) -> tuple[bytes, int]:
    """Remove the table with all that is in it; fails with ENOENT if there is none."""
    flags = NLM_F_REQUEST | NLM_F_ACK
    return _batch(sequence, (_NFT_MSG_DELTABLE, flags, _text(_TABLE_NAME, TABLE)))


def _count_new_connections() -> bytes:
    """`ct state new counter`, as nft compiles it."""
    state = _u32(_CT_DESTINATION, _REGISTER_1) + _u32(_CT_KEY, _CT_STATE)
    masked = (
        _u32(_BITWISE_SOURCE, _REGISTER_1)
        + _u32(_BITWISE_DESTINATION, _REGISTER_1)
        + _u32(_BITWISE_BYTES, _HOST_U32.size)
        + _value(_BITWISE_MASK, _CT_STATE_NEW)
        + _value(_BITWISE_XOR, 0)
    )
    is_new = (
        _u32(_COMPARE_SOURCE, _REGISTER_1)
        + _u32(_COMPARE_OPERATION, _NOT_EQUAL)
        + _value(_COMPARE_DATA, 0)
    )
    zero = bytes(8)
    counter = netlink.attribute(_COUNTER_BYTES, zero) + netlink.attribute(_COUNTER_PACKETS, zero)
    return b"".join(
        _nest(_LIST_ELEMENT, _text(_EXPRESSION_NAME, name) + _nest(_EXPRESSION_DATA, data))
        for name, data in (
            ("ct", state), ("bitwise", masked), ("cmp", is_new), ("counter", counter),
        )
    )  # fmt: skip


def _batch(sequence: int, *requests: tuple[int, int, bytes]) -> tuple[bytes, int]:
    frame = _family(0, _NFNL_SUBSYS_NFTABLES)
    body = b"".join(
        netlink.pack(
            _NFNL_SUBSYS_NFTABLES << 8 | kind, flags, sequence, _family(_NFPROTO_INET, 0) + payload
        )
        for kind, flags, payload in requests
    )
    return (
        netlink.pack(_NFNL_MSG_BATCH_BEGIN, NLM_F_REQUEST, sequence, frame)
        + body
        + netlink.pack(_NFNL_MSG_BATCH_END, NLM_F_REQUEST, sequence, frame)
    ), len(requests)


def _family(family: int, resource: int) -> bytes:
    """Struct nfgenmsg; the resource is in network order."""
    return bytes((family, 0)) + resource.to_bytes(2)


def _u32(kind: int, value: int) -> bytes:
    return netlink.attribute(kind, value.to_bytes(4))


def _text(kind: int, value: str) -> bytes:
    return netlink.attribute(kind, value.encode("ascii") + b"\0")


def _nest(kind: int, payload: bytes) -> bytes:
    return netlink.attribute(kind | netlink.NLA_F_NESTED, payload)


def _value(kind: int, value: int) -> bytes:
    """Register content, in host order."""
    return _nest(kind, netlink.attribute(_DATA_VALUE, _HOST_U32.pack(value)))
