"""The place of the audit daemon: what we ask of the kernel while we have it, and the way back.

Rule 1: it can never slow the device: the kernel waits for nobody (backlog_wait_time 0), prints
nothing (failure 0) and drops what does not fit; a kernel set to panic on loss is left alone.
Rule 2: there is one daemon slot; when a living process owns it, we step aside.
Rule 3: what is changed is written to run_dir first (_audit_state.py), and given back from there.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from vedette.codec import audit_control as control
from vedette.codec.syscalls import Abi
from vedette.errors import ParseError, SensorError
from vedette.sensors import _audit_link, _audit_refusals, _audit_rules, _audit_state

BUFFER_BYTES: Final = 16 << 20
"""The kernel doubles it: the records of 7,000 executions, two seconds of the fastest storm."""
BACKLOG_RECORDS: Final = 8192
"""The kernel's own queue behind our buffer."""
_RECORD_BYTES: Final = 2304
"""What one record takes of kernel memory (skb->truesize, measured on x86-64)."""
_MEMORY_SHARE: Final = 32
"""At most this part of the device's memory is asked for, for the buffer and for the queue."""


class AuditSeat:
    """Takes the place, changes what is told there, and gives it back.

    Args:
        run_dir: where what is changed is written down.
        abis: of this machine.

    Attributes:
        socket: gets the records, without blocking; None before `take` and after `close`.
        rules: ours that were added by `take`.
        guarded: pids of which the kernel tells what is done to them.
        has_executions: whether the kernel tells of executions.
    """

    def __init__(self, run_dir: Path, abis: tuple[Abi, ...]) -> None:
        self._run_dir, self._abis = run_dir, abis
        self._saved: _audit_state.Saved | None = None
        self._kernel_lost = 0
        self.socket: socket.socket | None = None
        self.rules: list[bytes] = []
        self.guarded: frozenset[int] = frozenset()
        self.has_executions = True

    def take(self) -> None:
        """Become the audit daemon; after a failure `give_back` and `close` undo what was done.

        Raises:
            SensorError: it cannot be taken here; what to do about it is said.
        """
        with _audit_refusals.explained():
            if (left := _audit_state.load(self._run_dir)) is not None:
                raise SensorError(f"audit: pid {left.pid} already watches from {self._run_dir}")
            with _audit_link.AuditLink() as link:
                found = link.status()
                _audit_refusals.check_usable(found)
                is_alone = all(
                    control.parse_rule(rule).key == _audit_rules.KEY for rule in link.rules()
                )
                wanted = _audit_rules.rules(self._abis, is_alone=is_alone)
                self._change(link, found, wanted)

    def difference(self) -> str:
        """What of our state is not in the kernel any more, for people; "" where all is.

        Raises:
            OSError: the audit system does not answer.
        """
        wanted = {*self.rules, *_audit_rules.guarding(self._abis, self.guarded)}
        if not self.has_executions:
            wanted -= set(_audit_rules.executions(self._abis))
        return _audit_state.difference(wanted)

    def note_guarded(self, pids: frozenset[int]) -> tuple[list[bytes], list[bytes]]:
        """Write down that these are guarded; returns rules to add and to delete (`change_rules`).

        Raises:
            OSError: it cannot be written down; nothing may be changed then.
        """
        new = _audit_rules.guarding(self._abis, pids - self.guarded)
        old = _audit_rules.guarding(self._abis, self.guarded - pids)
        if self._saved is not None:
            self._saved = _audit_state.extend(self._run_dir, self._saved, new)
        self.guarded = pids
        return new, old

    def tell_executions(self, *, wanted: bool) -> None:
        """Have the kernel tell of executions, or not.

        Where it refuses, what is told all the same goes no further, and what is not told fails
        the next proof.
        """
        if wanted == self.has_executions:
            return
        with contextlib.suppress(OSError, ParseError), _audit_link.AuditLink() as link:
            for rule in _audit_rules.executions(self._abis):
                if wanted:
                    link.add(rule)
                else:
                    link.delete(rule)
            self.has_executions = wanted

    def lost(self) -> int | None:
        """Records that the kernel counted as lost since the last call; None if it did not say."""
        try:
            with _audit_link.AuditLink() as link:
                # What did not fit into our buffer waits in the kernel's retry queue until another
                # record comes (kauditd_thread); a setting that changes nothing makes one.
                link.set(control.change(control.STATUS_BACKLOG_WAIT_TIME))
                total = link.status().lost
        except (OSError, ParseError):
            return None
        lost = (total - self._kernel_lost) & 0xFFFFFFFF
        self._kernel_lost = total
        return lost

    def give_back(self) -> None:
        """Leave the kernel as it was found; the socket stays open.

        Raises:
            OSError: the audit system refused; what is left is undone at the next start.
            ParseError: it answered in a way that we do not know; as above.
        """
        if self._saved is not None:
            _audit_state.undo(self._run_dir, self._saved)

    def close(self) -> None:
        """Close the socket."""
        if self.socket is not None:
            self.socket.close()
            self.socket = None

    def _change(
        self, link: _audit_link.AuditLink, found: control.Status, wanted: list[bytes]
    ) -> None:
        given = {
            "failure": control.FAILURE_SILENT,
            "backlog_limit": max(found.backlog_limit, _affordable(BACKLOG_RECORDS, _RECORD_BYTES)),
            "backlog_wait_time": 0,
            "enabled": 1,
        }
        self._saved = _audit_state.save(self._run_dir, found, given, wanted)
        self.socket = _audit_link.open_socket()
        self.socket.setsockopt(
            socket.SOL_SOCKET, _audit_link.SO_RCVBUFFORCE, _affordable(BUFFER_BYTES, 1)
        )
        _audit_link.register(self.socket, os.getpid())
        for name, mask in _audit_state.FIELDS.items():
            if name != "enabled":
                link.set(control.change(mask, **{name: given[name]}))
        self.rules = wanted
        _add(link, wanted)
        link.set(control.change(control.STATUS_ENABLED, enabled=1))
        self._kernel_lost = found.lost
        self.socket.setblocking(False)


def change_rules(new: Iterable[bytes], old: Iterable[bytes]) -> None:
    """Add and delete rules; deleting one waits 10 ms for the kernel.

    Raises:
        OSError: the audit system refused.
    """
    with _audit_link.AuditLink() as link:
        _add(link, new)
        for rule in old:
            link.delete(rule)


def _add(link: _audit_link.AuditLink, rules: Iterable[bytes]) -> None:
    for rule in rules:
        # One with our key may be left from a run whose file is gone: it is ours now.
        with contextlib.suppress(FileExistsError):
            link.add(rule)


def _affordable(wanted: int, unit_bytes: int) -> int:
    memory_bytes = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return min(wanted, memory_bytes // _MEMORY_SHARE // unit_bytes)
