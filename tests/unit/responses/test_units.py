"""restart_unit and stop_unit on a simulated systemctl: what no real one does on demand."""

from __future__ import annotations

import fcntl
import os
import subprocess
import threading
from pathlib import Path

import pytest
from tests.simulators.systemctl import Systemctl

from vedette.errors import ResponseError
from vedette.model.response import FileTarget, Mode, Order, ResponseStatus, Target, UnitTarget
from vedette.ports.responder import ResponderContext
from vedette.responses import _service_manager
from vedette.responses.restart_unit import RestartUnit
from vedette.responses.stop_unit import StopUnit

UNIT = "httpd.service"


@pytest.fixture
def systemctl(tmp_path: Path) -> Systemctl:
    made = Systemctl(tmp_path / "bin")
    made.add(UNIT)
    return made


def context(systemctl: Systemctl, tmp_path: Path, *pids: int) -> ResponderContext:
    options = {"systemctl": str(systemctl.program)}
    return ResponderContext(tmp_path, tmp_path, frozenset({1, *pids}), (), options)


def order(target: Target | None = None) -> Order:
    wanted = target or UnitTarget(UNIT)
    return Order("0" * 16, "stop_unit", wanted, Mode.ENFORCE, "rule", "", "book", 60.0)


def test_a_unit_is_stopped_and_started_again(systemctl: Systemctl, tmp_path: Path) -> None:
    responder = StopUnit(context(systemctl, tmp_path))
    record = responder.plan(order())
    assert systemctl.is_up(UNIT)
    assert responder.act(order(), record).status is ResponseStatus.DONE
    assert not systemctl.is_up(UNIT)
    assert responder.holds(order(), record)
    assert responder.undo(order(), record).status is ResponseStatus.UNDONE
    assert systemctl.is_up(UNIT)
    assert not responder.holds(order(), record)
    assert systemctl.changes() == [f"stop -- {UNIT}", f"start -- {UNIT}"]


def test_an_undo_twice_starts_once(systemctl: Systemctl, tmp_path: Path) -> None:
    responder = StopUnit(context(systemctl, tmp_path))
    record = responder.plan(order())
    responder.act(order(), record)
    responder.undo(order(), record)
    assert responder.undo(order(), record).status is ResponseStatus.UNDONE
    assert systemctl.changes().count(f"start -- {UNIT}") == 1


def test_an_undo_without_its_act_changes_nothing(systemctl: Systemctl, tmp_path: Path) -> None:
    responder = StopUnit(context(systemctl, tmp_path))
    assert responder.undo(order(), responder.plan(order())).status is ResponseStatus.UNDONE
    assert systemctl.changes() == []


def test_what_starts_a_unit_is_stopped_with_it_where_it_was_up(
    systemctl: Systemctl, tmp_path: Path
) -> None:
    systemctl.add(UNIT, TriggeredBy="httpd.socket httpd.timer")
    systemctl.add("httpd.socket")
    systemctl.add("httpd.timer", ActiveState="inactive", SubState="dead")
    responder = StopUnit(context(systemctl, tmp_path))
    record = responder.plan(order())
    assert responder.act(order(), record).status is ResponseStatus.DONE
    assert not systemctl.is_up("httpd.socket")
    assert responder.undo(order(), record).status is ResponseStatus.UNDONE
    assert systemctl.is_up("httpd.socket")
    assert not systemctl.is_up("httpd.timer")


def test_a_unit_that_was_down_stays_down_at_the_undo(systemctl: Systemctl, tmp_path: Path) -> None:
    systemctl.add(UNIT, ActiveState="failed", SubState="failed")
    responder = StopUnit(context(systemctl, tmp_path))
    record = responder.plan(order())
    outcome = responder.act(order(), record)
    assert outcome.status is ResponseStatus.DONE
    assert responder.undo(order(), record).status is ResponseStatus.UNDONE
    assert not systemctl.is_up(UNIT)


