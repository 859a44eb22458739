"""The first root, what is asked for, and what is kept byte for byte."""

from __future__ import annotations

import json

from tests.conformance._device import Device
from tests.simulators.repository_server import RepositoryServer
from tests.simulators.tuf_repository import ALL, Repository, in_days


def test_a_first_root_that_is_no_root_ends_before_anything_is_asked(
    fresh: Device, repository: Repository, server: RepositoryServer
) -> None:
    document = json.loads(repository.files["1.root.json"])
    del document["signed"]["version"]
    fresh.init(json.dumps(document).encode())
    assert fresh.refresh().code == 1
    assert server.asked == []


def test_a_first_root_with_a_foreign_signature_ends_before_anything_is_asked(
    fresh: Device, repository: Repository, server: RepositoryServer
) -> None:
    document = json.loads(repository.files["1.root.json"])
    document["signatures"][0]["sig"] = "00" * 64
    fresh.init(json.dumps(document).encode())
    assert fresh.refresh().code == 1
    assert server.asked == []


def test_without_init_nothing_is_asked(fresh: Device, server: RepositoryServer) -> None:
    ended = fresh.refresh()
    assert (ended.code, server.asked) == (1, [])
    assert "begin with init" in ended.words


def test_a_snapshot_that_never_named_targets_is_refused(
    device: Device, repository: Repository
) -> None:
    del repository.snapshot.meta["targets.json"]
    repository.republish("snapshot", "timestamp")
    ended = device.refresh()
    assert ended.code == 1
    assert "does not name" in ended.words
    assert set(device.versions()) == {"root", "timestamp"}


def test_an_expired_first_root_leads_to_a_newer_one(fresh: Device, repository: Repository) -> None:
    repository.root.expires = in_days(-1)
    repository.republish("root")
    first = repository.files["1.root.json"]
    repository.root.expires = in_days(30)
    repository.publish("root")
    assert fresh.init(first).code == 0
    assert fresh.refresh() == (0, "")
    assert fresh.versions()["root"] == 2


def test_each_file_is_asked_for_once_and_only_where_it_is_new(
    device: Device, repository: Repository, server: RepositoryServer
) -> None:
    device.refresh()
    assert server.paths() == [
        "/metadata/2.root.json",
        "/metadata/timestamp.json",
        "/metadata/1.snapshot.json",
        "/metadata/1.targets.json",
    ]
    server.asked.clear()
    device.refresh()
    assert server.paths() == ["/metadata/2.root.json", "/metadata/timestamp.json"]


def test_a_repository_without_consistent_snapshots_is_read_by_plain_names(
    device: Device, repository: Repository, server: RepositoryServer
) -> None:
    repository.root.consistent_snapshot = False
    repository.publish("root")
    repository.add_target("file", b"content")
    repository.publish(*ALL)
    assert device.download("file") == (0, "")
    assert server.paths()[2:] == [
        "/metadata/timestamp.json",
        "/metadata/snapshot.json",
        "/metadata/targets.json",
        "/targets/file",
    ]


def test_metadata_is_kept_byte_for_byte(device: Device, repository: Repository) -> None:
    repository.files["timestamp.json"] += b" \n"
    assert device.refresh().code == 0
    assert (device.metadata / "timestamp.json").read_bytes() == repository.files["timestamp.json"]


def test_a_refused_file_is_not_offered_again_from_the_cache(
    device: Device, repository: Repository
) -> None:
    repository.publish(*ALL)
    good = repository.files["2.targets.json"]
    repository.files["2.targets.json"] = repository.files["1.targets.json"]
    assert device.refresh().code == 1
    repository.files["2.targets.json"] = good
    assert device.refresh() == (0, "")
