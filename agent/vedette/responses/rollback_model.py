"""Rolls a model back to the one that was in use before, in one rename.

Rule 1: only the model that was in use when it was planned is taken out of use: one that was put
into use since is another decision, and is left alone.
Rule 2: it is done when the link leads to the model before; an inference process that could not be
told is PARTLY: it may go on with what it has loaded.
Rule 3: it holds over a reboot, since the link is on the disk.
"""

from __future__ import annotations

from typing import ClassVar

from vedette.errors import ResponseError, StoreError
from vedette.model.response import ModelTarget, Order, Outcome, ResponseStatus, Target, UndoRecord
from vedette.ports.models import ModelsInUse
from vedette.ports.responder import Responder

_SHOWN = 16


class RollbackModel(Responder):
    """Gives an inference process the model that it had before."""

    target_type: ClassVar[type[Target]] = ModelTarget
    has_undo: ClassVar[bool] = True
    outlives_reboot: ClassVar[bool] = True
    timeout_s: ClassVar[float] = 28.0
    """The link takes some fsyncs; a unit that is restarted may take 20 s."""

    def unavailable(self) -> str:
        """Why this device cannot do it, or ""."""
        try:
            names = self._models().names()
        except (ResponseError, StoreError) as error:
            return str(error)
        return "" if names else "no model is installed here ([models] folder)"

    def plan(self, order: Order) -> UndoRecord:
        """Which model goes and which one comes back."""
        name = self._name(order)
        try:
            found = self._models().pointers(name)
            if not _is_meant(order, found.current):
                raise ResponseError(f"{name}: the model that was judged is not in use any more")
            if not found.current:
                raise ResponseError(f"{name}: expected a model in use, there is none")
            if not found.is_trial and found.last_good in {"", found.current}:
                raise ResponseError(f"{name}: expected a model from before, none is kept")
            if found.last_good and not self._models().has(name, found.last_good):
                raise ResponseError(f"{name}: the model from before is not there any more")
        except StoreError as error:
            raise ResponseError(str(error)) from error
        return {"model": name, "from": found.current, "to": found.last_good}

    def act(self, order: Order, record: UndoRecord) -> Outcome:
        """Roll back; a second call changes nothing."""
        name, before, after = _read(record)
        facts: dict[str, str | int] = {"model": name, "from": before, "to": after}
        try:
            current = self._models().pointers(self._name(order)).current
            if current not in {before, after}:
                words = f"{name}: {before[:_SHOWN]} is not in use any more"
                return Outcome(ResponseStatus.REFUSED, words, facts)
            untold = self._models().roll_back(name) if current == before else ""
        except ResponseError as error:
            return Outcome(ResponseStatus.REFUSED, str(error), facts)
        except (StoreError, OSError) as error:
            return Outcome(ResponseStatus.FAILED, f"not rolled back: {error}", facts)
        words = f"{name} is {after[:_SHOWN] or 'without a model'} again"
        return _told(ResponseStatus.DONE, words, untold, facts)

    def undo(self, order: Order, record: UndoRecord) -> Outcome:
        """Put the model that was rolled back into use again."""
        name, before, after = _read(record)
        facts: dict[str, str | int] = {"model": name, "to": before}
        try:
            if name not in self._models().names():
                return Outcome(ResponseStatus.UNDONE, f"{name} is no longer there", facts)
            found = self._models().pointers(self._name(order))
            if found.current != after and not (found.current == before and found.is_trial):
                words = f"{name}: nothing is left to undo, {after[:_SHOWN]} is not in use"
                return Outcome(ResponseStatus.UNDONE, words, facts)
            untold = self._models().put_back(name, before)
        except (ResponseError, StoreError, OSError) as error:
            return Outcome(ResponseStatus.FAILED, f"not undone: {error}", facts)
        return _told(ResponseStatus.UNDONE, f"{name} is {before[:_SHOWN]} again", untold, facts)

    def holds(self, order: Order, record: UndoRecord) -> bool:
        """Whether the model before is still the one in use."""
        name, before, _ = _read(record)
        try:
            return self._models().pointers(self._name(order)).current != before and bool(name)
        except StoreError as error:
            raise ResponseError(str(error)) from error

    def _models(self) -> ModelsInUse:
        if self.context.models is None:
            raise ResponseError("this device keeps no models: see [models] in the configuration")
        return self.context.models

    def _name(self, order: Order) -> str:
        if not isinstance(order.target, ModelTarget):
            kind = type(order.target).__name__
            raise ResponseError(f"expected a model to act on, got a {kind}")
        name = order.target.model
        if name not in self._models().names():
            raise ResponseError(f"expected a model of this device, {name[:64]!a} is none")
        return name


def _is_meant(order: Order, digest: str) -> bool:
    wanted = order.target.sha256 if isinstance(order.target, ModelTarget) else ""
    return wanted in {"", digest}


def _read(record: UndoRecord) -> tuple[str, str, str]:
    return str(record["model"]), str(record["from"]), str(record["to"])


def _told(status: ResponseStatus, words: str, untold: str, facts: dict[str, str | int]) -> Outcome:
    if not untold:
        return Outcome(status, words, facts)
    partly = ResponseStatus.PARTLY if status is ResponseStatus.DONE else status
    return Outcome(partly, f"{words}; its user could not be told: {untold[:200]}", facts)


responder_class = RollbackModel