def test_a_unit_that_does_not_start_again_is_told_as_failed(
    systemctl: Systemctl, tmp_path: Path
) -> None:
    systemctl.add(UNIT, refuses=("start",))
    responder = StopUnit(context(systemctl, tmp_path))
    record = responder.plan(order())
    responder.act(order(), record)
    outcome = responder.undo(order(), record)
    assert outcome.status is ResponseStatus.FAILED
    assert f"Job for {UNIT} failed" in outcome.detail


def test_a_stop_that_systemd_refuses_is_told_as_failed(
    systemctl: Systemctl, tmp_path: Path
) -> None:
    systemctl.add(UNIT, refuses=("stop",))
    responder = StopUnit(context(systemctl, tmp_path))
    outcome = responder.act(order(), responder.plan(order()))
    assert outcome.status is ResponseStatus.FAILED
    assert systemctl.is_up(UNIT)


def test_a_systemd_that_hangs_at_the_stop_is_told_in_time(
    systemctl: Systemctl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_service_manager, "CHANGE_TIMEOUT_S", 0.3)
    systemctl.hang("stop")
    responder = StopUnit(context(systemctl, tmp_path))
    outcome = responder.act(order(), responder.plan(order()))
    assert outcome.status is ResponseStatus.FAILED
    assert "still at it" in outcome.detail


def test_a_systemd_that_does_not_answer_is_an_error(
    systemctl: Systemctl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_service_manager, "ASK_TIMEOUT_S", 0.2)
    systemctl.hang("show", "is-system-running")
    responder = StopUnit(context(systemctl, tmp_path))
    with pytest.raises(ResponseError, match="does not answer"):
        responder.plan(order())
    assert "cannot be asked" in responder.unavailable()


UNTOUCHABLE = {
    "the bus": "dbus.service",
    "a part of systemd": "systemd-journald.service",
    "ourselves": "vedette.service",
    "a part of ours": "vedette-uplink.service",
    "the network": "networking.service",
}


@pytest.mark.parametrize("unit", UNTOUCHABLE.values(), ids=UNTOUCHABLE)
@pytest.mark.parametrize("kind", [StopUnit, RestartUnit])
def test_what_holds_the_device_together_is_refused(
    systemctl: Systemctl, tmp_path: Path, unit: str, kind: type[StopUnit | RestartUnit]
) -> None:
    systemctl.add(unit)
    with pytest.raises(ResponseError, match="never touched"):
        kind(context(systemctl, tmp_path)).plan(order(UnitTarget(unit)))
    assert systemctl.is_up(unit)


def test_an_alias_of_a_unit_is_refused(systemctl: Systemctl, tmp_path: Path) -> None:
    systemctl.add("alias.service", Id="dbus.service")
    with pytest.raises(ResponseError, match=r"one of dbus\.service"):
        StopUnit(context(systemctl, tmp_path)).plan(order(UnitTarget("alias.service")))


def test_a_unit_with_a_protected_process_is_refused(systemctl: Systemctl, tmp_path: Path) -> None:
    systemctl.add(UNIT, MainPID=str(os.getpid()))
    with pytest.raises(ResponseError, match=f"protected process {os.getpid()}"):
        StopUnit(context(systemctl, tmp_path, os.getpid())).plan(order())


def test_a_name_that_became_an_alias_of_another_unit_is_refused(
    systemctl: Systemctl, tmp_path: Path
) -> None:
    responder = StopUnit(context(systemctl, tmp_path))
    record = responder.plan(order())
    systemctl.add(UNIT, Id="other.service")
    assert responder.act(order(), record).status is ResponseStatus.REFUSED
    assert systemctl.is_up(UNIT)


REFUSED: dict[str, tuple[Target, str]] = {
    "an option": (UnitTarget("--force.service"), "a unit's name"),
    "no unit": (UnitTarget("gone.service"), "to be loaded"),
    "a slice": (UnitTarget("system.slice"), "ends in one of"),
    "a file": (FileTarget("/etc/passwd", ""), "expected a unit"),
}


