"""Which process an order means, and whether it is still there.

Rule: a pid alone means nobody. Its start time decides; where the source did not tell it (audit),
the process must have begun before the event that spoke of it, or run the program that was seen.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Final

from vedette.errors import ResponseError
from vedette.model.process import ProcessKey
from vedette.model.response import Order, ProcessTarget, UndoRecord
from vedette.responses._process_handle import TICKS_PER_S, ProcessHandle, open_process

START: Final = "start_ticks"
_SHOWN: Final = 5
_TICK_S: Final = 1.0 / TICKS_PER_S
_COARSE_S: Final = 0.011
"""audit stamps with the last timer tick, 10 ms apart at CONFIG_HZ=100."""


def process_target(order: Order) -> ProcessTarget:
    """The process that an order names.

    Raises:
        ResponseError: it names something else.
    """
    if not isinstance(order.target, ProcessTarget):
        raise ResponseError(
            f"{order.responder}: expected a process as target, got {type(order.target).__name__}"
        )
    return order.target


def pinned(target: ProcessTarget, untouchable: frozenset[int]) -> UndoRecord:
    """The start time by which `found` knows it again; 0 where it is gone already.

    Raises:
        ResponseError: it is another process, or may not be touched.
    """
    if target.key.pid in untouchable | {1, os.getpid()}:
        raise ResponseError(f"process {target.key.pid} is one that may not be touched")
    process = open_process(target.key.pid)
    if process is None:
        return {START: target.key.start_ticks}
    with process:
        if process.stat.is_kernel_thread:
            raise ResponseError(f"process {target.key.pid} is a thread of the kernel")
        if reason := difference(process, target):
            raise ResponseError(reason)
        return {START: process.stat.start_ticks}


def found(
    order: Order, record: UndoRecord, untouchable: frozenset[int]
) -> tuple[ProcessTarget, ProcessHandle | None]:
    """The target with the start time that was planned for, and its process unless it has ended.

    Raises:
        ResponseError: its number is another's now, or it may not be touched.
    """
    target = process_target(order)
    pid, expected = target.key.pid, int(record.get(START, target.key.start_ticks))
    if pid in untouchable | {1, os.getpid()}:
        raise ResponseError(f"process {pid} is one that may not be touched")
    target = target._replace(key=ProcessKey(pid, expected))
    process = open_process(pid)
    if process is None or process.is_same(expected):
        return target, process
    process.close()
    raise ResponseError(
        f"process {pid} is another one now: expected the one that "
        + (f"began at tick {expected}" if expected else "had ended when it was planned for")
        + f", got one that began at tick {process.stat.start_ticks}"
    )


def named(pids: Iterable[int]) -> str:
    """Some processes for people: all of a few, the number of many."""
    listed = sorted(pids)
    if len(listed) == 1:
        return f"process {listed[0]}"
    shown = ", ".join(map(str, listed[:_SHOWN]))
    more = f" and {len(listed) - _SHOWN} more" if len(listed) > _SHOWN else ""
    return f"processes {shown}{more}"


def difference(process: ProcessHandle, target: ProcessTarget) -> str:
    """Why a process is not the one that is meant, or ""."""
    began, expected = process.stat.start_ticks, target.key.start_ticks
    if expected:
        if process.is_same(expected):
            return ""
        return (
            f"process {process.pid} is another one now: expected the one that began at tick "
            f"{expected}, got one that began at tick {began}"
        )
    if target.seen_at_s and began * _TICK_S <= target.seen_at_s - _COARSE_S:
        return ""
    if target.seen_at_s and began * _TICK_S > target.seen_at_s + _COARSE_S:
        return f"process {process.pid} is another one now: it began after the event that names it"
    image = _image(process.pid)
    if image and image == target.image.removesuffix(" (deleted)"):
        return ""
    return (
        f"process {process.pid}: cannot tell whether it is the one that is meant; "
        f"expected the program {target.image!r}, got {image!r}"
    )


def _image(pid: int) -> str:
    try:
        return os.readlink(f"/proc/{pid}/exe").removesuffix(" (deleted)")  # noqa: PTH115 - hot
    except OSError:
        return ""
