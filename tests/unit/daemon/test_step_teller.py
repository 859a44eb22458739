"""Steps are told, or kept in their order until they can be; nothing goes on without either."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from vedette.codec import update_report
from vedette.codec.strict_json import Json
from vedette.daemon import step_teller
from vedette.daemon.control_client import NotRunningError
from vedette.daemon.step_teller import StepTeller
from vedette.errors import RequestError, StoreError
from vedette.model.release import Release, ReleaseKind, TargetFile
from vedette.model.update import Cause, Step

RELEASE = Release(
    ReleaseKind.RULES, "fleet", "1.2", 7, 1_800_000_000,
    TargetFile("rules/fleet/7.bundle", 100, "ab" * 32),
)  # fmt: skip


class Sentinel:
    """Takes steps while it runs."""

    def __init__(self) -> None:
        self.is_running = True
        self.refusal = ""
        self.heard: list[str] = []

    def __call__(
        self, path: Path, do: str, params: Mapping[str, Json] | None = None, *, timeout_s: float
    ) -> dict[str, Json]:
        assert (path.name, do) == ("control.sock", "update.tell")
        assert timeout_s > 0
        if not self.is_running:
            raise NotRunningError("the agent does not run")
        if self.refusal:
            raise RequestError(self.refusal)
        report = update_report.parse((params or {})["step"])
        self.heard.append(str(report.step))
        return {"epoch": 1, "index": len(self.heard), "is_new": True}


@pytest.fixture
def sentinel() -> Sentinel:
    return Sentinel()


@pytest.fixture
def teller(tmp_path: Path, sentinel: Sentinel) -> StepTeller:
    return StepTeller(tmp_path / "control.sock", tmp_path / "steps", by="schedule", ask=sentinel)


def test_a_step_is_told_at_once(teller: StepTeller, sentinel: Sentinel, tmp_path: Path) -> None:
    assert teller.release(Step.VERIFIED, RELEASE)
    assert sentinel.heard == ["verified"]
    assert not list((tmp_path / "steps").iterdir())


def test_what_could_not_be_told_is_told_first_by_the_next_process(
    teller: StepTeller, sentinel: Sentinel, tmp_path: Path
) -> None:
    sentinel.is_running = False
    assert not teller.release(Step.VERIFIED, RELEASE)
    assert not teller.release(Step.WRITTEN, RELEASE)
    sentinel.is_running = True
    later = StepTeller(tmp_path / "control.sock", tmp_path / "steps", by="boot", ask=sentinel)
    assert later.release(Step.TRIAL, RELEASE)
    assert sentinel.heard == ["verified", "written", "trial"]
    assert not list((tmp_path / "steps").iterdir())


def test_what_the_sentinel_refuses_is_an_error_and_not_kept(
    teller: StepTeller, sentinel: Sentinel, tmp_path: Path
) -> None:
    sentinel.refusal = "the journal is kept in memory only"
    with pytest.raises(RequestError, match="in memory only"):
        teller.release(Step.VERIFIED, RELEASE)
    assert not list((tmp_path / "steps").iterdir())


def test_above_the_bound_nothing_goes_on(
    teller: StepTeller, sentinel: Sentinel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(step_teller, "MAX_KEPT", 3)
    sentinel.is_running = False
    for _ in range(3):
        teller.metadata(Cause.FREEZE, "timestamp expired", role="timestamp", version="9")
    with pytest.raises(StoreError, match="3 steps wait"):
        teller.release(Step.VERIFIED, RELEASE)


def test_a_kept_step_that_the_disk_spoilt_holds_up_no_other(
    teller: StepTeller, sentinel: Sentinel, tmp_path: Path
) -> None:
    sentinel.is_running = False
    teller.release(Step.VERIFIED, RELEASE)
    teller.name(Step.COMMITTED, ReleaseKind.MODEL, "lane-net")
    (tmp_path / "steps" / "000000000001.step").write_bytes(b"\0" * 40)
    sentinel.is_running = True
    assert teller.flush()
    assert sentinel.heard == ["committed"]
