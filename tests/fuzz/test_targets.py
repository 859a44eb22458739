"""Each fuzz target holds on its seeds and a few hundred mutations, in every `make test`."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.fuzz import engine

INPUTS = 150
BUDGET_S = 3.0


@pytest.mark.parametrize("name", engine.names())
def test_target_holds(name: str) -> None:
    module = engine.load(name)
    assert (module.target.__doc__ or "").strip(), "a target's docstring states its invariant"
    sources = engine.seeds(name, module)
    for source in sources:
        engine.check(module.target, source, name)
    chance = random.Random(name)
    ends_s = time.monotonic() + BUDGET_S
    for _ in range(INPUTS):
        if time.monotonic() > ends_s:
            break
        engine.check(module.target, engine.mutate(chance, sources), name)


def test_engine_finds_and_keeps_a_planted_defect(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(engine, "CORPUS", tmp_path)

    def target(data: bytes) -> None:
        if data[:1] == b"\x80":
            raise ValueError("planted")

    with pytest.raises(AssertionError, match="planted"):
        _storm(target, [b"", b"\x00abc"])
    (kept,) = (tmp_path / "planted").iterdir()
    assert kept.read_bytes()[:1] == b"\x80"


def _storm(target: Callable[[bytes], None], sources: list[bytes]) -> None:
    chance = random.Random(1)
    for _ in range(50_000):
        engine.check(target, engine.mutate(chance, sources), "planted")
