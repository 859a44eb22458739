"""One run of the installer: what is told of each release, in its order, and what is applied."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.simulators.tuf_repository import ALL, MemorySource, Repository

from vedette.codec import release as release_codec
from vedette.daemon.appliers import applier
from vedette.daemon.appliers.applier import Applied, Context
from vedette.daemon.config import Config, Device
from vedette.daemon.installer.job import Job, Wish
from vedette.daemon.installer.memory import Memory
from vedette.daemon.installer.opening import open_trust
from vedette.daemon.step_teller import StepTeller
from vedette.daemon.update_options import Updates
from vedette.errors import DeviceError, FetchError, StoreError
from vedette.model.provenance import Verdict
from vedette.model.release import Need, Release, ReleaseKind, Rollout, TargetFile
from vedette.model.update import Cause
from vedette.ports.release_source import ReleaseSource

CONTENT = b"a bundle"
ALLOWED = Verdict(is_allowed=True, rule=0, reason="no policy", warnings=(), facts={})


def release(counter: int, **fields: Any) -> Release:
    made = Release(
        ReleaseKind.RULES, "fleet", f"1.{counter}", counter, int(time.time()) - 60,
        TargetFile(f"rules/fleet/{counter}.bundle", 1, "0" * 64),
    )  # fmt: skip
    return dataclasses.replace(made, **fields)


class Stage:
    """A repository with a role for rules, and a device that applies them."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.repository = Repository()
        self.repository.delegate("rules", ["rules/*/*"])
        self.repository.publish("rules", *ALL)
        self.root = self.repository.files["1.root.json"]
        self.told: list[tuple[str, str]] = []
        self.applied: list[int] = []
        self.outcome: Applied | Exception = Applied.TAKEN
        self.verdict = ALLOWED
        self.updates = Updates(enabled=True, source="/srv", hardware=("cam-2",))
        self.source: ReleaseSource = MemorySource(self.repository)
        monkeypatch.setattr(applier, "find", lambda *_: self)

    def ask(
        self, path: Path, do: str, params: Mapping[str, Any] | None = None, *, timeout_s: float
    ) -> dict[str, Any]:
        step = (params or {})["step"]
        assert (path.name, do) == ("control.sock", "update.tell")
        assert timeout_s > 0
        self.told.append((step["step"], step["cause"]))
        return {}

    def apply(self, found: Release, source: ReleaseSource) -> Applied:
        assert source is self.source
        if isinstance(self.outcome, Exception):
            raise self.outcome
        self.applied.append(found.counter)
        return self.outcome

    def publish(self, *releases: Release) -> None:
        for one in releases:
            custom = release_codec.encode(one)
            self.repository.add_target(one.target.path, CONTENT, "rules", custom)
        self.repository.publish("rules", "snapshot", "timestamp")

    def bent(self, **changes: Any) -> None:
        """A release, and something here that is not as it was."""
        self.publish(release(7))
        for name, value in changes.items():
            setattr(self, name, value)

    def run(self, wish: Wish | None = None) -> tuple[bool, list[tuple[str, str]]]:
        """Run once, as a process of its own would; what it told."""
        self.told = []
        opened = open_trust(
            self.folder / "metadata", self.folder / "floors", root=self.root, source=self.source,
            build_s=0, wall_s=time.time(),
        )  # fmt: skip
        config = dataclasses.replace(
            Config(), updates=self.updates, device=Device(id="cam-7", tenant="acme")
        )
        teller = StepTeller(
            self.folder / "control.sock", self.folder / "steps", by="schedule", ask=self.ask
        )
        context = Context(config, teller, self.folder / "staging", opened.floors)
        job = Job(context, opened, self.source, Memory(self.folder), lambda *_: self.verdict)
        return job.run(wish or Wish()), self.told


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    return Stage(tmp_path, monkeypatch)


def test_a_release_is_offered_verified_and_applied_once(stage: Stage) -> None:
    stage.publish(release(7))
    assert stage.run() == (True, [("offered", ""), ("verified", "")])
    assert stage.run() == (True, [])
    assert stage.applied == [7]


def test_of_a_name_the_newest_counts(stage: Stage) -> None:
    stage.publish(release(7), release(9), release(8))
    stage.run()
    assert stage.applied == [9]


def test_a_look_applies_nothing(stage: Stage) -> None:
    stage.publish(release(7))
    assert stage.run(Wish(is_look=True)) == (True, [("offered", "")])
    assert stage.run()[1] == [("verified", "")]


def test_an_older_release_under_newer_metadata_is_a_replay(stage: Stage) -> None:
    stage.publish(release(7))
    stage.run()
    stage.repository.role("rules").targets.clear()
    stage.publish(release(6))
    assert stage.run() == (False, [("refused", "older")])
    assert stage.run() == (False, []), "told once"
    assert stage.applied == [7]


