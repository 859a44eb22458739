"""The file of the chains: an attacker gains nothing from the end of a watch."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.core.test_chain import DEVICE, REWRITTEN, VERIFIER, Device

from vedette.cli._fleet_chains import KeptChains
from vedette.core.chain import Chain, Verdict
from vedette.errors import InputError

CAM = ("acme", "cam-7")


def write(path: Path, data: bytes) -> None:
    path.write_bytes(data)


def test_a_past_that_is_rewritten_between_two_watches_is_found(tmp_path: Path) -> None:
    device = Device(tmp_path / "device")
    first = KeptChains(tmp_path / "chains.json", write)
    assert first.read() == {}
    before = Chain(*CAM, DEVICE.public_key)
    before.take(device.link(5), VERIFIER)
    assert before.last is not None
    first.keep({CAM: before.last})
    rewritten = device.link(9, leaves=REWRITTEN)
    naive = Chain(*CAM, DEVICE.public_key)
    assert naive.take(rewritten, VERIFIER).verdict is Verdict.BEGUN
    kept = KeptChains(tmp_path / "chains.json", write).read()
    told = Chain(*CAM, DEVICE.public_key, kept[CAM]).take(rewritten, VERIFIER)
    assert told.verdict is Verdict.BROKEN


def test_it_is_written_only_when_something_is_new(tmp_path: Path) -> None:
    writes: list[bytes] = []
    kept = KeptChains(tmp_path / "chains.json", lambda _, data: writes.append(data))
    reader = Chain(*CAM, DEVICE.public_key)
    reader.take(Device(tmp_path / "device").link(5), VERIFIER)
    assert reader.last is not None
    for _ in range(3):
        kept.keep({CAM: reader.last})
    assert len(writes) == 1
    KeptChains(None, lambda *_: pytest.fail("nothing is to be kept")).keep({CAM: reader.last})


def test_another_file_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "chains.json").write_text("my notes")
    with pytest.raises(InputError, match="not what fleet watch wrote"):
        KeptChains(tmp_path / "chains.json", write).read()
