# ruff: noqa: ARG002 (the port's arguments, not all of which a game needs)
"""Responders that play: they keep the port's promises on plain files, and count what they do."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import ClassVar

from vedette.errors import ResponseError
from vedette.model.process import ProcessKey
from vedette.model.response import (
    FileTarget,
    Order,
    Outcome,
    ProcessTarget,
    ResponseStatus,
    Target,
    UndoRecord,
)
from vedette.ports.responder import Responder, ResponderContext

SUFFIX = ".held"


def context(folder: Path) -> ResponderContext:
    return ResponderContext(folder / "state", folder / "run")


class Renaming(Responder):
    """Takes a file away by another name.

    Attributes:
        done: the methods called, in order.
        wait: set while `act` may go on.
    """

    target_type: ClassVar[type[Target]] = FileTarget
    has_undo: ClassVar[bool] = True
    outlives_reboot: ClassVar[bool] = True
    timeout_s: ClassVar[float] = 5.0

    def __init__(self, given: ResponderContext) -> None:
        super().__init__(given)
        self.done: list[str] = []
        self.wait = threading.Event()
        self.wait.set()
        self.broken = ""

    def unavailable(self) -> str:
        return self.broken

    def plan(self, order: Order) -> UndoRecord:
        self.done.append("plan")
        path = _path(order)
        if not path.exists():
            raise ResponseError(f"{path}: there is no such file")
        return {"from": str(path), "to": str(path) + SUFFIX}

    def act(self, order: Order, record: UndoRecord) -> Outcome:
        self.done.append("act")
        self.wait.wait(60.0)
        if self.broken:
            raise RuntimeError(self.broken)
        if not Path(str(record["to"])).exists():
            Path(str(record["from"])).rename(str(record["to"]))
        return Outcome(ResponseStatus.DONE, f"renamed to {record['to']}", {})

    def undo(self, order: Order, record: UndoRecord) -> Outcome:
        self.done.append("undo")
        if Path(str(record["to"])).exists():
            Path(str(record["to"])).rename(str(record["from"]))
        return Outcome(ResponseStatus.UNDONE, "as it was", {})

    def leave(self, order: Order, record: UndoRecord) -> None:
        self.done.append("leave")

    def holds(self, order: Order, record: UndoRecord) -> bool:
        return Path(str(record["to"])).exists()


class Freezing(Renaming):
    """The same, for what no reboot leaves."""

    outlives_reboot: ClassVar[bool] = False


class Holding(Renaming):
    """The same, and it waits for no disk."""

    is_urgent: ClassVar[bool] = True


class Striking(Responder):
    """Ends nothing, and says which orders it was given."""

    target_type: ClassVar[type[Target]] = ProcessTarget
    has_undo: ClassVar[bool] = False
    is_urgent: ClassVar[bool] = True
    timeout_s: ClassVar[float] = 0.0

    def __init__(self, given: ResponderContext) -> None:
        super().__init__(given)
        self.struck: list[ProcessKey] = []
        self.hangs = threading.Event()
        self.hangs.set()

    def unavailable(self) -> str:
        return ""

    def plan(self, order: Order) -> UndoRecord:
        return {}

    def act(self, order: Order, record: UndoRecord) -> Outcome:
        self.hangs.wait(60.0)
        assert isinstance(order.target, ProcessTarget)
        self.struck.append(order.target.key)
        return Outcome(ResponseStatus.DONE, "1 process ended", {"processes": 1})

    def undo(self, order: Order, record: UndoRecord) -> Outcome:
        return Outcome(ResponseStatus.UNDONE, "nothing to undo", {})


def _path(order: Order) -> Path:
    assert isinstance(order.target, FileTarget)
    return Path(order.target.path)
