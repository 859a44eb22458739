"""Delegated roles: their names, their dates and their floors."""

from __future__ import annotations

import json

import pytest
from tests.conformance._device import Device
from tests.simulators.repository_server import RepositoryServer
from tests.simulators.tuf_repository import ALL, Repository, in_days
from tuf.api.metadata import MetaFile


@pytest.mark.parametrize(
    "role", ["?", "#", "/delegated", "../delegated", ".", "..", "a b", "\u00fc"]
)
def test_a_role_of_any_name_stays_in_its_place(
    role: str, device: Device, repository: Repository, server: RepositoryServer
) -> None:
    repository.delegate(role)
    repository.publish(role, *ALL)
    assert device.download("nothing").code == 1
    assert len(device.versions()) == 5
    assert not (device.metadata.parent / "delegated.json").exists()


def test_a_role_of_a_name_that_no_file_can_have_is_refused(
    device: Device, repository: Repository
) -> None:
    repository.delegate("x" * 300)
    repository.publish("x" * 300, *ALL)
    ended = device.download("nothing")
    assert ended.code == 1
    assert len(device.versions()) == 4


def test_a_delegation_cannot_take_the_name_of_a_top_level_role(
    device: Device, repository: Repository
) -> None:
    repository.delegate("other")
    repository.publish("other", *ALL)
    document = json.loads(repository.files["2.targets.json"])
    document["signed"]["delegations"]["roles"][0]["name"] = "timestamp"
    repository.files["2.targets.json"] = json.dumps(document).encode()
    assert device.download("nothing").code == 1
    assert (device.metadata / "timestamp.json").read_bytes() == repository.files["timestamp.json"]


def test_an_expired_delegated_role_gives_nothing(device: Device, repository: Repository) -> None:
    repository.delegate("rules", ["rules/*"])
    repository.add_target("rules/a", b"rule", "rules")
    repository.role("rules").expires = in_days(-1)
    repository.publish("rules", *ALL)
    assert device.refresh() == (0, "")
    ended = device.download("rules/a")
    assert ended.code == 1
    assert "freeze" in ended.words
    assert device.contents() == {}
    repository.role("rules").expires = in_days(1)
    repository.publish("rules", *ALL)
    assert device.download("rules/a") == (0, "")


def test_an_older_delegated_role_is_refused_though_the_snapshot_is_lost(
    device: Device, repository: Repository
) -> None:
    """A thief of the snapshot and timestamp keys names an old version of a role below targets."""
    repository.delegate("rules", ["rules/*"])
    repository.add_target("rules/a", b"rule", "rules")
    repository.publish("rules", *ALL)
    repository.publish("rules", *ALL)
    assert device.download("rules/a") == (0, "")
    device.zero("snapshot.json", "timestamp.json")
    repository.snapshot.meta["rules.json"] = MetaFile(1)
    repository.publish("snapshot", "timestamp")
    ended = device.download("rules/a")
    assert ended.code == 1
    assert "older" in ended.words
