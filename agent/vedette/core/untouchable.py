"""What no response may touch, whoever asks for it.

Rule 1: pid 1, kernel threads' parent, loopback, link-local routers' multicast and this device's own
unspecified addresses are always on the list; the shell tells the rest (`Guarded`).
Rule 2: a process is untouchable also when one that is guarded descends from it: a response takes
whole trees.
Rule 3: what only brings back what was (REPAIRS) may be done to files and units on the list.
Rule 4: what cannot be read as an address may not be blocked.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from vedette.codec.address_sets import AddressSet, address_number
from vedette.core.inputs import Guarded
from vedette.core.process_table import ROOTS, ProcessTable
from vedette.model.response import (
    FileTarget,
    PeerTarget,
    ProcessTarget,
    Target,
    UnitTarget,
)

NEVER_BLOCKED = (
    "0.0.0.0/8", "127.0.0.0/8", "224.0.0.0/4", "255.255.255.255/32",
    "::/128", "::1/128", "ff00::/8",
)  # fmt: skip
"""RFC 6890: this host, loopback, multicast and broadcast are nobody's peer."""

REPAIRS = frozenset({"restart_unit", "restore_file"})


class _Lists(NamedTuple):
    pids: frozenset[int]
    addresses: AddressSet
    units: frozenset[str]
    paths: tuple[str, ...]


class Untouchable:
    """Answers whether a target may be touched.

    Args:
        processes: knows who descends from whom.
    """

    def __init__(self, processes: ProcessTable) -> None:
        self._processes = processes
        self._lists = _Lists(frozenset(), AddressSet(NEVER_BLOCKED), frozenset(), ())

    def learn(self, given: Guarded) -> None:
        """Take this list into use instead of the one before."""
        addresses = AddressSet((*NEVER_BLOCKED, *sorted(given.addresses)))
        paths = tuple(sorted(path.rstrip("/") or "/" for path in given.paths))
        self._lists = _Lists(given.pids, addresses, given.units, paths)

    def why(self, responder: str, target: Target) -> str:
        """Why this responder may not touch this, "" when it may."""
        lists = self._lists
        match target:
            case ProcessTarget(key, _, _, _):
                return self._process(key.pid)
            case FileTarget(path, _):
                return _file(path, () if responder in REPAIRS else lists.paths)
            case PeerTarget(address):
                return self._peer(address)
            case UnitTarget(unit) if unit in lists.units and responder not in REPAIRS:
                return f"{unit} is on the list of what is never touched"
            case _:
                return ""

    def _process(self, pid: int) -> str:
        if pid in ROOTS or pid < 0:
            return f"pid {pid} is the system's"
        if pid in self._lists.pids:
            return f"pid {pid} is on the list of what is never touched"
        for guarded in sorted(self._lists.pids):
            if any(link.pid == pid for link in self._processes.chain(guarded)):
                return f"pid {guarded}, which is never touched, descends from pid {pid}"
        return ""

    def _peer(self, address: str) -> str:
        if address_number(address) is None:
            return "expected an IPv4 or IPv6 address"
        if address in self._lists.addresses:
            return f"{address} is on the list of what is never blocked"
        return ""


def _file(path: str, guarded: Iterable[str]) -> str:
    """A file below a guarded folder, and a folder above a guarded file, may not be moved."""
    if not path.startswith("/") or "/../" in f"{path}/" or "\0" in path:
        return "expected an absolute path without .."
    for one in guarded:
        if path == one or path.startswith(f"{one.rstrip('/')}/") or one.startswith(f"{path}/"):
            return f"{one} is on the list of what is never touched"
    return ""