@pytest.mark.parametrize(("target", "words"), REFUSED.values(), ids=REFUSED)
@pytest.mark.parametrize("kind", [StopUnit, RestartUnit])
def test_what_is_no_unit_to_stop_is_refused(
    systemctl: Systemctl,
    tmp_path: Path,
    target: Target,
    words: str,
    kind: type[StopUnit | RestartUnit],
) -> None:
    with pytest.raises(ResponseError, match=words):
        kind(context(systemctl, tmp_path)).plan(order(target))


def test_a_restart_is_done_when_another_run_is_up(systemctl: Systemctl, tmp_path: Path) -> None:
    responder = RestartUnit(context(systemctl, tmp_path))
    record = responder.plan(order())
    outcome = responder.act(order(), record)
    assert outcome.status is ResponseStatus.DONE
    assert outcome.facts["invocation"] != record["invocation"]
    assert responder.act(order(), record).status is ResponseStatus.DONE
    assert systemctl.changes() == [f"restart -- {UNIT}"]
    assert responder.undo(order(), record).status is ResponseStatus.UNDONE


def test_a_restart_that_fails_says_so(systemctl: Systemctl, tmp_path: Path) -> None:
    systemctl.add(UNIT, refuses=("restart",))
    responder = RestartUnit(context(systemctl, tmp_path))
    outcome = responder.act(order(), responder.plan(order()))
    assert outcome.status is ResponseStatus.FAILED
    assert f"Job for {UNIT} failed" in outcome.detail


def test_what_does_not_run_is_not_restarted(systemctl: Systemctl, tmp_path: Path) -> None:
    systemctl.add(UNIT, ActiveState="inactive", SubState="dead")
    with pytest.raises(ResponseError, match="it was not started"):
        RestartUnit(context(systemctl, tmp_path)).plan(order())


@pytest.mark.parametrize("kind", [StopUnit, RestartUnit])
def test_another_supervisor_is_named_as_the_reason(
    systemctl: Systemctl, tmp_path: Path, kind: type[StopUnit | RestartUnit]
) -> None:
    responder = kind(context(systemctl, tmp_path))
    assert responder.unavailable() == ""
    systemctl.answer("offline")
    assert 'says "offline"' in responder.unavailable()
    systemctl.program.unlink()
    assert "cannot be asked" in responder.unavailable()


def test_without_systemctl_there_is_no_unit_to_act_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_service_manager, "PROGRAMS", (str(tmp_path / "none"),))
    assert "found no systemctl" in StopUnit(ResponderContext(tmp_path, tmp_path)).unavailable()


def test_two_responses_hold_a_unit_until_the_last_is_undone(
    systemctl: Systemctl, tmp_path: Path
) -> None:
    responder, first = StopUnit(context(systemctl, tmp_path)), order()
    second = first._replace(response_id="1" * 16)
    held = [(one, responder.plan(one)) for one in (first,)]
    responder.act(*held[0])
    held.append((second, responder.plan(second)))
    responder.act(*held[1])
    assert responder.undo(*held[0]).status is ResponseStatus.UNDONE
    assert not systemctl.is_up(UNIT)
    assert responder.undo(*held[1]).status is ResponseStatus.UNDONE
    assert systemctl.is_up(UNIT)
    assert list(tmp_path.glob("*.held")) == []


def test_a_systemctl_that_outlived_a_killed_agent_is_waited_for(
    systemctl: Systemctl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_service_manager, "SETTLE_S", 30.0)
    responder = StopUnit(context(systemctl, tmp_path))
    record = responder.plan(order())
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    with (tmp_path / "systemctl.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        late = subprocess.Popen(
            ["sh", "-c", f"read go <{gate}; {systemctl.program} stop -- {UNIT}"],
            pass_fds=[lock.fileno()],
        )
    undoing = threading.Thread(target=responder.undo, args=(order(), record))
    undoing.start()
    gate.write_text("go\n")
    undoing.join(30.0)
    assert late.wait(30.0) == 0
    assert systemctl.is_up(UNIT)
