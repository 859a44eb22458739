"""Keys that come and go: which successions of roots, and which signers of a role, are accepted.

A version names the keys of a role, how many of them must sign, and who signed it; keys have
numbers. The last version decides: accepted, or refused with the one before still in use.
"""

from __future__ import annotations

from typing import NamedTuple

import pytest
from securesystemslib.signer import CryptoSigner
from tests.conformance._device import Device
from tests.simulators.tuf_repository import Repository

SIGNERS = [CryptoSigner.generate_ed25519() for _ in range(10)]


class Version(NamedTuple):
    keys: tuple[int, ...]
    threshold: int
    signed_by: tuple[int, ...]


FIVE = (0, 1, 2, 3, 4)

GOOD_ROOTS: dict[str, list[Version]] = {
    "one key gives way to another, which both sign once": [
        Version((1,), 1, (1,)), Version((2,), 1, (2, 1)), Version((2,), 1, (2,)),
    ],
    "signatures of strangers do no harm": [
        Version((1,), 1, (3, 1, 4)), Version((2,), 1, (3, 2, 1, 4)), Version((2,), 1, (3, 2, 4)),
    ],
    "any three of five": [
        Version(FIVE, 3, (0, 2, 4)), Version(FIVE, 3, (0, 4, 1)), Version(FIVE, 3, (1, 3, 2)),
    ],
    "one of five is replaced, and three are in both": [
        Version(FIVE, 3, (0, 2, 4)), Version((0, 1, 3, 4, 5), 3, (0, 4, 1)),
    ],
    "one of five is replaced, and the new and the old three sign": [
        Version(FIVE, 3, (0, 2, 4)), Version((0, 1, 3, 4, 5), 3, (0, 2, 4, 5)),
        Version((0, 1, 3, 4, 5), 3, (0, 4, 5)),
    ],
    "all five are replaced": [
        Version(FIVE, 3, (0, 2, 4)), Version((5, 6, 7, 8, 9), 3, (0, 2, 4, 5, 6, 7)),
        Version((5, 6, 7, 8, 9), 3, (5, 6, 7)),
    ],
    "the threshold rises": [Version((1, 2, 3), 1, (1,)), Version((1, 2, 3), 2, (1, 2))],
    "the threshold falls": [
        Version((1, 2, 3), 2, (1, 2)), Version((1, 2, 3), 1, (1, 2)), Version((1, 2, 3), 1, (1,)),
    ],
    "a second key comes, and both are needed": [
        Version((1,), 1, (1,)), Version((1, 2), 2, (1, 2)),
    ],
}  # fmt: skip

BAD_ROOTS: dict[str, list[Version]] = {
    "the old key has not signed": [Version((1,), 1, (1,)), Version((2,), 1, (2, 3, 4))],
    "the new key has not signed": [Version((1,), 1, (1,)), Version((2,), 1, (1, 3, 4))],
    "of the new five only two have signed": [
        Version(FIVE, 3, (0, 2, 4)), Version((0, 1, 3, 4, 5), 3, (0, 2, 4)),
    ],
    "of the old five only two have signed": [
        Version(FIVE, 3, (0, 2, 4)), Version((0, 1, 3, 4, 5), 3, (0, 4, 5)),
    ],
    "the new threshold is not met": [Version((1, 2, 3), 1, (1,)), Version((1, 2, 3), 2, (2,))],
    "the old threshold is not met": [Version((1, 2, 3), 2, (1, 2)), Version((1, 2, 3), 1, (1,))],
    "a threshold of more than the keys": [Version((1,), 1, (1,)), Version((1, 2), 3, (1, 2))],
}  # fmt: skip

GOOD_ROLES: dict[str, Version] = {
    "a new key": Version((2,), 1, (2,)),
    "strangers beside the right one": Version((1,), 1, (3, 1, 4)),
    "three of five": Version(FIVE, 3, (0, 2, 4)),
    "another three of five": Version(FIVE, 3, (4, 1, 3)),
}

BAD_ROLES: dict[str, Version] = {
    "the new key has not signed": Version((2,), 1, (1, 3, 4)),
    "one of the three is a stranger": Version((0, 1, 3, 4, 5), 3, (0, 2, 4)),
    "only two of five": Version((0, 1, 3, 4, 5), 3, (0, 4)),
}


def succeed(repository: Repository, versions: list[Version]) -> None:
    """Publish roots from version 1 on."""
    for number, version in enumerate(versions, 1):
        give(repository, "root", version)
        repository.root.version = number
        repository.republish("root")


def give(repository: Repository, role: str, version: Version) -> None:
    """Let a role have these keys and signers."""
    named = repository.root.roles[role]
    named.keyids.clear()
    named.threshold = version.threshold
    for key in version.keys:
        repository.root.add_key(SIGNERS[key].public_key, role)
    repository.signers[role] = [SIGNERS[key] for key in version.signed_by]


@pytest.mark.parametrize("versions", GOOD_ROOTS.values(), ids=GOOD_ROOTS.keys())
def test_roots_follow(versions: list[Version], fresh: Device, repository: Repository) -> None:
    succeed(repository, versions)
    fresh.init(repository.files["1.root.json"])
    assert fresh.refresh() == (0, "")
    kept = (fresh.metadata / "root.json").read_bytes()
    assert kept == repository.files[f"{len(versions)}.root.json"]


@pytest.mark.parametrize("versions", BAD_ROOTS.values(), ids=BAD_ROOTS.keys())
def test_roots_do_not_follow(
    versions: list[Version], fresh: Device, repository: Repository
) -> None:
    succeed(repository, versions)
    fresh.init(repository.files["1.root.json"])
    assert fresh.refresh().code == 1
    kept = (fresh.metadata / "root.json").read_bytes()
    assert kept == repository.files[f"{len(versions) - 1}.root.json"]


@pytest.mark.parametrize("version", GOOD_ROLES.values(), ids=GOOD_ROLES.keys())
@pytest.mark.parametrize("role", ["timestamp", "snapshot", "targets"])
def test_a_role_is_accepted(
    role: str, version: Version, device: Device, repository: Repository
) -> None:
    assert device.refresh().code == 0
    give(repository, role, version)
    repository.publish("root", "targets", "snapshot", "timestamp")
    assert device.refresh() == (0, "")
    kept = (device.metadata / f"{role}.json").read_bytes()
    assert kept == repository.files[f"{role}.json"]


@pytest.mark.parametrize("version", BAD_ROLES.values(), ids=BAD_ROLES.keys())
@pytest.mark.parametrize("role", ["timestamp", "snapshot", "targets"])
def test_a_role_is_refused(
    role: str, version: Version, device: Device, repository: Repository
) -> None:
    assert device.refresh().code == 0
    give(repository, role, version)
    repository.publish("root", "targets", "snapshot", "timestamp")
    ended = device.refresh()
    assert ended.code == 1
    assert "signature" in ended.words
    assert device.versions()[role] == 1


def test_three_hundred_roots_are_followed_in_two_refreshes(
    fresh: Device, repository: Repository
) -> None:
    """Each refresh follows 256 at most, so that a mirror cannot keep a device busy for ever."""
    for _ in range(300):
        repository.publish("root")
    fresh.init(repository.files["1.root.json"])
    fresh.refresh()
    assert fresh.versions()["root"] == 257
    assert fresh.refresh() == (0, "")
    assert fresh.versions()["root"] == 301