STORIES: dict[str, tuple[Callable[[Stage], None], list[tuple[str, str]]]] = {
    "not its turn in the rollout": (
        lambda stage: stage.publish(release(7, rollout=Rollout(fraction=0))),
        [("offered", ""), ("deferred", "rollout")],
    ),
    "what it needs is not there": (
        lambda stage: stage.publish(release(7, needs=(Need(ReleaseKind.MODEL, "person", 3),))),
        [("offered", ""), ("deferred", "needs")],
    ),
    "for other hardware": (
        lambda stage: stage.publish(release(7, hardware_ids=("cam-9",))), [],
    ),
    "for this hardware": (
        lambda stage: stage.publish(release(7, hardware_ids=("cam-2", "cam-9"))),
        [("offered", ""), ("verified", "")],
    ),
    "of a kind that is not taken here": (
        lambda stage: stage.bent(updates=dataclasses.replace(stage.updates, kinds=("firmware",))),
        [("offered", ""), ("deferred", "settings")],
    ),
    "made in a way that the policy refuses": (
        lambda stage: stage.bent(verdict=ALLOWED._replace(is_allowed=False, rule=3)),
        [("offered", ""), ("refused", "provenance")],
    ),
    "that breaks off while it is fetched": (
        lambda stage: stage.bent(outcome=FetchError("cut")),
        [("offered", ""), ("verified", ""), ("deferred", "fetch")],
    ),
    "that this device cannot apply now": (
        lambda stage: stage.bent(outcome=DeviceError("no worker")),
        [("offered", ""), ("verified", ""), ("deferred", "disk")],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("prepare", "told"), STORIES.values(), ids=STORIES)
def test_why_a_release_is_not_applied_is_told_once(
    stage: Stage, prepare: Callable[[Stage], None], told: list[tuple[str, str]]
) -> None:
    prepare(stage)
    assert stage.run()[1] == told
    again = [one for one in stage.run()[1] if one != ("verified", "")]
    assert again == []


def test_what_was_refused_is_not_tried_again_until_a_person_asks(stage: Stage) -> None:
    stage.publish(release(7))
    stage.outcome = Applied.REFUSED
    assert stage.run()[0] is False
    assert stage.run() == (True, [])
    assert stage.applied == [7]
    stage.outcome = Applied.TAKEN
    assert stage.run(Wish(is_urgent=True))[0]
    assert stage.applied == [7, 7]


def test_a_person_waits_for_no_rollout(stage: Stage) -> None:
    stage.publish(release(7, rollout=Rollout(fraction=0)))
    assert stage.run(Wish(is_urgent=True)) == (True, [("offered", ""), ("verified", "")])


def test_what_goes_on_elsewhere_raises_no_floor(stage: Stage) -> None:
    stage.publish(release(7))
    stage.outcome = Applied.UNDER_WAY
    stage.run()
    stage.run()
    assert stage.applied == [7, 7], "its applier knows what is under way"


def test_one_release_that_fails_keeps_no_other_from_being_applied(stage: Stage) -> None:
    other = release(3, name="extra", target=TargetFile("rules/extra/3.bundle", 1, "0" * 64))
    stage.publish(release(7), other)
    stage.verdict = ALLOWED
    stage.outcome = FetchError("cut")
    told = stage.run()[1]
    assert told.count(("deferred", "fetch")) == 2


def test_a_disk_that_takes_nothing_ends_the_run(stage: Stage) -> None:
    stage.publish(release(7))
    stage.outcome = StoreError("disk full")
    with pytest.raises(StoreError, match="disk full"):
        stage.run()


def test_an_old_state_of_the_repository_is_refused_and_told(stage: Stage) -> None:
    stage.publish(release(7))
    kept = dict(stage.repository.files)
    stage.publish(release(8))
    stage.run()
    stage.repository.files.clear()
    stage.repository.files.update(
        {name: data for name, data in kept.items() if name != "timestamp.json"}
    )
    stage.repository.files["timestamp.json"] = kept["timestamp.json"]
    is_well, told = stage.run()
    assert (is_well, told) == (False, [("refused", "older")])
    assert stage.applied == [8]


def test_a_source_that_gives_nothing_is_no_step_until_what_is_trusted_goes_stale(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.publish(release(7))
    stage.run()
    stage.repository.files.clear()
    assert stage.run() == (False, [])
    later_s = time.time() + 40 * 86_400
    monkeypatch.setattr(time, "time", lambda: later_s)
    memory = Memory(stage.folder)
    memory.look = memory.look._replace(result="fresh")
    memory.save()
    assert stage.run()[1] == [("refused", "freeze")]
    assert stage.run()[1] == [], "once"


def test_a_damaged_memory_begins_anew(stage: Stage) -> None:
    (stage.folder / "memory.json").write_bytes(b"\0\0\0")
    assert Memory(stage.folder).look.result == ""


def test_a_target_that_says_it_is_a_release_and_is_none_is_told(stage: Stage) -> None:
    stage.repository.add_target(
        "rules/fleet/7.bundle", CONTENT, "rules", {release_codec.FIELD: {"format": 1}}
    )
    stage.repository.publish("rules", "snapshot", "timestamp")
    assert stage.run()[1] == [("refused", str(Cause.FORMAT))]
