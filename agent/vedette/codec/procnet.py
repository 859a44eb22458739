"""Sockets as /proc/net/{tcp,tcp6,udp,udp6} lists them (proc(5)), for kernels without sock_diag.

Beside them what /proc/net/route says about the way out.

Rule 1: any bytes give records or a ParseError that names the line's offset.
Rule 2: the result is what codec/sock_diag.py gives, so that its readers need not know the source.
"""

from __future__ import annotations

from typing import Final

from vedette.codec.sock_diag import SocketRecord
from vedette.errors import ParseError

MAX_SOCKETS: Final = 65_536
"""Beyond it a table is not read on: 20 MB of Python for a device that has no such number."""

_FAMILIES: Final = {8: 2, 32: 10}  # hex digits of an address: its family
_FIELDS: Final = 10
_ROUTE_FIELDS: Final = 8
_MAX_PORT: Final = 0xFFFF
_LOCAL, _REMOTE, _STATE, _UID, _INODE = 1, 2, 3, 7, 9


def parse_table(data: bytes, byte_order: str) -> list[SocketRecord]:
    """Read one whole table, its heading included.

    Args:
        data: the file's content.
        byte_order: sys.byteorder: each 32-bit word of an address is printed as this machine's.

    Raises:
        ParseError: a line lacks fields or has others than numbers in them.
    """
    records: list[SocketRecord] = []
    offset = data.find(b"\n") + 1
    if not offset:
        return records
    for line in data[offset:].split(b"\n")[: MAX_SOCKETS + 1]:
        if line:
            try:
                records.append(_record(line.split(), byte_order))
            except (ValueError, IndexError, KeyError) as error:
                raise ParseError(
                    f"expected a socket of /proc/net, got {line[:60]!r}", offset
                ) from error
        offset += len(line) + 1
    if len(records) > MAX_SOCKETS:
        raise ParseError(f"expected at most {MAX_SOCKETS} sockets", offset)
    return records


def default_interfaces(text: str) -> list[str]:
    """Names of the interfaces that an IPv4 default route leads out by, each once.

    Args:
        text: of /proc/net/route, its heading included (proc(5)).

    Raises:
        ParseError: a line has another form.
    """
    found: dict[str, None] = {}
    for line in text.splitlines()[1:]:
        fields = line.split()
        if len(fields) < _ROUTE_FIELDS:
            raise ParseError(f"expected a route of {_ROUTE_FIELDS} fields, got {line[:60]!a}")
        name, destination, mask = fields[0], fields[1], fields[7]
        # A name with a slash or dots would lead elsewhere in /sys; the kernel gives none such.
        if destination == mask == "00000000" and "/" not in name and name not in {".", ".."}:
            found[name] = None
    return list(found)


def _record(fields: list[bytes], byte_order: str) -> SocketRecord:
    if len(fields) < _FIELDS:
        raise ValueError(len(fields))
    local, local_port = fields[_LOCAL].split(b":")
    remote, remote_port = fields[_REMOTE].split(b":")
    return SocketRecord(
        _FAMILIES[len(local)],
        int(fields[_STATE], 16),
        _address(local, byte_order),
        _port(local_port),
        _address(remote, byte_order),
        _port(remote_port),
        int(fields[_UID]),
        int(fields[_INODE]),
    )


def _address(digits: bytes, byte_order: str) -> bytes:
    raw = bytes.fromhex(digits.decode("ascii"))
    if byte_order == "big":
        return raw
    return b"".join(raw[at : at + 4][::-1] for at in range(0, len(raw), 4))


def _port(digits: bytes) -> int:
    port = int(digits, 16)
    if not 0 <= port <= _MAX_PORT:
        raise ValueError(port)
    return port
