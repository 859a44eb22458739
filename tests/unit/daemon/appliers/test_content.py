"""Content is handed to the sentinel as a person would; what it refuses is taken away again."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from vedette.codec.strict_json import Json
from vedette.daemon import control_client, rules_worker
from vedette.daemon.appliers import applier
from vedette.daemon.appliers.applier import Applied, Context
from vedette.daemon.config import Config, Paths, Rules
from vedette.daemon.control_client import NotRunningError
from vedette.daemon.response_options import Response
from vedette.daemon.rules_worker import Verdict
from vedette.daemon.step_teller import StepTeller
from vedette.errors import AbsentError, RequestError
from vedette.model.release import PartKind, Release, ReleaseKind, TargetFile
from vedette.ports.release_source import Reader, ReleaseSource
from vedette.store.state import FileState
from vedette.trust.tuf_floors import Floors

NEW, OLD, SAMPLES = b"a newer bundle", b"the bundle before", b"samples"
GOOD = Verdict(3, 12, is_limit=False, reason="")


class Source(ReleaseSource):
    """Serves what is asked for by its digest."""

    def __init__(self, *contents: bytes) -> None:
        self.contents = {hashlib.sha256(one).hexdigest(): one for one in contents}

    def metadata(self, name: str, max_bytes: int) -> bytes:
        raise AbsentError(f"{name} of at most {max_bytes} bytes")

    def target(self, path: str, runs: Sequence[tuple[int, int]]) -> Reader:
        digest = path.rpartition("/")[2].partition(".")[0]
        return Bytes(b"".join(self.contents[digest][at : at + size] for at, size in runs))


class Bytes(Reader):
    def __init__(self, data: bytes) -> None:
        self.data = data

    def readinto(self, buffer: memoryview, /) -> int:
        count = min(len(buffer), len(self.data))
        buffer[:count], self.data = self.data[:count], self.data[count:]
        return count


def file(kind: str, content: bytes) -> TargetFile:
    digest = hashlib.sha256(content).hexdigest()
    return TargetFile(f"{kind}/fleet/7.bundle", len(content), digest)


class Stage:
    """A device, and its sentinel as the control socket has it."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.place = folder / "offered"
        self.config = dataclasses.replace(
            Config(), paths=Paths(str(folder), str(folder)),
            rules=Rules(bundle=str(self.place), trust=str(self.place)),
            response=Response(playbooks=str(self.place)),
        )  # fmt: skip
        self.steps: list[tuple[str, str]] = []
        self.status: dict[str, Json] = {}
        self.reload: Callable[[], None] = lambda: None
        self.verdict = GOOD
        self.tried: list[tuple[bytes, bytes | None]] = []
        monkeypatch.setattr(control_client, "ask", self.ask)
        monkeypatch.setattr(rules_worker, "run", self.run)
        teller = StepTeller(folder / "control.sock", folder / "steps", by="control", ask=self.tell)
        floors = Floors(FileState(folder / "floors"), 0)
        self.context = Context(self.config, teller, folder / "staging", floors)

    def tell(self, path: Path, do: str, params: Any = None, *, timeout_s: float) -> dict[str, Json]:
        assert (do, timeout_s > 0, path.name) == ("update.tell", True, "control.sock")
        self.steps.append((params["step"]["step"], params["step"]["cause"]))
        return {}

    def ask(self, path: Path, do: str, params: Any = None, *, timeout_s: float) -> dict[str, Json]:
        assert (path, params, timeout_s > 0) == (self.config.control_socket, None, True)
        if do == "reload":
            self.reload()
            return {}
        return self.status

    def run(self, bundle: Path, samples: Path | None, user: str, *, device_class: str) -> Verdict:
        assert (user, device_class) == (self.config.updates.worker, "")
        self.tried.append((bundle.read_bytes(), samples.read_bytes() if samples else None))
        return self.verdict

    def apply(self, kind: ReleaseKind, content: bytes = NEW, *, samples: bool = True) -> Applied:
        parts = {PartKind.SAMPLES: file(str(kind), SAMPLES)} if samples else {}
        release = Release(kind, "fleet", "1.7", 7, 1, file(str(kind), content), parts=parts)
        found = applier.find(kind, self.context)
        assert found is not None
        return found.apply(release, Source(content, SAMPLES))


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    return Stage(tmp_path, monkeypatch)


