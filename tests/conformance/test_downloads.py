"""Targets: what was signed, once, in order, and nothing else."""

from __future__ import annotations

import pytest
from tests.conformance._device import Device
from tests.simulators.repository_server import RepositoryServer
from tests.simulators.tuf_repository import ALL, Repository
from tuf.api.metadata import TargetFile


def test_content_that_was_replaced_is_not_taken(
    device: Device, repository: Repository, server: RepositoryServer
) -> None:
    repository.add_target("dir/one", b"one")
    other = repository.add_target("two", b"two")
    repository.publish(*ALL)
    assert device.download("dir/one") == (0, "")
    assert device.contents() == {"dir%2Fone": b"one"}
    repository.put(other, b"TWO")
    ended = device.download("two")
    assert ended.code == 1
    assert "not those that targets signed" in ended.words
    assert device.contents() == {"dir%2Fone": b"one"}
    repository.put(other, b"two")
    assert device.download("two").code == 0, "what was refused is not gone on with"


def test_what_is_there_is_not_fetched_again(
    device: Device, repository: Repository, server: RepositoryServer
) -> None:
    repository.add_target("file", b"content")
    repository.publish(*ALL)
    assert device.download("file").code == 0
    server.asked.clear()
    assert device.download("file").code == 0
    assert not [path for path in server.paths() if path.startswith("/targets/")]


def test_a_target_that_changes_is_followed(device: Device, repository: Repository) -> None:
    for content in (b"first", b"second, longer", b"3rd"):
        entry = repository.add_target("file", content)
        repository.publish(*ALL)
        assert device.download("file") == (0, "")
        assert device.contents() == {"file": content}
        repository.put(entry, b"?" * len(content))
        device.download("file")
        assert device.contents() == {"file": content}


def test_several_targets_come_in_order_until_one_fails(
    device: Device, repository: Repository, server: RepositoryServer
) -> None:
    for name in ("a", "b", "c"):
        repository.add_target(name, name.encode())
    repository.publish(*ALL)
    assert device.download("b", "a") == (0, "")
    asked = [path.rpartition(".")[2] for path in server.paths() if path.startswith("/targets/")]
    assert asked == ["b", "a"]
    ended = device.download("missing", "c")
    assert ended.code == 1
    assert set(device.contents()) == {"a", "b"}


@pytest.mark.parametrize(
    "hashes", [["sha256"], ["sha512"], ["sha256", "sha512"], ["blake2b-256", "sha384"]]
)
def test_targets_have_hashes_that_are_known(
    hashes: list[str], device: Device, repository: Repository
) -> None:
    entry = TargetFile.from_data("file", b"content", hashes)
    repository.role().targets["file"] = entry
    repository.put(entry, b"content")
    repository.publish(*ALL)
    assert device.download("file") == (0, "")


@pytest.mark.parametrize("name", ["sha2048", "md5", "sha1"])
def test_a_target_with_a_hash_that_proves_nothing_is_refused(
    name: str, device: Device, repository: Repository
) -> None:
    entry = TargetFile(7, {name: "9a" * 16}, "file")
    repository.role().targets["file"] = entry
    repository.put(entry, b"content")
    repository.publish(*ALL)
    assert device.download("file").code == 1
    assert device.contents() == {}


def test_an_empty_target_is_a_file(device: Device, repository: Repository) -> None:
    repository.add_target("empty", b"")
    repository.publish(*ALL)
    assert device.download("empty") == (0, "")
    assert device.contents() == {"empty": b""}
