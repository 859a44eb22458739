"""Which roles are asked for a target, in which order, and whose word counts (TUF 5.6.7)."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from tests.conformance._device import Device
from tests.simulators.repository_server import RepositoryServer
from tests.simulators.tuf_repository import ALL, Repository
from tuf.api.metadata import Delegations, SuccinctRoles, Targets


class Delegation(NamedTuple):
    delegator: str
    role: str
    paths: tuple[str, ...] = ("*",)
    is_terminating: bool = False


GRAPHS: dict[str, tuple[list[Delegation], str]] = {
    "one": ([Delegation("targets", "A")], "A"),
    "two beside each other": ([Delegation("targets", "A"), Delegation("targets", "B")], "AB"),
    "below the second": (
        [Delegation("targets", "A"), Delegation("targets", "B"), Delegation("B", "C")], "ABC",
    ),
    "depth first": (
        [
            Delegation("targets", "A"), Delegation("targets", "B"),
            Delegation("A", "C"), Delegation("A", "D"),
        ],
        "ACDB",
    ),
    "three deep, depth first": (
        [
            Delegation("targets", "A"), Delegation("targets", "B"),
            Delegation("A", "C"), Delegation("C", "D"),
        ],
        "ACDB",
    ),
    "a terminating role ends the search beside it": (
        [
            Delegation("targets", "A"), Delegation("targets", "B"),
            Delegation("A", "C", is_terminating=True), Delegation("A", "D"),
        ],
        "AC",
    ),
    "a terminating role is still searched below": (
        [
            Delegation("targets", "A"), Delegation("targets", "B"),
            Delegation("A", "C", is_terminating=True), Delegation("C", "D"),
        ],
        "ACD",
    ),
    "a branch whose paths do not fit is not asked": (
        [Delegation("targets", "A", ("*.py",)), Delegation("targets", "B"), Delegation("A", "C")],
        "B",
    ),
    "a deeper branch whose paths do not fit is not asked": (
        [
            Delegation("targets", "A"), Delegation("targets", "B"),
            Delegation("A", "C", ("*.py",)), Delegation("C", "D"),
        ],
        "AB",
    ),
    "a circle": (
        [
            Delegation("targets", "A"), Delegation("targets", "B"), Delegation("B", "C"),
            Delegation("C", "D"), Delegation("D", "B"),
        ],
        "ABCD",
    ),
    "two roles that name a third": (
        [
            Delegation("targets", "A"), Delegation("targets", "B"),
            Delegation("B", "C"), Delegation("A", "C"),
        ],
        "ACB",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("graph", "order"), GRAPHS.values(), ids=GRAPHS.keys())
def test_roles_are_asked_in_order(
    graph: list[Delegation],
    order: str,
    device: Device,
    repository: Repository,
    server: RepositoryServer,
) -> None:
    _delegate(repository, graph)
    assert device.download("missing").code == 1
    asked = [path.removeprefix("/metadata/1.").removesuffix(".json") for path in server.paths()[4:]]
    assert asked == list(order)


TREE = [
    Delegation("targets", "A", ("*.doc", "*.md")),
    Delegation("targets", "B", ("releases/*/*",)),
    Delegation("B", "C", ("releases/x/*",)),
    Delegation("B", "D", ("releases/y/*.zip",)),
]
FILES = [
    ("targets", "file"),
    ("A", "README.md"),
    ("C", "releases/x/1"),
    ("D", "releases/y/1.zip"),
    ("D", "releases/z/1.zip"),
]


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("file", [b"file by targets"]),
        ("README.md", [b"README.md by A"]),
        ("releases/x/1", [b"releases/x/1 by C"]),
        ("releases/y/1.zip", [b"releases/y/1.zip by D"]),
        ("releases/z/1.zip", []),  # D has it and may not sign it
    ],
)
def test_a_target_is_found_where_its_role_may_sign_it(
    path: str, content: list[bytes], device: Device, repository: Repository
) -> None:
    _delegate(repository, TREE)
    for role, name in FILES:
        repository.add_target(name, f"{name} by {role}".encode(), role)
    repository.republish("A", "B", "C", "D")
    repository.publish(*ALL)
    assert device.download(path).code == (0 if content else 1)
    assert list(device.contents().values()) == content


def test_the_word_of_the_more_trusted_role_counts(device: Device, repository: Repository) -> None:
    _delegate(repository, [Delegation("targets", "A"), Delegation("targets", "B")])
    repository.add_target("file", b"by B", "B")
    repository.add_target("file", b"by A", "A")
    repository.publish("A", "B", *ALL)
    assert device.download("file") == (0, "")
    assert device.contents() == {"file": b"by A"}


def test_hash_bins_are_found(device: Device, repository: Repository) -> None:
    signer = repository.signers["targets"][0]
    bins = SuccinctRoles([], 1, 3, "bin")
    repository.role().delegations = Delegations({}, None, bins)
    repository.role().add_key(signer.public_key)
    for role in bins.get_roles():
        repository.signed[role] = Targets(expires=repository.expires)
        repository.signers[role] = [signer]
    path = "some/file"
    role = bins.get_role_for_target(path)
    repository.add_target(path, b"in its bin", role)
    repository.publish(*bins.get_roles(), *ALL)
    assert device.download(path) == (0, "")
    assert set(device.versions()) == {"root", "timestamp", "snapshot", "targets", role}


def test_a_delegation_without_end_is_given_up(
    device: Device, repository: Repository, server: RepositoryServer
) -> None:
    roles = [f"r{number}" for number in range(50)]
    _delegate(
        repository, [Delegation(*pair) for pair in zip(["targets", *roles], roles, strict=False)]
    )
    assert device.download("missing").code == 1
    assert len(server.paths()) < 4 + 34


def _delegate(repository: Repository, graph: list[Delegation]) -> None:
    for delegator, role, paths, is_terminating in graph:
        repository.delegate(role, paths, delegator=delegator, is_terminating=is_terminating)
    repository.publish(*dict.fromkeys(role for _, role, *_ in graph), *ALL)


def test_a_role_below_two_others_counts_below_each_by_its_own_keys(
    device: Device, repository: Repository
) -> None:
    """C is signed with the key that A names; B names another: below B it says nothing."""
    repository.delegate("A", ["a/*"])
    repository.delegate("B", ["b/*"])
    repository.delegate("C", ["a/*"], delegator="A")
    repository.delegate("C", ["b/*"], delegator="B")
    del repository.signers["C"][1]
    for path in ("a/file", "b/file"):
        repository.add_target(path, path.encode(), "C")
    repository.publish("A", "B", "C", *ALL)
    assert device.download("a/file") == (0, "")
    for names in (["b/file"], ["a/file", "b/file"]):
        ended = device.download(*names)
        assert ended.code == 1
        assert "signature" in ended.words
    assert set(device.contents()) == {"a%2Ffile"}


def test_floors_of_a_role_below_two_others_are_apart(
    device: Device, repository: Repository
) -> None:
    repository.delegate("A", ["a/*"])
    repository.delegate("B", ["b/*"])
    repository.delegate("C", ["a/*"], delegator="A")
    repository.delegate("C", ["b/*"], delegator="B")
    for path in ("a/file", "b/file"):
        repository.add_target(path, path.encode(), "C")
    repository.publish("A", "B", "C", *ALL)
    for _ in range(2):
        assert device.download("a/file", "b/file") == (0, "")
        repository.publish("C", *ALL)
