"""Responses that hold, each in a file, until nothing of them is left to undo."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tests.powercut.story import Mark, Promises, require

from vedette.codec.kept_response import MAX_BYTES, KeptResponse
from vedette.model.response import DeviceTarget, Mode, Order
from vedette.store.responses import ResponseStore
from vedette.store.shelf import FileShelf

RESPONSES = 4


def play(folder: Path, mark: Mark) -> None:
    """Responses begin, last longer, and end one after the other."""
    store = _store(folder)
    for number in range(1, RESPONSES + 1):
        mark(f"begun {number}")
        require(store.save(_kept(number, 60.0)) == "", "the disk refused")
        mark(f"done {number}")
        require(store.save(_kept(number, 30.0)) == "", "the disk refused")
    for number in range(1, RESPONSES + 1):
        mark(f"ending {number}")
        store.remove(_kept(number, 30.0).order.response_id)
        mark(f"ended {number}")


def check(folder: Path, marks: Sequence[str]) -> None:
    """What was kept and did not end is there; what ended is not; nothing is damaged."""
    promises = Promises(marks)
    found = _store(folder).load()
    require(not found.problems, f"{found.problems}")
    kept = {response.order.response_id: response for response in found.kept}
    for number in range(1, RESPONSES + 1):
        response = kept.get(_kept(number, 60.0).order.response_id)
        if promises.last("ending") < number <= promises.last("done"):
            require(response is not None, f"response {number} is lost")
        if number > promises.last("begun") or number <= promises.last("ended"):
            require(response is None, f"response {number} is there and must not be")
        expected = (None, _kept(number, 60.0), _kept(number, 30.0))
        require(response in expected, f"response {number} is another one")


def _kept(number: int, left_s: float) -> KeptResponse:
    order = Order(f"{number:016x}", "isolate", DeviceTarget(), Mode.ENFORCE, "r", "", "", 60.0)
    return KeptResponse(order, {"table": "vedette"}, "1" * 32, 100.0, left_s)


def _store(folder: Path) -> ResponseStore:
    return ResponseStore(
        FileShelf(folder / "responses", max_bytes=MAX_BYTES),
        FileShelf(folder / "run", max_bytes=MAX_BYTES),
    )
