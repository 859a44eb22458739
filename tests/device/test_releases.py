"""Releases of rules and models on a device, from a repository that it reaches over its network."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tests.device._device import REPOSITORY, Device

from vedette.model.update import Cause, Step
from vedette_dev.release_demo import NEW_RULE, RULE

pytestmark = pytest.mark.device

WORD = "vedette-device-test"


def test_a_release_of_rules_is_used_without_a_restart(device: Device, tmp_path: Path) -> None:
    site = device.site
    site.desk.copy_served("kept")
    before = device.guest.check("systemctl show -P MainPID vedette.service")
    rules = tmp_path / "rules"
    shutil.copytree(REPOSITORY / "rules/persistence", rules)
    (rules / "new.yml").write_text(RULE.format(id=NEW_RULE, word=WORD))
    (rules / "new.match.yml").write_text(f"- {{CommandLine: /bin/echo {WORD}}}\n")
    (rules / "new.nomatch.yml").write_text("- {CommandLine: /bin/echo hello}\n")
    device.guest.check(f"/bin/echo {WORD}")
    site.desk.release_rules(site.desk.build_rules(rules, 2))
    ended = device.look_for_releases()
    assert ended.code == 0, ended.output
    site.steps.await_step(Step.TRIAL, "rules")
    assert not site.steps.has_incident(NEW_RULE)
    device.guest.check(f"/bin/echo {WORD}")
    site.steps.await_incident(NEW_RULE)
    assert device.guest.check("systemctl show -P MainPID vedette.service") == before


def test_a_model_is_used_after_its_golden_test_and_goes_back_when_asked(
    device: Device, tmp_path: Path
) -> None:
    _publish_model(device, tmp_path, "1", "2 3")
    _publish_model(device, tmp_path, "2", "1 3")
    _publish_model(device, tmp_path, "3", "2 3.0")
    assert _in_use(device) == ["3"]
    device.vedette("update rollback model person", deadline_s=120)
    device.site.steps.await_step(Step.ROLLED_BACK, "model", Cause.OPERATOR)
    assert _in_use(device) == ["1"]


def _in_use(device: Device) -> list[str]:
    """The versions of models that are in use."""
    return [row["version"] for row in device.asked("model list") if row["state"] == "in use"]


def _publish_model(device: Device, folder: Path, version: str, weights: str) -> None:
    """Publish a model that adds up to 32 for the golden case, or does not, and see what comes."""
    site = device.site
    model, golden = folder / f"model-{version}", folder / "golden"
    model.mkdir()
    golden.mkdir(exist_ok=True)
    (model / "weights.txt").write_text(f"{weights}\n")
    (golden / "one.input.json").write_text("[1, 10]")
    (golden / "one.expected.json").write_text("[32.0]")
    is_good = weights.startswith("2")
    site.desk.release_model(model, golden, version)
    device.look_for_releases()
    last, cause = (Step.COMMITTED, None) if is_good else (Step.REFUSED, Cause.GOLDEN)
    site.steps.await_step(last, "model", cause)


def test_a_mirror_that_plays_an_old_state_is_refused(device: Device) -> None:
    site = device.site
    site.desk.serve_instead(site.folder / "kept")
    device.look_for_releases()
    site.steps.await_step(Step.REFUSED, "", Cause.OLDER)
    site.steps.await_incident("vedette:update-older")