def test_rules_are_tried_before_they_lie_where_the_sentinel_takes_them(stage: Stage) -> None:
    stage.place.write_bytes(OLD)
    stage.reload = lambda: stage.status.update(rules={"counter": 7, "reason": ""})
    assert stage.apply(ReleaseKind.RULES) is Applied.TAKEN
    assert stage.tried == [(NEW, SAMPLES)]
    assert stage.steps == [("fetched", ""), ("written", "")]
    assert stage.place.read_bytes() == NEW
    assert not list((stage.context.staging / "rules").iterdir())


@pytest.mark.parametrize(("verdict", "cause"), [("samples", "samples"), ("limit", "limits")])
def test_rules_that_fail_their_samples_never_come_near_the_sentinel(
    stage: Stage, verdict: str, cause: str
) -> None:
    stage.place.write_bytes(OLD)
    stage.verdict = Verdict(3, 12, is_limit=verdict == "limit", reason="expected shell to match")
    assert stage.apply(ReleaseKind.RULES) is Applied.REFUSED
    assert stage.steps == [("fetched", ""), ("refused", cause)]
    assert stage.place.read_bytes() == OLD


def refused() -> None:
    raise RequestError("[uplink] changed, which only a restart can apply")


@pytest.mark.parametrize("before", [OLD, None])
def test_what_the_sentinel_refuses_is_taken_away_again(stage: Stage, before: bytes | None) -> None:
    if before is not None:
        stage.place.write_bytes(before)
    stage.status["rules"] = {"counter": 6, "reason": "expected counter 8 or later"}
    assert stage.apply(ReleaseKind.RULES) is Applied.REFUSED
    assert stage.steps[-1] == ("refused", "signature")
    assert (stage.place.read_bytes() if stage.place.exists() else None) == before


def test_a_reload_that_fails_is_a_refusal_with_its_reason(stage: Stage) -> None:
    stage.place.write_bytes(OLD)
    stage.reload = refused
    assert stage.apply(ReleaseKind.PLAYBOOKS) is Applied.REFUSED
    assert stage.place.read_bytes() == OLD


def test_where_the_agent_does_not_run_the_content_lies_ready(stage: Stage) -> None:
    def gone() -> None:
        raise NotRunningError("the agent does not run")

    stage.reload = gone
    assert stage.apply(ReleaseKind.RULES) is Applied.TAKEN
    assert stage.place.read_bytes() == NEW


def test_playbooks_are_in_force_when_the_sentinel_says_so(stage: Stage) -> None:
    stage.status["defence"] = {"playbooks": {"counter": 7, "reason": ""}}
    assert stage.apply(ReleaseKind.PLAYBOOKS, samples=False) is Applied.TAKEN
    assert stage.steps == [("written", ""), ("committed", "")]


def test_a_trust_document_that_is_here_already_is_not_offered_again(stage: Stage) -> None:
    stage.place.write_bytes(NEW)
    stage.reload = refused
    assert stage.apply(ReleaseKind.TRUST, samples=False) is Applied.TAKEN
    assert stage.steps == [("committed", "")]


def test_a_kind_that_this_device_is_told_to_leave_out_is_refused(stage: Stage) -> None:
    stage.config = dataclasses.replace(stage.config, response=Response(playbooks=""))
    stage.context = stage.context._replace(config=stage.config)
    assert stage.apply(ReleaseKind.PLAYBOOKS, samples=False) is Applied.REFUSED
    assert stage.steps == [("refused", "settings")]


def test_a_kind_without_an_applier_has_none(stage: Stage) -> None:
    assert applier.find(ReleaseKind.ADVISORIES, stage.context) is None
