"""What of the network stays open when a device is isolated, as rules of nftables.

Rule 1: whoever was asked may answer, for a while: an accepted first packet opens a hole for exactly
its two ends and ports, and the way back looks there. So no source port opens a device, and nothing
depends on connection tracking, which may be full or flushed.
Rule 2: the uplink is known by its user and port (and address where one is configured): names are
resolved by itself, and the sentinel has no network to do it with.
Rule 3: nothing is dropped unless the set `armed` says so: it has a time, so that the device opens
by itself when nobody lives to do it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from vedette.codec import nf_expressions as nft
from vedette.codec import nf_tables
from vedette.codec.flow import Flow, Network
from vedette.codec.nf_tables import Chain, Set, Table
from vedette.codec.nfnetlink import NFPROTO_IPV4, NFPROTO_IPV6

NAME: Final = "vedette_isolate"
OPEN_S: Final = 600
"""A connection that is silent for longer waits for its own end to speak again."""
MOST_OPEN: Final = 4096
MOST_RESOLVERS: Final = 16

_PRIORITY: Final = -310  # before connection tracking and address translation
_ARPHRD_LOOPBACK: Final = 772  # linux/if_arp.h
_TCP, _UDP, _ICMP, _ICMPV6 = 6, 17, 1, 58
_NUMBERS: Final = {"tcp": _TCP, "udp": _UDP}
_SOURCE_PORT, _DESTINATION_PORT, _PORTS = 0, 2, 4
_DNS_PORTS: Final = (53, 853)  # RFC 1035, RFC 7858
_ICMP_ERRORS: Final = ((3, 3), (11, 12))  # unreachable with "fragmentation needed", RFC 792, 1191
_ICMPV6_IN: Final = ((1, 4), (130, 136))  # errors; listeners, routers and neighbours
_ICMPV6_OUT: Final = ((130, 136), (143, 143))  # RFC 4861, RFC 3810


class _Version(NamedTuple):
    """Where a version of IP has its addresses; sets have its number at the end."""

    family: int
    source: int
    destination: int
    size: int
    key_type: int
    suffix: str


_IPV4: Final = _Version(NFPROTO_IPV4, 12, 16, 4, nf_tables.KEY_IPV4, "4")  # RFC 791 3.1
_IPV6: Final = _Version(NFPROTO_IPV6, 8, 24, 16, nf_tables.KEY_IPV6, "6")  # RFC 8200 3
_VERSIONS: Final = (_IPV4, _IPV6)


class Uplink(NamedTuple):
    """How the way out is known; `address` is None where a name is configured."""

    uid: int
    port: int
    address: Network | None


def isolation(uplink: Uplink | None, flows: Iterable[Flow]) -> Table:
    """The table that isolates a device but for these."""
    flows = tuple(flows)
    arriving = (
        _on_loopback(nft.META_INPUT_TYPE),
        *_answers(is_coming=True),
        *_control(_ICMP_ERRORS, _ICMPV6_IN),
        _dhcp(67, 68),
        _dhcp(547, 546),
        *_each(flow for flow in flows if flow.direction == "in"),
    )
    leaving = (
        _on_loopback(nft.META_OUTPUT_TYPE),
        *(() if uplink is None else _to_broker(uplink)),
        *_names(uplink),
        *_each(flow for flow in flows if flow.direction == "out"),
        *_answers(is_coming=False),
        *_control((), _ICMPV6_OUT),
        _dhcp(68, 67),
        _dhcp(546, 547),
    )
    forwarded = (
        *_each(flow for flow in flows if flow.direction == "forward"),
        *_answers(is_coming=True),
        *_control(_ICMP_ERRORS, ((1, 4),)),
    )
    return Table(
        NAME,
        (
            Chain("arriving", nf_tables.LOCAL_IN, _PRIORITY, (*arriving, _DROP)),
            Chain("leaving", nf_tables.LOCAL_OUT, _PRIORITY, (*leaving, _DROP)),
            Chain("forwarded", nf_tables.FORWARD, _PRIORITY, (*forwarded, _DROP)),
        ),
        _SETS,
    )


def _hole_key(version: _Version) -> tuple[int, ...]:
    ports = (nf_tables.KEY_PORT, nf_tables.KEY_PORT)
    return (version.key_type, *ports, nf_tables.KEY_PROTOCOL)


_SETS: Final = (
    Set("armed", (nf_tables.KEY_FAMILY,), 1, 2),
    Set("resolver_users", (nf_tables.KEY_UID,), 4, MOST_RESOLVERS),
    *(Set(f"resolvers{v.suffix}", (v.key_type,), v.size, MOST_RESOLVERS) for v in _VERSIONS),
    *(
        Set(
            f"open{v.suffix}",
            _hole_key(v),
            v.size + 12,
            MOST_OPEN,
            nf_tables.SET_TIMEOUT | nf_tables.SET_DYNAMIC,
        )
        for v in _VERSIONS
    ),
)
_ACCEPT: Final = nft.verdict(nft.ACCEPT)
_DROP: Final = nft.meta(nft.META_FAMILY) + nft.is_in("armed") + nft.verdict(nft.DROP)


def _each(flows: Iterable[Flow]) -> Iterator[bytes]:
    for flow in flows:
        for version in _versions_of(flow.network):
            yield (
                _is_to(version, _NUMBERS[flow.transport], flow.port)
                + _is_within(version, flow.network, is_coming=flow.direction == "in")
                + _open(version, is_coming=flow.direction == "in")
                + _ACCEPT
            )


def _to_broker(uplink: Uplink) -> Iterator[bytes]:
    for version in _versions_of(uplink.address):
        yield (
            _is_user(uplink.uid)
            + _is_to(version, _TCP, uplink.port)
            + _is_within(version, uplink.address, is_coming=False)
            + _open(version, is_coming=False)
            + _ACCEPT
        )


def _names(uplink: Uplink | None) -> Iterator[bytes]:
    """The uplink asks the name servers; a resolver on this device asks whom it was told to."""
    for version in _VERSIONS:
        for protocol in (_UDP, _TCP):
            if uplink is not None and uplink.address is None:
                yield (
                    _is_user(uplink.uid)
                    + _is_to(version, protocol, _DNS_PORTS[0])
                    + _address(version, is_coming=False)
                    + nft.is_in(f"resolvers{version.suffix}")
                    + _open(version, is_coming=False)
                    + _ACCEPT
                )
            for port in _DNS_PORTS:
                yield (
                    nft.meta(nft.META_SOCKET_UID)
                    + nft.is_in("resolver_users")
                    + _is_to(version, protocol, port)
                    + _open(version, is_coming=False)
                    + _ACCEPT
                )


def _answers(*, is_coming: bool) -> Iterator[bytes]:
    for version in _VERSIONS:
        yield (
            _is_version(version)
            + _hole(version, is_coming=is_coming)
            + nft.is_in(f"open{version.suffix}", nft.REGISTERS_32)
            + _ACCEPT
        )


def _control(icmp: Iterable[tuple[int, int]], icmpv6: Iterable[tuple[int, int]]) -> Iterator[bytes]:
    """What IP itself needs: errors and, for IPv6, neighbours."""
    for version, protocol, types in ((_IPV4, _ICMP, icmp), (_IPV6, _ICMPV6, icmpv6)):
        for low, high in types:
            yield (
                _is_version(version)
                + _is_protocol(protocol)
                + nft.payload(nft.TRANSPORT_HEADER, 0, 1)
                + nft.compare(bytes([low]), nft.AT_LEAST)
                + nft.compare(bytes([high]), nft.AT_MOST)
                + _ACCEPT
            )


def _dhcp(source_port: int, destination_port: int) -> bytes:
    """RFC 2131 4.1, RFC 8415 7.2: both ends have ports of their own."""
    return (
        _is_protocol(_UDP)
        + nft.payload(nft.TRANSPORT_HEADER, _SOURCE_PORT, _PORTS)
        + nft.compare(source_port.to_bytes(2) + destination_port.to_bytes(2))
        + _ACCEPT
    )


def _on_loopback(interface_type: int) -> bytes:
    return nft.meta(interface_type) + nft.compare(nft.host_u16(_ARPHRD_LOOPBACK)) + _ACCEPT


def _open(version: _Version, *, is_coming: bool) -> bytes:
    return _hole(version, is_coming=is_coming) + nft.remember(
        f"open{version.suffix}", OPEN_S, nft.REGISTERS_32
    )


def _hole(version: _Version, *, is_coming: bool) -> bytes:
    """Load the other end's address, our port, its port and the protocol, one behind the other."""
    address = version.source if is_coming else version.destination
    ours, its = (
        (_DESTINATION_PORT, _SOURCE_PORT) if is_coming else (_SOURCE_PORT, _DESTINATION_PORT)
    )
    behind = nft.REGISTERS_32 + version.size // 4
    return (
        nft.payload(nft.NETWORK_HEADER, address, version.size, nft.REGISTERS_32)
        + nft.payload(nft.TRANSPORT_HEADER, ours, 2, behind)
        + nft.payload(nft.TRANSPORT_HEADER, its, 2, behind + 1)
        + nft.meta(nft.META_PROTOCOL, behind + 2)
    )


