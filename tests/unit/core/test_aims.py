"""What a step of a playbook acts on: what it names itself needs no word of the finding."""

from __future__ import annotations

import pytest
from tests.unit.core.test_process_table import started

from vedette.core.aims import target_of
from vedette.core.findings import Sighting
from vedette.core.process_table import ProcessTable
from vedette.model.event import EventClass
from vedette.model.playbook import Step
from vedette.model.process import ProcessKey
from vedette.model.response import DeviceTarget, ModelTarget, ProcessTarget, Target, UnitTarget

SEEN = Sighting(EventClass.LOG, "journald", 1.0, {}, None)


@pytest.mark.parametrize(
    ("step", "target"),
    [
        (Step("restart_unit", "unit", 0, "x.service"), UnitTarget("x.service")),
        (Step("rollback_model", "model", 60, "person"), ModelTarget("person")),
        (Step("isolate", "device", 60), DeviceTarget()),
        (Step("kill", "process", 0), None),
        (Step("quarantine", "file", 60), None),
        (Step("block_peer", "peer", 60), None),
    ],
)
def test_a_target_is_named_or_seen_and_never_guessed(step: Step, target: Target | None) -> None:
    assert target_of(step, SEEN, ProcessTable()) == target


@pytest.mark.parametrize(
    ("fields", "pid"),
    [
        ({"TargetFilename": "/opt/x", "Action": "deleted"}, 20),
        ({"TargetFilename": "/opt/z", "OldFilename": "/opt/x", "Action": "renamed"}, 20),
        ({"TargetFilename": "/opt/y", "Action": "deleted"}, None),
        ({}, None),
    ],
)
def test_a_runner_is_who_runs_the_file_under_the_name_it_had(
    fields: dict[str, str], pid: int | None
) -> None:
    table = ProcessTable()
    table.start(started(20, 1, "/opt/x", start_ticks=7))
    seen = Sighting(EventClass.FILE, "fanotify", 2.0, fields, None)
    target = target_of(Step("kill", "runner", 0), seen, table)
    expected = None if pid is None else ProcessTarget(ProcessKey(pid, 7), "/opt/x", 2.0)
    assert target == expected
