"""Releases that are rightly signed and odd all the same: refused, told why, and nothing changes.

What stands here is what reaches the installer's job. What is refused before is tested where it is:
metadata (tests/conformance/), servers and folders (tests/unit/daemon/updater/), archives
(test_archive_source.py), manifests and model trees (tests/unit/codec/test_*_manifest.py,
tests/unit/trust/test_model_signature.py), slots (tests/unit/store/test_slot_*.py).
"""

from __future__ import annotations

import errno
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.simulators.failing_disk import FailingDisk
from tests.simulators.tuf_repository import MemorySource
from tests.unit.daemon.installer.test_job import CONTENT, Stage, release

from vedette.codec import release as release_codec
from vedette.daemon.control_client import NotRunningError
from vedette.daemon.installer.job import Wish
from vedette.errors import ParseError, VedetteError
from vedette.model.release import PartKind, ReleaseKind
from vedette.store import durable
from vedette.store.state import FileState
from vedette.trust.tuf_floors import Floors

LONG = "n" * 4096
MAX_STEPS = 400
STRIDE = 4
"""tests/conformance/test_full_disk.py tries each step of a refresh."""


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    return Stage(tmp_path, monkeypatch)


def custom(**fields: Any) -> dict[str, Any]:
    """A release whose fields are as given, whatever `vedette release` would have said to it."""
    made: dict[str, Any] = {**release_codec.encode(release(7))}
    made[release_codec.FIELD] |= fields
    return made


def publish_raw(stage: Stage, *customs: dict[str, Any]) -> None:
    for number, one in enumerate(customs):
        stage.repository.add_target(f"rules/fleet/{number}.bundle", CONTENT, "rules", one)
    stage.repository.publish("rules", "snapshot", "timestamp")


def part(**fields: Any) -> dict[str, Any]:
    whole = {"path": "rules/fleet/7.samples", "length": 5, "sha256": "0a" * 32}
    return {"samples": {**whole, **fields}}


ODD: dict[str, Mapping[str, Any]] = {
    **{
        f"the version {name}": {"version": version}
        for name, version in {
            "of nothing": "", "that is a path": "../../etc/passwd", "with a zero": "1.0\0",
            "that turns the line": "1.0\u202e9.9", "with an escape": "1.0\x1b[2J",
            "of two lines": "1.0\n2.0", "that is a command": "$(reboot)", "of 4096": LONG,
            "of other digits": "\u0661.\u0660", "that is a number": 7, "that is a list": ["1"],
            "that begins as a flag": "-rf", "that ends with a blank": "1.0 ",
        }.items()
    },
    **{
        f"the counter {counter!r}": {"counter": counter}
        for counter in (0, -1, 2**63, 2**64, "7", True, None, 10**40)
    },
    **{
        f"the name {name[:12]!r}": {"name": name}
        for name in ("", "..", "../fleet", "/fleet", "fleet/x", "FLEET", LONG, "fl\0et", "fl eet")
    },
    **{
        f"a part at {path[:20]!r}": {"parts": part(path=path)}
        for path in (
            "../../etc/passwd", "/etc/passwd", "rules/../../x", "rules/fleet/", "rules//x",
            "rules/fleet/a\0b", f"rules/fleet/{LONG}", "C:\\x", "models/other/x", "",
        )
    },
    **{
        f"a part of {length!r} bytes": {"parts": part(length=length)}
        for length in (-1, 2**63, 2**64, "5", True, None)
    },
    **{
        f"a part with the digest {digest!r}": {"parts": part(sha256=digest)}
        for digest in ("", "0A" * 32, "0a" * 31, "zz" * 32, 5)
    },
    "a kind that nobody knows": {"kind": "firmware2"},
    "a kind that its role may not sign": {"kind": "firmware"},
    "a part that nobody knows": {"parts": {"script": part()["samples"]}},
    "a field that nobody knows": {"run": "/bin/sh"},
    "another format": {"format": 2},
    "a hardware id that is none": {"hardware": [LONG]},
    "no object": {"parts": "samples"},
}  # fmt: skip


