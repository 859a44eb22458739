"""Essential functions: what this device is there for, and what a probe found of one."""

from __future__ import annotations

from typing import NamedTuple


class EssentialFunction(NamedTuple):
    """Something that must go on whatever is done against an attacker.

    At least one of `unit`, `port`, `file` and `command` says how it is probed; all must hold.

    Attributes:
        name: as the owner calls it.
        unit: of the service manager, with its suffix; "" for none.
        address: IPv4 or IPv6, where the port is.
        port: a TCP port that must take connections; 0 for none.
        file: what must be there; a regular file must not be empty; "" for none.
        command: a program that must end with 0, with its arguments; () for none.
        user: name or uid that the command runs as.
        peers: addresses and networks that it talks to.
        paths: files and folders that it needs.
        flows: what stays open for it when the device is isolated (codec/flow.py), beside its port.
        timeout_s: what one probe of it may take.
    """

    name: str
    unit: str = ""
    address: str = "127.0.0.1"
    port: int = 0
    command: tuple[str, ...] = ()
    user: str = "nobody"
    peers: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    flows: tuple[str, ...] = ()
    timeout_s: int = 5
    file: str = ""


class Probed(NamedTuple):
    """What one probe found.

    Attributes:
        detail: what it saw, for people.
        pids: the processes that do its work, as far as they could be found.
    """

    name: str
    is_up: bool
    detail: str
    pids: tuple[int, ...]
