"""Processes as the agent knows them."""

from __future__ import annotations

from typing import NamedTuple


class ProcessKey(NamedTuple):
    """Names one process for ever: a pid alone is used again (pid, proc(5) field 22)."""

    pid: int
    start_ticks: int


class ProcessFacts(NamedTuple):
    """One link of a process chain as a finding shows it; unknown is 0, -1 or ""."""

    key: ProcessKey
    ppid: int
    image: str
    argv0: str
    command_line: str
    uid: int
    user: str
    unit: str
    sha256: str
