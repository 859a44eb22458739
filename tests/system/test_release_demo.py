"""`make release-demo` as a machine reads it: every chapter ends as the story says."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import locked_kernel

pytestmark = [pytest.mark.system, pytest.mark.kernel]

REPOSITORY = Path(__file__).parents[2]
LIMIT_S = 120.0
"""What the demo may take in all, and more than ten times what it does."""


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The chapters by name; the demo is played once."""
    if os.geteuid() != 0:
        pytest.skip("needs root: run the tests with sudo to include it")
    for program in ("mosquitto", "awk"):
        if shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin") is None:
            pytest.skip(f"needs {program}: apt-get install it to include it")
    folder = tmp_path_factory.mktemp("demo")
    argv = [sys.executable, "-m", "vedette_dev", "release-demo", "--json", "--folder", str(folder)]
    with locked_kernel():
        done = subprocess.run(
            argv, cwd=REPOSITORY, capture_output=True, text=True, timeout=LIMIT_S, check=False
        )
    assert done.returncode == 0, done.stdout + done.stderr
    chapters = [json.loads(line) for line in done.stdout.splitlines()]
    return {chapter["chapter"]: chapter for chapter in chapters}


def steps(chapter: dict[str, Any], kind: str) -> list[str]:
    return [one["step"] for one in chapter["steps"] if one["kind"] == kind]


def test_the_chapters_are_told_in_their_order_and_all_end_well(story: dict[str, Any]) -> None:
    assert [*story] == [
        "keys", "repository", "rules-live", "firmware-committed", "firmware-rolled-back",
        "model-refused", "model-activated", "replay-refused",
    ]  # fmt: skip
    assert all(chapter["ok"] for chapter in story.values())


def test_the_root_has_two_keys_and_each_role_its_own_metadata(story: dict[str, Any]) -> None:
    assert story["keys"]["facts"]["keys"] == ["root-a", "root-b"]
    metadata = set(story["repository"]["facts"]["metadata"])
    assert {"1.root.json", "1.rules.json", "1.firmware.json", "1.models.json"} <= metadata


def test_rules_appear_live(story: dict[str, Any]) -> None:
    chapter = story["rules-live"]
    assert steps(chapter, "rules") == ["offered", "verified", "fetched", "written", "trial"]
    assert (chapter["facts"]["found_before"], chapter["facts"]["found_after"]) == (False, True)


def test_a_good_firmware_is_committed(story: dict[str, Any]) -> None:
    chapter = story["firmware-committed"]
    found = steps(chapter, "firmware")
    assert (found[0], found[-1]) == ("offered", "committed")
    assert found.index("verified") < found.index("written") < found.index("trial")
    assert chapter["facts"]["running"] == "2.0"


def test_a_firmware_that_is_not_well_goes_back_for_its_health(story: dict[str, Any]) -> None:
    chapter = story["firmware-rolled-back"]
    last = [one for one in chapter["steps"] if one["kind"] == "firmware"][-1]
    assert (last["step"], last["cause"]) == ("rolled-back", "health")
    assert chapter["facts"]["running"] == "2.0"


def test_a_model_whose_golden_test_fails_is_refused(story: dict[str, Any]) -> None:
    last = story["model-refused"]["steps"][-1]
    assert (last["step"], last["cause"]) == ("refused", "golden")
    assert "expected 32.0, got 5.5" in last["reason"]
    assert "written" not in steps(story["model-refused"], "model")


def test_a_good_model_is_put_into_use(story: dict[str, Any]) -> None:
    assert steps(story["model-activated"], "model")[-2:] == ["trial", "committed"]


def test_an_old_state_is_refused_as_an_incident_with_its_technique(story: dict[str, Any]) -> None:
    chapter = story["replay-refused"]
    assert [(one["step"], one["cause"]) for one in chapter["steps"]] == [("refused", "older")]
    uids = json.dumps(chapter["facts"]["attacks"])
    assert "T1195.002" in uids
