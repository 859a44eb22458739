"""Changes of TCP sockets' states, as the kernel's tracepoint sock:inet_sock_set_state tells them.

Source: include/trace/events/sock.h (since Linux 4.16). Rule: IPv4 within IPv6 is told as IPv4, as
the packet filter has it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from vedette.codec.perf import Field, struct_of
from vedette.errors import ParseError

TRACEPOINT: Final = "sock/inet_sock_set_state"

TCP_ESTABLISHED: Final = 1
TCP_SYN_SENT: Final = 2
TCP_SYN_RECV: Final = 3
FILTER: Final = (
    f"protocol == 6 && (newstate == {TCP_SYN_SENT} || oldstate == {TCP_SYN_SENT} || "
    f"(oldstate == {TCP_SYN_RECV} && newstate == {TCP_ESTABLISHED}))"
)
"""Of connections that this host begins the attempt and what became of it; of those that come in the
end of the handshake."""

_AF_INET: Final = 2
_MAPPED: Final = bytes(10) + b"\xff\xff"
_KINDS: Final = {
    "skaddr": "unsigned", "oldstate": "signed", "newstate": "signed", "sport": "unsigned",
    "dport": "unsigned", "family": "unsigned", "saddr": "bytes", "daddr": "bytes",
    "saddr_v6": "bytes", "daddr_v6": "bytes",
}  # fmt: skip


class StateChange(NamedTuple):
    """One change; addresses are raw (4 or 16 bytes).

    Attributes:
        socket: where it stands in the kernel: tells sockets apart while they live.
        before: state, TCP_* of linux/tcp_states.h.
        after: state.
        local_port: 0 before one was chosen.
    """

    socket: int
    before: int
    after: int
    local: bytes
    local_port: int
    remote: bytes
    remote_port: int


class StateReader:
    """Reads changes as this kernel lays them out.

    Raises:
        ParseError: the tracepoint is another than the one we know.
    """

    def __init__(self, fields: Mapping[str, Field]) -> None:
        self._struct, self._names = struct_of(fields, _KINDS)

    def read(self, raw: bytes) -> StateChange:
        """One change.

        Args:
            raw: of a sample of the tracepoint.

        Raises:
            ParseError: it is too short.
        """
        if len(raw) < self._struct.size:
            raise ParseError(f"expected {self._struct.size} bytes of a change, got {len(raw)}")
        told = dict(zip(self._names, self._struct.unpack_from(raw), strict=True))
        if told["family"] == _AF_INET:
            local, remote = told["saddr"], told["daddr"]
        else:
            local, remote = _plain(told["saddr_v6"]), _plain(told["daddr_v6"])
        return StateChange(
            told["skaddr"], told["oldstate"], told["newstate"],
            local, told["sport"], remote, told["dport"],
        )  # fmt: skip


def _plain(address: bytes) -> bytes:
    return address[12:] if address.startswith(_MAPPED) else address
