"""What the attack table (tests/conformance) does not reach: values, disks, clocks, tuf's hooks."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from tests.simulators.failing_disk import FailingDisk
from tests.simulators.tuf_repository import ALL, MemorySource, Repository, in_days
from tuf.ngclient import Updater
from tuf.ngclient._internal.trusted_metadata_set import TrustedMetadataSet
from tuf.ngclient.config import EnvelopeType

from vedette.daemon.installer.opening import open_trust
from vedette.errors import FetchError, StoreError
from vedette.model.update import Cause
from vedette.store import durable
from vedette.trust.tuf_client import RefusedError, ReleaseTrust

Open = Callable[..., ReleaseTrust]


@pytest.fixture(scope="module")
def signed() -> Repository:
    """Keys take milliseconds; tests that change a repository make their own."""
    return Repository()


@pytest.fixture
def opened(tmp_path: Path) -> Open:
    return partial(_at, tmp_path)


def _at(
    folder: Path,
    repository: Repository,
    source: MemorySource | None = None,
    wall_s: float | None = None,
) -> ReleaseTrust:
    return open_trust(
        folder / "metadata",
        folder / "floors",
        root=repository.files["1.root.json"],
        source=source or MemorySource(repository),
        build_s=0,
        wall_s=time.time() if wall_s is None else wall_s,
    ).trust


def test_a_refresh_says_what_it_found_and_whether_it_is_new(
    signed: Repository, opened: Open
) -> None:
    first = opened(signed).refresh()
    assert (first.root, first.timestamp, first.snapshot, first.targets) == (1, 1, 1, 1)
    assert first.expires_s == int(signed.expires.timestamp())
    assert first.is_new
    assert not opened(signed).refresh().is_new


def test_nothing_new_writes_nothing(
    signed: Repository, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened(signed).refresh()
    monkeypatch.setattr(durable, "disk", FailingDisk(1, errno.EROFS, is_lasting=True))
    assert not opened(signed).refresh().is_new


def test_targets_of_a_role_are_those_that_it_may_sign(opened: Open) -> None:
    repository = Repository()
    repository.delegate("rules", ["rules/*/*"], is_terminating=True)
    repository.delegate("models", ["models/*/*"], is_terminating=True)
    repository.add_target("rules/main/a", b"a", "rules", {"vedette": {"n": 1}})
    repository.add_target("models/x/stolen", b"b", "rules")
    repository.add_target("trust/root/t", b"t")
    repository.publish("rules", "models", *ALL)
    trust = opened(repository)
    (only,) = trust.targets("rules")
    assert (only.path, only.length, only.custom, only.role) == (
        "rules/main/a", 1, {"vedette": {"n": 1}}, "rules",
    )  # fmt: skip
    assert only.fetch_path == f"rules/main/{only.sha256}.a"
    assert trust.targets("models") == ()
    assert trust.targets("nobody") == ()
    assert [target.path for target in trust.targets("targets")] == ["trust/root/t"]
    assert trust.target("rules/main/a") == only
    assert trust.target("models/x/stolen") is None


def test_without_consistent_snapshots_a_target_is_asked_for_by_its_path(opened: Open) -> None:
    repository = Repository(is_consistent=False)
    repository.add_target("a/b", b"a")
    repository.publish(*ALL)
    found = opened(repository).target("a/b")
    assert found is not None
    assert found.fetch_path == "a/b"


def test_a_source_that_gives_nothing_is_no_refusal(signed: Repository, opened: Open) -> None:
    source = MemorySource(signed)
    source.failing = {"timestamp.json"}
    with pytest.raises(FetchError, match="the line is cut"):
        opened(signed, source).refresh()


@pytest.mark.parametrize(
    ("bend", "cause"),
    [
        (lambda r: r.signers["timestamp"].clear(), Cause.SIGNATURE),
        (lambda r: setattr(r.timestamp, "version", 0), Cause.OLDER),
        (lambda r: setattr(r.timestamp, "expires", in_days(-1)), Cause.FREEZE),
    ],
)
def test_the_cause_of_a_refusal_is_told(
    bend: Callable[[Repository], object], cause: Cause, opened: Open
) -> None:
    repository = Repository()
    repository.publish("timestamp")
    opened(repository).refresh()
    bend(repository)
    repository.timestamp.version += 1
    repository.republish("timestamp")
    with pytest.raises(RefusedError) as refused:
        opened(repository).refresh()
    assert refused.value.cause is cause


def test_yesterdays_mirror_is_refused_after_tufs_own_files_are_gone(
    tmp_path: Path, opened: Open
) -> None:
    repository = Repository()
    yesterday = MemorySource(repository)
    yesterday.files = repository.copy()
    repository.publish(*ALL)
    opened(repository).refresh()
    for name in ("timestamp.json", "snapshot.json", "targets.json"):
        (tmp_path / "metadata" / name).write_bytes(b"")
    with pytest.raises(RefusedError) as refused:
        opened(repository, yesterday).refresh()
    assert refused.value.cause is Cause.OLDER


@pytest.mark.parametrize("wall_s", [0.0, -1e12, 4e9])
def test_any_clock_is_a_date(wall_s: float, signed: Repository, opened: Open) -> None:
    """1970, long before it, and beyond 2038 and 2^32; a year beyond 9999 is held there."""
    if wall_s > time.time():
        with pytest.raises(RefusedError) as refused:
            opened(signed, wall_s=wall_s).refresh()
        assert refused.value.cause is Cause.FREEZE
    else:
        assert opened(signed, wall_s=wall_s).refresh().targets == 1


@pytest.mark.parametrize("wall_s", [1e18, float("inf")])
def test_a_clock_beyond_all_dates_is_a_stale_repository(
    wall_s: float, signed: Repository, opened: Open
) -> None:
    with pytest.raises(RefusedError, match="freeze"):
        opened(signed, wall_s=wall_s).refresh()


def test_a_stolen_timestamp_key_moves_time_no_further_than_the_root_lives(opened: Open) -> None:
    repository = Repository()
    repository.root.expires = in_days(2)
    repository.publish("root")
    repository.timestamp.expires = in_days(10_000)
    repository.timestamp.unrecognized_fields["x-vedette-issued"] = int(in_days(9_999).timestamp())
    repository.publish("timestamp")
    assert opened(repository).refresh().issued_s == int(repository.root.expires.timestamp())
    with pytest.raises(RefusedError, match="freeze"):
        opened(repository).refresh()
    repository.root.expires = in_days(5)
    del repository.timestamp.unrecognized_fields["x-vedette-issued"]
    repository.publish("root", "timestamp")
    assert opened(repository).refresh().root == 3


def test_many_roles_may_not_be_too_much_together(opened: Open) -> None:
    repository = Repository()
    for role in ("a", "b"):
        repository.delegate(role, [f"{role}/*"])
        repository.role(role).unrecognized_fields["filling"] = "x" * 900_000
    repository.publish("a", "b", *ALL)
    trust = opened(repository)
    assert trust.targets("a") == ()
    with pytest.raises(RefusedError, match="bytes of metadata in all"):
        trust.targets("b")


@pytest.mark.parametrize(
    "hook",
    [
        "_download_metadata", "_load_local_metadata", "_load_root", "_load_snapshot",
        "_load_targets", "_load_timestamp", "_persist_file", "_persist_metadata", "_persist_root",
        "_update_root_symlink",
    ],
)  # fmt: skip
def test_tuf_has_the_hooks_that_we_stand_on(hook: str) -> None:
    assert callable(getattr(Updater, hook))


def test_tuf_verifies_where_we_count_keys() -> None:
    root = Repository().files["1.root.json"]
    assert callable(TrustedMetadataSet(root, EnvelopeType.METADATA)._load_data)


def test_tuf_itself_writes_nothing(
    tmp_path: Path, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All files come by durable.disk: with a disk that refuses everything there are none."""
    repository = Repository()
    trust = opened(repository)
    before = sorted(tmp_path.rglob("*"))
    monkeypatch.setattr(durable, "disk", FailingDisk(1, errno.EROFS, is_lasting=True))
    with pytest.raises(StoreError):
        trust.refresh()
    assert sorted(tmp_path.rglob("*")) == before
