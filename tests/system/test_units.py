"""restart_unit and stop_unit on a real systemd, the first process of its own namespaces."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.system._systemd import Systemd, systemd

from vedette.errors import ResponseError
from vedette.model.response import Mode, Order, ResponseStatus, UnitTarget
from vedette.ports.responder import ResponderContext
from vedette.responses.restart_unit import RestartUnit
from vedette.responses.stop_unit import StopUnit

pytestmark = pytest.mark.system

FOREVER = "[Unit]\n[Service]\nExecStart=/bin/sleep 1000\nRestart=always\n"
UNITS = {
    "steady.service": FOREVER,
    "asked.socket": "[Unit]\n[Socket]\nListenStream=/run/asked.sock\n",
    "asked.service": FOREVER,
    "stubborn.service": "[Unit]\n[Service]\nTimeoutStopSec=2\n"
    "ExecStart=/bin/sh -c 'trap : TERM; while :; do sleep 1; done'\n",
    "broken.service": "[Unit]\n[Service]\nExecStartPre=/bin/sh -c 'test ! -e /run/broken'\n"
    "ExecStart=/bin/sleep 1000\n",
    "guarded.service": FOREVER.replace("[Unit]\n", "[Unit]\nRefuseManualStop=yes\n"),
}


@pytest.fixture(scope="module")
def manager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Systemd]:
    with systemd(tmp_path_factory.mktemp("systemd"), UNITS) as running:
        yield running


def context(manager: Systemd, *pids: int) -> ResponderContext:
    options = {"systemctl": str(manager.program)}
    return ResponderContext(Path("/"), Path("/"), frozenset({1, *pids}), (), options)


def order(unit: str) -> Order:
    return Order("0" * 16, "unit", UnitTarget(unit), Mode.ENFORCE, "rule", "", "book", 60.0)


def test_a_service_is_stopped_stays_down_and_is_started_again(manager: Systemd) -> None:
    manager.do("start", "steady.service")
    wanted, responder = order("steady.service"), StopUnit(context(manager))
    assert responder.unavailable() == ""
    record = responder.plan(wanted)
    assert manager.show("steady.service", "ActiveState") == "active"
    assert responder.act(wanted, record).status is ResponseStatus.DONE
    assert manager.show("steady.service", "ActiveState") == "inactive"
    assert responder.holds(wanted, record)
    assert responder.act(wanted, record).status is ResponseStatus.DONE
    assert responder.undo(wanted, record).status is ResponseStatus.UNDONE
    assert manager.show("steady.service", "ActiveState") == "active"
    assert responder.undo(wanted, record).status is ResponseStatus.UNDONE


def test_somebody_who_starts_it_again_is_seen(manager: Systemd) -> None:
    manager.do("start", "steady.service")
    wanted, responder = order("steady.service"), StopUnit(context(manager))
    record = responder.plan(wanted)
    responder.act(wanted, record)
    manager.do("start", "steady.service")
    assert not responder.holds(wanted, record)


def test_the_socket_that_starts_it_is_stopped_with_it(manager: Systemd) -> None:
    manager.do("start", "asked.socket")
    manager.do("start", "asked.service")
    wanted, responder = order("asked.service"), StopUnit(context(manager))
    record = responder.plan(wanted)
    assert record["triggers"] == "asked.socket"
    assert responder.act(wanted, record).status is ResponseStatus.DONE
    assert manager.show("asked.socket", "ActiveState") == "inactive"
    outcome = responder.undo(wanted, record)
    assert outcome.status is ResponseStatus.UNDONE, outcome.detail
    assert manager.show("asked.socket", "ActiveState") == "active"
    assert manager.show("asked.service", "ActiveState") == "active"


def test_one_that_ignores_the_signal_is_killed_by_systemd(manager: Systemd) -> None:
    manager.do("start", "stubborn.service")
    wanted, responder = order("stubborn.service"), StopUnit(context(manager))
    record = responder.plan(wanted)
    outcome = responder.act(wanted, record)
    assert outcome.status is ResponseStatus.DONE, outcome.detail
    assert manager.show("stubborn.service", "MainPID") == "0"


def test_a_restart_gives_it_another_process(manager: Systemd) -> None:
    manager.do("start", "steady.service")
    before = manager.show("steady.service", "MainPID")
    wanted, responder = order("steady.service"), RestartUnit(context(manager))
    record = responder.plan(wanted)
    outcome = responder.act(wanted, record)
    assert outcome.status is ResponseStatus.DONE, outcome.detail
    assert manager.show("steady.service", "MainPID") not in {before, "0"}


def test_a_restart_that_breaks_the_unit_says_so(manager: Systemd, tmp_path: Path) -> None:
    del tmp_path
    manager.do("start", "broken.service")
    wanted, responder = order("broken.service"), RestartUnit(context(manager))
    record = responder.plan(wanted)
    manager.run("touch", "/run/broken")
    outcome = responder.act(wanted, record)
    assert outcome.status is ResponseStatus.FAILED
    assert "broken.service" in outcome.detail


def test_one_that_refuses_to_be_stopped_is_left_alone(manager: Systemd) -> None:
    manager.do("start", "guarded.service")
    with pytest.raises(ResponseError, match="RefuseManualStop"):
        StopUnit(context(manager)).plan(order("guarded.service"))
    assert manager.show("guarded.service", "ActiveState") == "active"


def test_the_unit_of_a_protected_process_is_left_alone(manager: Systemd) -> None:
    manager.do("start", "steady.service")
    pid = int(manager.show("steady.service", "MainPID"))
    with pytest.raises(ResponseError, match="protected process"):
        StopUnit(context(manager, pid)).plan(order("steady.service"))


def test_a_unit_that_is_not_there_is_refused(manager: Systemd) -> None:
    with pytest.raises(ResponseError, match="not-found"):
        StopUnit(context(manager)).plan(order("nowhere.service"))
