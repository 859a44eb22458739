"""`vedette model`: what is in use, what was changed at rest, and the way back."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from tests.simulators.model_content import NAME, make, stage

from vedette.cli._command_line import main
from vedette.store.models import ModelStore


@pytest.fixture(autouse=True)
def unsynced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda _: None)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModelStore:
    """Version 2 in use, version 1 before."""
    file = tmp_path / "vedette.toml"
    paths = f'[paths]\nstate = "{tmp_path}/state"\nrun = "/nonexistent/run"\n'
    file.write_text(f'{paths}[models]\nfolder = "{tmp_path}/models"\n')
    monkeypatch.setenv("VEDETTE_CONFIG", str(file))
    made = ModelStore(tmp_path / "models", max_bytes=1 << 20)
    for version in ("1", "2"):
        digest = stage(made, make({"m.onnx": version.encode() * 2000}, version=version))
        made.switch(NAME, digest)
        made.commit(NAME, digest)
    return made


def told(tmp_path: Path) -> list[dict[str, Any]]:
    """Steps that wait for the sentinel, which does not run here."""
    steps = tmp_path / "state/updates/steps"
    return [json.loads(path.read_bytes()) for path in sorted(steps.glob("*.step"))]


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    code = main(["model", *words])
    return code, capsys.readouterr().out


def test_list_shows_what_is_in_use(store: ModelStore, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = run(capsys, "list")
    first, second = store.digests(NAME)
    assert code == 0
    assert said.splitlines() == [
        f"person 1  {first[:16]}  before  2.0 kB, plain, not signed",
        f"person 2  {second[:16]}  in use  2.0 kB, plain, not signed",
    ]
    code, said = run(capsys, "list", "--json")
    assert [row["state"] for row in json.loads(said)] == ["before", "in use"]


def test_list_without_models(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "vedette.toml"
    file.write_text(f'[models]\nfolder = "{tmp_path}/none"\n')
    monkeypatch.setenv("VEDETTE_CONFIG", str(file))
    assert run(capsys, "list") == (0, "no models\n")


def test_verify_says_that_all_is_as_it_was(
    store: ModelStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = run(capsys, "verify")
    assert code == 0
    assert said.count("as it was verified") == len(store.digests(NAME))
    assert told(tmp_path) == []


def test_verify_finds_and_records_what_was_changed(
    store: ModelStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    digest = store.pointers(NAME).current
    file = store.path(NAME, digest) / "model/m.onnx"
    file.chmod(0o644)
    file.write_bytes(b"3" * 2000)
    code, said = run(capsys, "verify", NAME)
    assert code == 1
    assert f"{NAME} {digest[:16]}: " in said
    assert "was changed at rest" in said
    (step,) = told(tmp_path)
    assert (step["step"], step["cause"]) == ("refused", "altered")


def test_rollback_switches_and_records(
    store: ModelStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = store.digests(NAME)
    code, said = run(capsys, "rollback", "--reason", "sees ghosts")
    assert code == 0
    assert said == f"person: {first[:16]} is in use again, {second[:16]} was\n"
    assert store.pointers(NAME).current == first
    (step,) = told(tmp_path)
    assert (step["step"], step["cause"]) == ("rolled-back", "operator")
    assert step["reason"] == "sees ghosts"
    assert step["facts"] == {"from": second, "current": first}


@pytest.mark.parametrize("words", [("rollback", "dog"), ("verify", "../x"), ("rollback", "")])
def test_what_is_not_there_cannot_be_done(
    store: ModelStore, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    if words[1] == "":
        store.roll_back(NAME)
        expected = "none is kept"
    else:
        expected = "model of this device (person)"
    assert main(["model", *words]) == 2
    assert expected in capsys.readouterr().err