@pytest.mark.parametrize("what", ODD)
def test_odd_fields_are_no_release(what: str) -> None:
    with pytest.raises(ParseError, match="expected"):
        release_codec.decode("rules/fleet/7.bundle", 5, "0a" * 32, custom(**ODD[what]))


def test_each_of_them_is_refused_and_told_and_a_good_one_beside_them_is_applied(
    stage: Stage,
) -> None:
    publish_raw(stage, *(custom(**fields) for fields in ODD.values()), custom())
    told = stage.run()[1]
    assert told.count(("refused", "format")) == len(ODD)
    assert told[len(ODD) :] == [("offered", ""), ("verified", "")]
    assert stage.applied == [7]
    assert rules_floor(stage) == 7


@pytest.mark.parametrize("length", [2**31 - 1, 2**31, 2**32 - 1, 2**32])
def test_lengths_around_the_edges_are_lengths(length: int) -> None:
    fields = custom(parts=part(length=length))
    found = release_codec.decode("rules/fleet/7.bundle", 5, "0a" * 32, fields)
    assert found.parts[PartKind.SAMPLES].length == length


def test_a_stick_for_other_hardware_is_refused_by_name_when_a_person_brings_it(
    stage: Stage,
) -> None:
    stage.publish(release(7, hardware_ids=("cam-9",)))
    assert stage.run() == (True, [])
    assert stage.run(Wish(is_urgent=True))[1] == [("refused", "hardware")]
    assert stage.applied == []


CLOCKS = {"1970": 0.0, "2038": 2.0**31 + 5, "2106": 2.0**32 + 5}


@pytest.mark.parametrize("year", CLOCKS)
def test_a_clock_that_is_wrong_breaks_nothing(
    stage: Stage, year: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.publish(release(7))
    monkeypatch.setattr(time, "time", lambda: CLOCKS[year])
    told = stage.run()[1]
    if year == "1970":  # before anything was signed: nothing has expired, a rollout waits
        assert told == [("offered", ""), ("deferred", "rollout")]
    else:
        assert told == [("refused", "freeze")]
    assert stage.applied == []
    monkeypatch.undo()
    monkeypatch.setattr("vedette.daemon.appliers.applier.find", lambda *_: stage)
    stage.run()
    assert stage.applied == [7], "a wrong clock has left something behind"


def test_a_full_disk_at_any_step_loses_nothing_and_lowers_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> dict[str, Any]:
        raise NotRunningError("the agent does not run: steps are kept on this disk")

    stage = Stage(tmp_path / "device", monkeypatch)
    monkeypatch.setattr(stage, "ask", refuse)
    stage.publish(release(6))
    stage.run()
    stage.publish(release(7))
    for step in range(1, MAX_STEPS, STRIDE):
        stage.applied = [6]
        stage.folder = tmp_path / str(step)
        shutil.copytree(tmp_path / "device", stage.folder)
        disk = FailingDisk(step, errno.ENOSPC, is_lasting=True)
        with monkeypatch.context() as full:
            full.setattr(durable, "disk", disk)
            is_whole = ran_through(stage.run)
        assert rules_floor(stage) in {6, stage.applied[-1]}, "it rose for what was not applied"
        stage.run()
        assert rules_floor(stage) == 7
        if is_whole and len(disk.changes) < step:
            return
    pytest.fail(f"more than {MAX_STEPS} changes of the disk")


def ran_through(work: Callable[[], object]) -> bool:
    try:
        work()
    except VedetteError:
        return False
    return True


def rules_floor(stage: Stage) -> int:
    return Floors(FileState(stage.folder / "floors"), 0).counter(ReleaseKind.RULES, "fleet")


def test_a_role_that_cannot_be_read_makes_a_run_that_did_not_go_well(stage: Stage) -> None:
    stage.publish(release(7))
    source = stage.source
    assert isinstance(source, MemorySource)
    source.failing = {name for name in source.files if name.endswith(".rules.json")}
    assert stage.run() == (False, [])
    source.failing = set()
    assert stage.run() == (True, [("offered", ""), ("verified", "")])
