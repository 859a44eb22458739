"""Hooks and probes of a model's user on a real systemd."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.contract.scenes.stop_unit import UnitScene

from vedette.daemon import essential_prober
from vedette.daemon.models import hook
from vedette.daemon.models.hook import HookError
from vedette.daemon.models.watch import Watch
from vedette.model.essential import EssentialFunction, Probed
from vedette.model.model_use import ModelUse
from vedette.model.update import Cause

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(bool(UnitScene.refusal()), reason=UnitScene.refusal() or "none"),
]


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[UnitScene]:
    made = UnitScene(tmp_path)
    monkeypatch.setattr(essential_prober, "SYSTEMCTL", (str(made.manager.program),))
    yield made
    made.close()


def use(scene: UnitScene, **options: object) -> ModelUse:
    return ModelUse("person", unit=scene.unit, **options)  # type: ignore[arg-type]


def test_a_unit_is_restarted(scene: UnitScene, tmp_path: Path) -> None:
    hook.tell(use(scene, hook="restart"), "", tmp_path)
    assert scene.main_pid() not in {0, scene.began}


def test_the_main_process_of_a_unit_is_signalled(scene: UnitScene, tmp_path: Path) -> None:
    """sleep(1) ends at SIGUSR1, so that the signal shows."""
    hook.tell(use(scene, hook="signal", signal="USR1"), "", tmp_path)
    problem = None
    with Watch(use(scene)) as watch:
        problem = watch.run(20.0)
    assert problem is not None
    assert problem.cause is Cause.HEALTH
    assert scene.unit in problem.reason


def test_a_unit_that_is_not_there_is_a_failed_hook(scene: UnitScene, tmp_path: Path) -> None:
    gone = use(scene, hook="restart")._replace(unit="no-such-detector.service")
    with pytest.raises(HookError, match="no-such-detector"):
        hook.tell(gone, "", tmp_path)


def test_a_unit_that_somebody_restarts_during_the_trial_is_no_sound_one(
    scene: UnitScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = 0
    real = essential_prober.probe

    def probe(one: EssentialFunction) -> Probed:
        nonlocal looks
        looks += 1
        if looks == 2:
            scene.manager.do("restart", scene.unit)
        return real(one)

    monkeypatch.setattr(essential_prober, "probe", probe)
    with Watch(use(scene)) as watch:
        problem = watch.run(20.0)
    assert problem is not None
    assert "ended and was started again" in problem.reason


def test_a_unit_that_stays_up_passes(scene: UnitScene) -> None:
    with Watch(use(scene)) as watch:
        assert watch.run(1.5) is None
