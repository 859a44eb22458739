"""Kept responses on the disk: whole, or told and set aside."""

from __future__ import annotations

from pathlib import Path

from tests.simulators.memory_state import MemoryShelf

from vedette.codec.kept_response import MAX_BYTES, KeptResponse
from vedette.model.response import DeviceTarget, Mode, Order
from vedette.store.responses import ResponseStore
from vedette.store.shelf import FileShelf


def kept(name: str = "a") -> KeptResponse:
    order = Order(name * 16, "isolate", DeviceTarget(), Mode.ENFORCE, "r", "", "", 60.0)
    return KeptResponse(order, {"table": "vedette"}, "1" * 32, 100.0, 60.0)


def on_disk(folder: Path) -> ResponseStore:
    return ResponseStore(
        FileShelf(folder / "lasting", max_bytes=MAX_BYTES),
        FileShelf(folder / "passing", max_bytes=MAX_BYTES),
    )


def test_what_is_kept_is_there_for_the_next_start(tmp_path: Path) -> None:
    store = on_disk(tmp_path)
    assert store.save(kept("a")) == store.save(kept("b")) == ""
    assert on_disk(tmp_path).load().kept == (kept("a"), kept("b"))
    store.remove("a" * 16)
    store.remove("c" * 16)
    assert on_disk(tmp_path).load().kept == (kept("b"),)


def test_a_damaged_file_is_set_aside_once_and_the_others_are_read(tmp_path: Path) -> None:
    store = on_disk(tmp_path)
    store.save(kept("a"))
    store.save(kept("b"))
    file = tmp_path / "lasting" / f"{'a' * 16}.response"
    file.write_bytes(file.read_bytes()[:-10])
    found = store.load()
    assert found.kept == (kept("b"),)
    assert [line.split(":")[0] for line in found.problems] == [f"{'a' * 16}.response"]
    assert (tmp_path / "lasting" / f"{'a' * 16}.damaged").exists()
    assert store.load().problems == ()


def test_a_file_under_anothers_name_is_not_believed(tmp_path: Path) -> None:
    store = on_disk(tmp_path)
    store.save(kept("a"))
    lasting = tmp_path / "lasting"
    (lasting / f"{'a' * 16}.response").rename(lasting / f"{'b' * 16}.response")
    assert store.load().kept == ()


def test_while_the_disk_refuses_it_is_kept_in_memory_and_moves_back_later() -> None:
    lasting, passing = MemoryShelf(), MemoryShelf()
    store = ResponseStore(lasting, passing)
    lasting.is_full = True
    assert "no space" in store.save(kept())
    assert store.load().kept == (kept(),)
    lasting.is_full = False
    assert store.save(kept()._replace(remaining_s=30.0)) == ""
    assert (len(lasting.files), len(passing.files)) == (1, 0)
    assert store.load().kept == (kept()._replace(remaining_s=30.0),)
