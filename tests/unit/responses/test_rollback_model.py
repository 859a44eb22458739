"""rollback_model: what the contract's scene does not play."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.simulators.model_content import NAME, make, stage

from vedette.daemon.model_options import Models
from vedette.daemon.models.in_use import DeviceModels
from vedette.errors import ResponseError
from vedette.model.model_use import ModelUse
from vedette.model.response import Mode, ModelTarget, Order, ResponseStatus
from vedette.ports.responder import ResponderContext
from vedette.responses.rollback_model import RollbackModel


@pytest.fixture(autouse=True)
def unsynced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda _: None)


@pytest.fixture
def models(tmp_path: Path) -> DeviceModels:
    use = ModelUse(NAME, "socket", socket=str(tmp_path / "nobody.sock"))
    return DeviceModels(Models(folder=str(tmp_path / "models"), uses={NAME: use}))


def switched(models: DeviceModels, version: str, *, is_committed: bool = True) -> str:
    digest = stage(models.store, make({"m.onnx": version.encode()}, version=version))
    models.store.switch(NAME, digest)
    if is_committed:
        models.store.commit(NAME, digest)
    return digest


def responder(tmp_path: Path, models: DeviceModels | None) -> RollbackModel:
    return RollbackModel(ResponderContext(tmp_path, tmp_path, models=models))


def order(model: str = NAME, sha256: str = "") -> Order:
    target = ModelTarget(model, sha256)
    return Order("a" * 16, "rollback_model", target, Mode.ENFORCE, "rule", "", "", 60.0)


def test_a_device_without_models_says_so(tmp_path: Path, models: DeviceModels) -> None:
    assert "[models]" in responder(tmp_path, None).unavailable()
    assert "no model is installed" in responder(tmp_path, models).unavailable()
    switched(models, "1")
    assert responder(tmp_path, models).unavailable() == ""


def test_a_user_that_is_not_told_leaves_it_partly_done(
    tmp_path: Path, models: DeviceModels
) -> None:
    first, second = switched(models, "1"), switched(models, "2")
    found = responder(tmp_path, models)
    record = found.plan(order())
    outcome = found.act(order(), record)
    assert outcome.status is ResponseStatus.PARTLY
    assert "nobody.sock" in outcome.detail
    assert models.pointers(NAME).current == first
    assert found.undo(order(), record).status is ResponseStatus.UNDONE
    assert models.pointers(NAME).current == second


def test_a_model_on_trial_goes_back_to_what_was_in_use(
    tmp_path: Path, models: DeviceModels
) -> None:
    first, second = switched(models, "1"), switched(models, "2", is_committed=False)
    found = responder(tmp_path, models)
    record = found.plan(order(sha256=second))
    assert record == {"model": NAME, "from": second, "to": first}
    found.act(order(), record)
    assert models.pointers(NAME).current == first
    assert not models.pointers(NAME).is_trial


def test_without_a_model_before_there_is_nothing_to_do(
    tmp_path: Path, models: DeviceModels
) -> None:
    switched(models, "1")
    with pytest.raises(ResponseError, match="none is kept"):
        responder(tmp_path, models).plan(order())


@pytest.mark.parametrize("name", ["dog", "../person", "", "person\0"])
def test_a_name_from_outside_is_refused(tmp_path: Path, models: DeviceModels, name: str) -> None:
    switched(models, "1")
    with pytest.raises(ResponseError, match="is none"):
        responder(tmp_path, models).plan(order(name))


def test_another_content_than_was_judged_is_left_alone(
    tmp_path: Path, models: DeviceModels
) -> None:
    first = switched(models, "1")
    switched(models, "2")
    with pytest.raises(ResponseError, match="not in use any more"):
        responder(tmp_path, models).plan(order(sha256=first))
