"""Responses undone by a later life of the agent: after SIGKILL, and in a new boot."""

from __future__ import annotations

import pytest
from tests.bench.undo import WAYS, exact
from tests.contract.test_responder_contract import CLASSES, scene_class

pytestmark = [pytest.mark.system, pytest.mark.usefixtures("as_root")]

TIMES = 2


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", sorted(name for name in CLASSES if CLASSES[name].has_undo))
def test_an_undo_is_exact_whatever_ended_the_agent(name: str, way: str) -> None:
    if reason := scene_class(name).refusal():
        pytest.skip(f"{name}: {reason}")
    assert exact(name, way, TIMES) == TIMES
