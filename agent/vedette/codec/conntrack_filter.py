"""A socket filter that lets conntrack tell this host's own flows and no others.

Rule 1: a flow is ours when it begins here (its source is ours) or ends here (who answers is ours,
which covers translated destinations). What a router forwards is dropped in the kernel, before it
takes buffer or wakes anybody; other listeners still see it (`ct event set` would blind them too).
Rule 2: loopback (127.0.0.0/8 and ::1) is always ours.
Rule 3: a family with more addresses than MAX_ADDRESSES passes whole: too much rather than too
little.
"""

from __future__ import annotations

from typing import Final

from vedette.codec import bpf
from vedette.codec.bpf import Step
from vedette.codec.conntrack import AF_INET, AF_INET6

MAX_ADDRESSES: Final = {AF_INET: 100, AF_INET6: 32}
"""Keeps the program below 1,050 steps: old kernels charge it to net.core.optmem_max (20 KB)."""

_ADDRESS_BYTES: Final = {AF_INET: 4, AF_INET6: 16}
_FAMILY_AT: Final = 16  # nfgenmsg follows the netlink header
_TUPLE_LENGTH_AT: Final = 20  # nla_len of the original tuple, in host order
_SOURCE_AT: Final = 32  # in the original tuple; in the reply's as much after its beginning
_PASS: Final = 0xFFFFFFFF
_LOOPBACK: Final = 127 << 24
_LOOPBACK_MASK: Final = 255 << 24
_IPV6_LOOPBACK: Final = bytes(15) + b"\1"


def own_flows(addresses: frozenset[bytes], byte_order: str) -> tuple[Step, ...]:
    """The program for a host with these addresses.

    Args:
        addresses: raw, 4 or 16 bytes each.
        byte_order: sys.byteorder, in which netlink writes lengths.
    """
    low_byte = _TUPLE_LENGTH_AT + (byte_order == "big")
    return (
        Step(bpf.LOAD_BYTE, _FAMILY_AT),
        Step(bpf.JUMP_IF_EQUAL, AF_INET, then="IPv4"),
        Step(bpf.JUMP_IF_EQUAL, AF_INET6, otherwise="another family"),
        # A conditional jump reaches 255 steps, and IPv4's part may be longer.
        Step(bpf.JUMP, then="IPv6"),
        Step(bpf.RETURN, _PASS, label="another family"),
        *_family("IPv4", AF_INET, addresses, low_byte),
        *_family("IPv6", AF_INET6, addresses | {_IPV6_LOOPBACK}, low_byte),
    )


def _family(name: str, family: int, addresses: frozenset[bytes], low_byte: int) -> tuple[Step, ...]:
    ours = sorted(a for a in addresses if len(a) == _ADDRESS_BYTES[family])
    if len(ours) > MAX_ADDRESSES[family]:
        return (Step(bpf.RETURN, _PASS, label=name),)
    compare = _ipv4 if family == AF_INET else _ipv6
    source, answering, neither = f"{name} source", f"{name} answering", f"{name} neither"
    return (
        # The original tuple's length says where the reply's begins: it differs by protocol.
        Step(bpf.LOAD_BYTE, low_byte, label=name),
        Step(bpf.COPY_TO_X),
        *compare(source, ours, bpf.LOAD_WORD, answering),
        *compare(answering, ours, bpf.LOAD_WORD_INDEXED, neither),
        Step(bpf.RETURN, 0, label=neither),
    )


def _ipv4(label: str, ours: list[bytes], load: int, otherwise: str) -> list[Step]:
    """Pass if the address at _SOURCE_AT is one of ours, else go to `otherwise`."""
    steps = [Step(load, _SOURCE_AT, label=label)]
    here = ""
    for address in ours:
        after = f"{label} not {address.hex()}"
        steps.append(Step(bpf.JUMP_IF_EQUAL, int.from_bytes(address), "", after, here))
        steps.append(Step(bpf.RETURN, _PASS))
        here = after
    steps.append(Step(bpf.AND, _LOOPBACK_MASK, label=here))
    steps.append(Step(bpf.JUMP_IF_EQUAL, _LOOPBACK, otherwise=otherwise))
    steps.append(Step(bpf.RETURN, _PASS))
    return steps


def _ipv6(label: str, ours: list[bytes], load: int, otherwise: str) -> list[Step]:
    """Pass if the address at _SOURCE_AT is one of ours (at least one), else go to `otherwise`."""
    steps: list[Step] = []
    here = label
    for address in ours:
        after = otherwise if address is ours[-1] else f"{label} not {address.hex()}"
        for at in range(0, _ADDRESS_BYTES[AF_INET6], 4):
            steps.append(Step(load, _SOURCE_AT + at, label="" if at else here))
            value = int.from_bytes(address[at : at + 4])
            steps.append(Step(bpf.JUMP_IF_EQUAL, value, otherwise=after))
        steps.append(Step(bpf.RETURN, _PASS))
        here = after
    return steps
