"""What a step of a playbook acts on: what it names itself needs no word of the finding."""

from __future__ import annotations

import pytest

from vedette.core.aims import target_of
from vedette.core.findings import Sighting
from vedette.core.process_table import ProcessTable
from vedette.model.event import EventClass
from vedette.model.playbook import Step
from vedette.model.response import DeviceTarget, ModelTarget, Target, UnitTarget

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
