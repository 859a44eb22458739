"""What a rule of nf_tables is made of (linux/netfilter/nf_tables.h, enum nft_*_attributes).

Rule 1: an expression is bytes; a rule is expressions joined. They run in their order and the first
that does not hold ends the rule.
Rule 2: values are loaded into a register and compared there, as nft compiles its own rules, so that
`nft list` shows them in its words.
Rule 3: a load takes whole registers of 4 bytes; several make a key of several parts.
"""

from __future__ import annotations

from struct import Struct

from vedette.codec import netlink

# Of enum nft_registers: an old one has 16 bytes, the new ones 4 each, over the same memory.
REGISTER = 1
REGISTERS_32 = 8

# enum nft_meta_keys
META_INPUT_TYPE = 8
META_OUTPUT_TYPE = 9
META_SOCKET_UID = 10
META_FAMILY = 15
META_PROTOCOL = 16

# enum nft_payload_bases
NETWORK_HEADER = 1
TRANSPORT_HEADER = 2

# enum nft_cmp_ops
EQUAL = 0
NOT_EQUAL = 1
AT_MOST = 3
AT_LEAST = 5

# linux/netfilter.h
ACCEPT = 1
DROP = 0

_EXPRESSION_NAME, _EXPRESSION_DATA = 1, 2
_LIST_ELEMENT = 1
_DATA_VALUE, _DATA_VERDICT = 1, 2
_VERDICT_CODE = 1
_IMMEDIATE_DESTINATION, _IMMEDIATE_DATA = 1, 2
_REGISTER_VERDICT = 0
_META_DESTINATION, _META_KEY = 1, 2
_CT_DESTINATION, _CT_KEY, _CT_STATE = 1, 2, 0
_PAYLOAD_DESTINATION, _PAYLOAD_BASE, _PAYLOAD_OFFSET, _PAYLOAD_LENGTH = 1, 2, 3, 4
_COMPARE_SOURCE, _COMPARE_OPERATION, _COMPARE_DATA = 1, 2, 3
_BITWISE_SOURCE, _BITWISE_DESTINATION, _BITWISE_BYTES, _BITWISE_MASK, _BITWISE_XOR = 1, 2, 3, 4, 5
_LOOKUP_SET, _LOOKUP_SOURCE = 1, 2
_DYNSET_NAME, _DYNSET_OPERATION, _DYNSET_KEY, _DYNSET_TIMEOUT = 1, 3, 4, 6
_DYNSET_UPDATE = 1
_COUNTER_BYTES, _COUNTER_PACKETS = 1, 2

_HOST_U16 = Struct("=H")
_HOST_U32 = Struct("=I")


def meta(key: int, register: int = REGISTER) -> bytes:
    """Load what is known of the packet beside its bytes (META_...)."""
    return _expression("meta", u32(_META_KEY, key) + u32(_META_DESTINATION, register))


def connection_state(register: int = REGISTER) -> bytes:
    """Load conntrack's state of the packet as a bit set, in host order."""
    return _expression("ct", u32(_CT_DESTINATION, register) + u32(_CT_KEY, _CT_STATE))


def payload(base: int, offset: int, length: int, register: int = REGISTER) -> bytes:
    """Load `length` bytes of the packet's header; ends the rule where it has none."""
    return _expression(
        "payload",
        u32(_PAYLOAD_DESTINATION, register)
        + u32(_PAYLOAD_BASE, base)
        + u32(_PAYLOAD_OFFSET, offset)
        + u32(_PAYLOAD_LENGTH, length),
    )


def compare(value: bytes, operation: int = EQUAL) -> bytes:
    """Go on where the register holds this, byte by byte."""
    return _expression(
        "cmp",
        u32(_COMPARE_SOURCE, REGISTER)
        + u32(_COMPARE_OPERATION, operation)
        + _value(_COMPARE_DATA, value),
    )


def mask(bits: bytes) -> bytes:
    """Keep only these bits of the register."""
    return _expression(
        "bitwise",
        u32(_BITWISE_SOURCE, REGISTER)
        + u32(_BITWISE_DESTINATION, REGISTER)
        + u32(_BITWISE_BYTES, len(bits))
        + _value(_BITWISE_MASK, bits)
        + _value(_BITWISE_XOR, bytes(len(bits))),
    )


def is_in(set_name: str, register: int = REGISTER) -> bytes:
    """Go on where the set has what the register (or those behind it) holds."""
    return _expression("lookup", text(_LOOKUP_SET, set_name) + u32(_LOOKUP_SOURCE, register))


def remember(set_name: str, timeout_s: int, register: int = REGISTER) -> bytes:
    """Add to the set what the registers hold, or begin its time anew; ends the rule when full."""
    return _expression(
        "dynset",
        text(_DYNSET_NAME, set_name)
        + u32(_DYNSET_OPERATION, _DYNSET_UPDATE)
        + u32(_DYNSET_KEY, register)
        + netlink.attribute(_DYNSET_TIMEOUT, (timeout_s * 1000).to_bytes(8)),
    )


def verdict(code: int) -> bytes:
    """End with this verdict."""
    return _expression(
        "immediate",
        u32(_IMMEDIATE_DESTINATION, _REGISTER_VERDICT)
        + nest(_IMMEDIATE_DATA, nest(_DATA_VERDICT, u32(_VERDICT_CODE, code))),
    )


def counter() -> bytes:
    """Count packets and bytes that came here."""
    zero = bytes(8)
    return _expression(
        "counter",
        netlink.attribute(_COUNTER_BYTES, zero) + netlink.attribute(_COUNTER_PACKETS, zero),
    )


def host_u32(value: int) -> bytes:
    """A number as a register holds it that was loaded by `meta` or `connection_state`."""
    return _HOST_U32.pack(value)


def host_u16(value: int) -> bytes:
    """A number as a register holds it that was loaded by `meta` from 16 bits."""
    return _HOST_U16.pack(value)


def u32(kind: int, value: int) -> bytes:
    """An attribute of 4 bytes in network order, two's complement."""
    return netlink.attribute(kind, (value & 0xFFFFFFFF).to_bytes(4))


def text(kind: int, value: str) -> bytes:
    """An attribute of text that ends with a zero byte."""
    return netlink.attribute(kind, value.encode("ascii") + b"\0")


def nest(kind: int, content: bytes) -> bytes:
    """An attribute of attributes."""
    return netlink.attribute(kind | netlink.NLA_F_NESTED, content)


def _expression(name: str, data: bytes) -> bytes:
    return nest(_LIST_ELEMENT, text(_EXPRESSION_NAME, name) + nest(_EXPRESSION_DATA, data))


def _value(kind: int, value: bytes) -> bytes:
    return nest(kind, netlink.attribute(_DATA_VALUE, value))
