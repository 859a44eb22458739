"""Opens the packet socket that sees DNS, for a process that may not open one.

Rule 1: the descriptor that leaves this module carries a filter that its holder cannot change
(SO_LOCK_FILTER): it gives DNS headers and content, and no other packet of this device.
Rule 2: incoming packets pass with source port 53, outgoing ones with destination port 53; on a
device that forwards, incoming queries pass too, so that what it only passes on is recognised.
Rule 3: loopback shows each packet twice; a query passes as it leaves and an answer as it arrives.
"""

from __future__ import annotations

import socket
from array import array
from pathlib import Path

from vedette.codec import bpf
from vedette.codec.bpf import Step
from vedette.errors import SensorError

FORWARDING_SWITCHES = (
    Path("/proc/sys/net/ipv4/ip_forward"),
    Path("/proc/sys/net/ipv6/conf/all/forwarding"),
)

RECEIVE_BUFFER_BYTES = 1 << 20
"""Some 1,300 answers; the uplink reads them within milliseconds, a burst lasts longer."""

SNAP_BYTES = 4096
"""Of each packet: EDNS answers are at most 4,096 bytes in practice, usually below 1,232."""

# Linux: asm-generic/socket.h, linux/if_packet.h, linux/if_ether.h, linux/if_arp.h, linux/in.h
_SO_RCVBUFFORCE = 33
_SO_LOCK_FILTER = 44
_ETH_P_ALL = 3
_PACKET_HOST = 0
_PACKET_OUTGOING = 4
_ARPHRD_LOOPBACK = 772
_DNS_PORT = 53
_TCP = 6
_UDP = 17


def open_dns_socket() -> socket.socket:
    """A non-blocking packet socket for DNS, filtered and locked. Needs CAP_NET_RAW.

    Raises:
        SensorError: the kernel has no packet sockets or does not allow one.
    """
    opened: socket.socket | None = None
    try:
        opened = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_ETH_P_ALL))
        steps = array("B", bpf.assemble(filter_program(is_forwarding=_is_forwarding())))
        opened.setsockopt(socket.SOL_SOCKET, bpf.SO_ATTACH_FILTER, bpf.program_option(steps))
        opened.setsockopt(socket.SOL_SOCKET, _SO_LOCK_FILTER, 1)
        _enlarge(opened)
        opened.setblocking(False)
        _drain(opened)
    except OSError as error:
        if opened is not None:
            opened.close()
        raise SensorError(
            f"DNS: expected to open a packet socket, got: {error}; "
            "it needs CAP_NET_RAW and a kernel with CONFIG_PACKET"
        ) from error
    return opened


def filter_program(*, is_forwarding: bool) -> tuple[Step, ...]:
    """The filter; later fragments and IPv6 extension headers do not pass (they hide the ports)."""
    return (
        Step(bpf.LOAD_BYTE, 0),
        Step(bpf.AND, 0xF0),
        Step(bpf.JUMP_IF_EQUAL, 0x40, then="ipv4"),
        Step(bpf.JUMP_IF_EQUAL, 0x60, then="ipv6", otherwise="drop"),
        Step(bpf.LOAD_BYTE, 9, label="ipv4"),
        Step(bpf.JUMP_IF_EQUAL, _UDP, then="ipv4 ports"),
        Step(bpf.JUMP_IF_EQUAL, _TCP, otherwise="drop"),
        Step(bpf.LOAD_HALF, 6, label="ipv4 ports"),
        Step(bpf.JUMP_IF_SET, 0x1FFF, then="drop"),
        Step(bpf.LOAD_X_IPV4_HEADER_BYTES, 0),
        Step(bpf.LOAD_HALF_INDEXED, 2),
        Step(bpf.STORE, 0),
        Step(bpf.LOAD_HALF_INDEXED, 0),
        Step(bpf.JUMP, then="direction"),
        Step(bpf.LOAD_BYTE, 6, label="ipv6"),
        Step(bpf.JUMP_IF_EQUAL, _UDP, then="ipv6 ports"),
        Step(bpf.JUMP_IF_EQUAL, _TCP, otherwise="drop"),
        Step(bpf.LOAD_HALF, 42, label="ipv6 ports"),
        Step(bpf.STORE, 0),
        Step(bpf.LOAD_HALF, 40),
        Step(bpf.STORE, 1, label="direction"),
        Step(bpf.LOAD_WORD, bpf.PACKET_TYPE),
        Step(bpf.JUMP_IF_EQUAL, _PACKET_OUTGOING, then="to port"),
        Step(bpf.JUMP_IF_EQUAL, _PACKET_HOST, otherwise="drop"),
        Step(bpf.LOAD_MEMORY, 1),
        Step(bpf.JUMP_IF_EQUAL, _DNS_PORT, then="pass"),
        *(_incoming_queries() if is_forwarding else (Step(bpf.JUMP, then="drop"),)),
        Step(bpf.LOAD_MEMORY, 0, label="to port"),
        Step(bpf.JUMP_IF_EQUAL, _DNS_PORT, otherwise="drop"),
        Step(bpf.RETURN, SNAP_BYTES, label="pass"),
        Step(bpf.RETURN, 0, label="drop"),
    )


def _incoming_queries() -> tuple[Step, ...]:
    """Queries that arrive from elsewhere: on loopback they are our own, seen again."""
    return (
        Step(bpf.LOAD_WORD, bpf.HARDWARE_TYPE),
        Step(bpf.JUMP_IF_EQUAL, _ARPHRD_LOOPBACK, then="drop"),
    )


def _is_forwarding() -> bool:
    return any(_is_on(switch) for switch in FORWARDING_SWITCHES)


def _is_on(switch: Path) -> bool:
    try:
        return switch.read_text(encoding="ascii").strip() not in {"", "0"}
    except OSError:
        return False  # a kernel without that protocol has no such switch


def _enlarge(target: socket.socket) -> None:
    try:
        target.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, RECEIVE_BUFFER_BYTES)
    except PermissionError:
        target.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)


def _drain(target: socket.socket) -> None:
    """Throw away what was queued before the filter stood, and only that much."""
    while True:
        try:
            target.recv(1)
        except BlockingIOError:
            return