def _is_to(version: _Version, protocol: int, port: int) -> bytes:
    return (
        _is_version(version)
        + _is_protocol(protocol)
        + nft.payload(nft.TRANSPORT_HEADER, _DESTINATION_PORT, 2)
        + nft.compare(port.to_bytes(2))
    )


def _is_within(version: _Version, network: Network | None, *, is_coming: bool) -> bytes:
    if network is None:
        return b""
    loaded = _address(version, is_coming=is_coming)
    return loaded + nft.mask(network.mask) + nft.compare(network.address)


def _address(version: _Version, *, is_coming: bool) -> bytes:
    offset = version.source if is_coming else version.destination
    return nft.payload(nft.NETWORK_HEADER, offset, version.size)


def _is_user(uid: int) -> bytes:
    return nft.meta(nft.META_SOCKET_UID) + nft.compare(nft.host_u32(uid))


def _is_version(version: _Version) -> bytes:
    return nft.meta(nft.META_FAMILY) + nft.compare(bytes([version.family]))


def _is_protocol(number: int) -> bytes:
    return nft.meta(nft.META_PROTOCOL) + nft.compare(bytes([number]))


def _versions_of(network: Network | None) -> tuple[_Version, ...]:
    if network is None:
        return _VERSIONS
    return (_IPV4,) if len(network.address) == _IPV4.size else (_IPV6,)
