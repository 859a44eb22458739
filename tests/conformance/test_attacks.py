"""Attacks on a repository, and on what a device keeps of it: what the client does, what is left.

Each case is a sentence and the steps that make it true. The device has seen version 1 of everything
when they begin. A step bends the repository (or the device's disk), then the client refreshes; what
counts is its exit code, what it says, and which versions are on the disk afterwards.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import NamedTuple, TypeAlias, cast

import pytest
from securesystemslib.signer import CryptoSigner, SSlibKey
from tests.conformance._device import Device
from tests.simulators.repository_server import RepositoryServer
from tests.simulators.tuf_repository import ALL, Repository, in_days
from tuf.api.metadata import MetaFile, TargetFile

Bend: TypeAlias = Callable[[Repository, Device], object]

EVERYTHING = ("root", "timestamp", "snapshot", "targets")


class Step(NamedTuple):
    """One refresh.

    Attributes:
        bend: what happens before it.
        code: how it has to end.
        versions: of root, timestamp, snapshot and targets on the disk after it; 0 for none.
        says: in its words; "" for whatever.
    """

    bend: Bend
    code: int
    versions: tuple[int, int, int, int]
    says: str = ""


def publish(*roles: str) -> Bend:
    return lambda repository, _: repository.publish(*roles)


def new_target(repository: Repository, _: Device) -> None:
    repository.add_target("file", b"content")
    repository.publish(*ALL)


def zeroed(*names: str) -> Bend:
    return lambda _, device: device.zero(*names)


def mirror_of_yesterday(repository: Repository, _: Device) -> None:
    """Serves what was there before the first step, for ever."""
    for name in ("timestamp.json", "snapshot.json", "targets.json"):
        first = f"1.{name}" if name != "timestamp.json" else "first-timestamp.json"
        repository.files[name] = repository.files[first]


def older_version(role: str, version: int = 1) -> Bend:
    """The repository says and signs an older version of a role, and what lists it follows."""

    def bend(repository: Repository, _: Device) -> None:
        repository.signed[role].version = version
        repository.republish(role)
        follow = {"targets": ("snapshot", "timestamp"), "snapshot": ("timestamp",)}.get(role, ())
        repository.publish(*follow)

    return bend


def expired(role: str) -> Bend:
    def bend(repository: Repository, _: Device) -> None:
        repository.signed[role].expires = in_days(-1)
        after = {
            "root": ("root",),
            "timestamp": ("timestamp",),
            "snapshot": ("snapshot", "timestamp"),
        }
        repository.publish(*after.get(role, ALL))

    return bend


def unsigned(role: str) -> Bend:
    def bend(repository: Repository, _: Device) -> None:
        repository.signers[role].clear()
        repository.publish(*(("root",) if role == "root" else ALL))

    return bend


def fast_forwarded(*roles: str, version: int = 1000) -> Bend:
    def bend(repository: Repository, _: Device) -> None:
        for role in roles:
            repository.signed[role].version = version - 1
        repository.publish(*ALL)

    return bend


def recovered(*rotated: str, back: str) -> Bend:
    """New keys for these roles, and one role begins again at version 1."""

    def bend(repository: Repository, _: Device) -> None:
        for role in rotated:
            repository.replace_keys(role)
        repository.publish("root")
        repository.signed[back].version = 0
        repository.publish(*(ALL if back != "timestamp" else ("timestamp",)))

    return bend


def served(name: str, other: str) -> Bend:
    """One file instead of another."""
    return lambda repository, _: repository.files.update({name: repository.files[other]})


def altered(name: str, change: Callable[[bytes], bytes]) -> Bend:
    return lambda repository, _: repository.files.update({name: change(repository.files[name])})


def gone(*names: str) -> Bend:
    return lambda repository, _: [repository.files.pop(name) for name in names]


def both(*bends: Bend) -> Bend:
    return lambda repository, device: [bend(repository, device) for bend in bends]


def twice_signed(data: bytes) -> bytes:
    document = json.loads(data)
    document["signatures"].append(document["signatures"][0])
    return json.dumps(document).encode()


def one_key_under_two_names(threshold: int, role: str = "snapshot") -> Bend:
    """Both names sign, but it is one person's key."""

    def bend(repository: Repository, _: Device) -> None:
        signer = repository.signers[role][0]
        known = signer.public_key
        other = SSlibKey("ab" * 32, known.keytype, known.scheme, known.keyval)
        repository.add_key(role, CryptoSigner(signer._private_key, other))
        repository.root.roles[role].threshold = threshold
        repository.publish("root", *ALL)

    return bend


def threshold_of_three(repository: Repository, _: Device) -> None:
    repository.root.roles["snapshot"].threshold = 3
    for _unused in range(2):
        repository.add_key("snapshot")
    repository.publish("root", *ALL)


def one_signature_missing(repository: Repository, _: Device) -> None:
    repository.signers["snapshot"].pop()
    repository.publish(*ALL)


def too_few_keys(repository: Repository, _: Device) -> None:
    repository.root.roles["snapshot"].threshold = 6
    for _unused in range(4):
        repository.add_key("snapshot")
    repository.publish("root", *ALL)


def bad_signature_beside_good(repository: Repository, _: Device) -> None:
    repository.add_key("timestamp")
    repository.publish("root", "timestamp")
    document = json.loads(repository.files["timestamp.json"])
    document["signatures"][0]["sig"] = ""
    repository.files["timestamp.json"] = json.dumps(document).encode()


def hashed(repository: Repository, _: Device) -> None:
    repository.is_hashed = True
    repository.publish(*ALL)


def wrong_hash_of(role: str) -> Bend:
    def bend(repository: Repository, _: Device) -> None:
        repository.is_hashed = True
        repository.publish("targets")
        if role == "targets":
            _spoil(repository.snapshot.meta["targets.json"])
        repository.publish("snapshot")
        if role == "snapshot":
            _spoil(repository.timestamp.snapshot_meta)
        repository.publish("timestamp")

    return bend


def _spoil(meta: MetaFile) -> None:
    cast("dict[str, str]", meta.hashes)["sha256"] = "0" * 64


def snapshot_as_timestamp(repository: Repository, _: Device) -> None:
    """Rightly signed by the timestamp's key, and complete; only its type is another."""
    repository.add_key("snapshot", repository.signers["timestamp"][0])
    repository.snapshot.meta = {"snapshot.json": MetaFile(1)}
    repository.publish("root", "snapshot")
    repository.files["timestamp.json"] = repository.files["2.snapshot.json"]


def same_version_other_content(repository: Repository, _: Device) -> None:
    repository.timestamp.snapshot_meta = MetaFile(100)
    repository.republish("timestamp")


def unknown_fields(repository: Repository, _: Device) -> None:
    repository.root.unrecognized_fields["x-new"] = {"a": [1, 2]}
    keyid = repository.root.roles["root"].keyids[0]
    repository.root.roles["root"].unrecognized_fields["x-role"] = "y"
    repository.root.keys[keyid].unrecognized_fields["x-key"] = "z"
    repository.publish("root")


def left_out(repository: Repository, _: Device) -> None:
    del repository.snapshot.meta["targets.json"]
    repository.publish("snapshot", "timestamp")


def listed_but_not_there(role: str) -> Bend:
    def bend(repository: Repository, _: Device) -> None:
        if role == "snapshot":
            repository.timestamp.snapshot_meta = MetaFile(2)
            repository.publish("timestamp")
        else:
            repository.snapshot.meta["targets.json"] = MetaFile(2)
            repository.publish("snapshot", "timestamp")

    return bend


def roots_lost(_: Repository, device: Device) -> None:
    for path in (device.metadata / "root_history").iterdir():
        path.unlink()


def one_copy_of_floors_lost(_: Repository, device: Device) -> None:
    (device.metadata / ".vedette" / "floors" / "state.a").write_bytes(b"\0" * 100)


def both_copies_of_floors_lost(_: Repository, device: Device) -> None:
    for name in ("state.a", "state.b"):
        (device.metadata / ".vedette" / "floors" / name).write_bytes(b"")


def snapshot_that_ends_in(days: float) -> Bend:
    def bend(repository: Repository, _: Device) -> None:
        repository.snapshot.expires = in_days(days)
        repository.publish("snapshot", "timestamp")

    return bend


def issued(days: float) -> Bend:
    def bend(repository: Repository, _: Device) -> None:
        seconds = int(in_days(days).timestamp())
        repository.timestamp.unrecognized_fields["x-vedette-issued"] = seconds
        repository.publish("timestamp")

    return bend


def issued_as(value: object) -> Bend:
    def bend(repository: Repository, _: Device) -> None:
        repository.timestamp.unrecognized_fields["x-vedette-issued"] = value
        repository.publish("timestamp")

    return bend


ATTACKS: dict[str, list[Step]] = {
    # rollback
    "an older timestamp is refused": [
        Step(publish("timestamp"), 0, (1, 2, 1, 1)),
        Step(older_version("timestamp"), 1, (1, 2, 1, 1), "older"),
    ],
    "an older snapshot is refused": [
        Step(publish("snapshot", "timestamp"), 0, (1, 2, 2, 1)),
        Step(older_version("snapshot"), 1, (1, 2, 2, 1), "older"),
    ],
    "an older snapshot is refused where hashes are told": [
        Step(hashed, 0, (1, 2, 2, 2)),
        Step(older_version("snapshot"), 1, (1, 2, 2, 2), "older"),
    ],
    "older targets are refused": [
        Step(publish(*ALL), 0, (1, 2, 2, 2)),
        Step(older_version("targets"), 1, (1, 3, 2, 2), "older"),
    ],
    "older targets are refused where hashes are told": [
        Step(hashed, 0, (1, 2, 2, 2)),
        Step(older_version("targets"), 1, (1, 3, 2, 2), "older"),
    ],
    "a snapshot that leaves targets out is refused": [
        Step(left_out, 1, (1, 2, 1, 1), "missing info"),
    ],
    "a snapshot that leaves targets out is refused though the old one is lost": [
        Step(both(zeroed("snapshot.json"), left_out), 1, (1, 2, 0, 1), "leaves out"),
    ],
    "a whole mirror of yesterday is refused": [
        Step(publish(*ALL), 0, (1, 2, 2, 2)),
        Step(mirror_of_yesterday, 1, (1, 2, 2, 2), "older"),
    ],
    # what a power cut, or a bad block, leaves
    "yesterday's mirror is refused though timestamp and snapshot are zeroed": [
        Step(publish(*ALL), 0, (1, 2, 2, 2)),
        Step(
            both(zeroed("timestamp.json", "snapshot.json"), mirror_of_yesterday),
            1, (1, 0, 0, 2), "older",
        ),
    ],
    "yesterday's mirror is refused though all metadata are zeroed": [
        Step(publish(*ALL), 0, (1, 2, 2, 2)),
        Step(
            both(zeroed("timestamp.json", "snapshot.json", "targets.json"), mirror_of_yesterday),
            1, (1, 0, 0, 0), "older",
        ),
    ],
    "yesterday's mirror is refused though one copy of the floors is lost as well": [
        Step(publish(*ALL), 0, (1, 2, 2, 2)),
        Step(
            both(
                zeroed("timestamp.json", "snapshot.json"),
                one_copy_of_floors_lost,
                mirror_of_yesterday,
            ),
            1, (1, 0, 0, 2), "older",
        ),
    ],
    "with both copies of the floors damaged nothing is accepted": [
        Step(both(both_copies_of_floors_lost, publish(*ALL)), 1, (1, 1, 1, 1), "state.a"),
    ],
    "what was zeroed comes back from the right mirror": [
        Step(publish(*ALL), 0, (1, 2, 2, 2)),
        Step(zeroed("timestamp.json", "snapshot.json", "targets.json"), 0, (1, 2, 2, 2)),
    ],
    "lost roots come back from the right mirror": [
        Step(publish("root"), 0, (2, 1, 1, 1)),
        Step(roots_lost, 0, (2, 1, 1, 1)),
    ],
    "a mirror that hides newer roots is refused though the device lost its own": [
        Step(publish("root"), 0, (2, 1, 1, 1)),
        Step(both(roots_lost, gone("2.root.json")), 1, (1, 1, 1, 1), "hides newer roots"),
    ],
    # recovery after stolen keys drove versions up (TUF 5.3.11)
    "a timestamp driven up is left behind with new timestamp keys": [
        Step(fast_forwarded("timestamp"), 0, (1, 1000, 2, 2)),
        Step(recovered("timestamp", back="timestamp"), 0, (2, 1, 2, 2)),
    ],
    "a snapshot driven up is left behind with new snapshot and timestamp keys": [
        Step(fast_forwarded("snapshot"), 0, (1, 2, 1000, 2)),
        Step(recovered("snapshot", "timestamp", back="snapshot"), 0, (2, 3, 1, 3)),
    ],
    "targets driven up are left behind with new snapshot keys": [
        Step(fast_forwarded("targets"), 0, (1, 2, 2, 1000)),
        Step(recovered("snapshot", back="targets"), 0, (2, 3, 3, 1)),
    ],
    "new timestamp keys alone do not let the snapshot go back": [
        Step(publish("snapshot", "timestamp"), 0, (1, 2, 2, 1)),
        Step(recovered("timestamp", back="snapshot"), 1, (2, 2, 2, 1), "older"),
    ],
    "one more key is no new set of keys: the floor stays": [
        Step(publish("timestamp"), 0, (1, 2, 1, 1)),
        Step(
            both(
                lambda repository, _: repository.add_key("timestamp"),
                publish("root"),
                zeroed("timestamp.json"),
                older_version("timestamp"),
            ),
            1, (2, 0, 1, 1), "older",
        ),
    ],
    # expiry
    "an expired root is kept, and nothing is taken under it": [
        Step(both(expired("root"), publish(*ALL)), 1, (2, 1, 1, 1), "freeze"),
    ],
    "an expired timestamp is refused": [Step(expired("timestamp"), 1, (1, 1, 1, 1), "freeze")],
    "an expired snapshot is refused": [Step(expired("snapshot"), 1, (1, 2, 1, 1), "freeze")],
    "expired targets are refused": [Step(expired("targets"), 1, (1, 2, 2, 1), "freeze")],
    # signatures
    "an unsigned root is refused": [Step(unsigned("root"), 1, (1, 1, 1, 1), "signature")],
    "an unsigned timestamp is refused": [Step(unsigned("timestamp"), 1, (1, 1, 1, 1), "signature")],
    "an unsigned snapshot is refused": [Step(unsigned("snapshot"), 1, (1, 2, 1, 1), "signature")],
    "unsigned targets are refused": [Step(unsigned("targets"), 1, (1, 2, 2, 1), "signature")],
    "fewer signatures than the threshold are refused": [
        Step(threshold_of_three, 0, (2, 2, 2, 2)),
        Step(one_signature_missing, 1, (2, 3, 2, 2), "signature"),
    ],
    "a threshold of more than the keys can't be met": [
        Step(too_few_keys, 1, (2, 2, 1, 1), "signature"),
    ],
    "one key under two names counts once": [
        Step(one_key_under_two_names(2), 1, (2, 2, 1, 1), "signature"),
    ],
    "one key under two names does no harm where it signs alone": [
        Step(one_key_under_two_names(1), 0, (2, 2, 2, 2)),
    ],
    "one key under two names counts once for the root too": [
        Step(one_key_under_two_names(2, "root"), 1, (1, 1, 1, 1), "signature"),
    ],
    "one signature given twice is refused": [
        Step(
            both(publish("snapshot", "timestamp"), altered("2.snapshot.json", twice_signed)),
            1, (1, 2, 1, 1), "format",
        ),
    ],
    "a bad signature beside enough good ones does no harm": [
        Step(bad_signature_beside_good, 0, (2, 2, 1, 1)),
    ],
    # mix and match
    "a root of another version than its name is refused": [
        Step(served("2.root.json", "1.root.json"), 1, (1, 1, 1, 1)),
    ],
    "a snapshot of another version than its name is refused": [
        Step(
            both(publish("snapshot", "timestamp"), served("2.snapshot.json", "1.snapshot.json")),
            1, (1, 2, 1, 1), "mix-up",
        ),
    ],
    "targets of another version than their name are refused": [
        Step(
            both(publish(*ALL), served("2.targets.json", "1.targets.json")),
            1, (1, 2, 2, 1), "mix-up",
        ),
    ],
    "a snapshot with another hash is refused": [
        Step(wrong_hash_of("snapshot"), 1, (1, 2, 1, 1), "mix-up"),
    ],
    "targets with another hash are refused": [
        Step(wrong_hash_of("targets"), 1, (1, 2, 2, 1), "mix-up"),
    ],
    "hashes that hold are accepted": [Step(hashed, 0, (1, 2, 2, 2))],
    "a snapshot in place of a timestamp is refused": [
        Step(snapshot_as_timestamp, 1, (2, 1, 1, 1), "mix-up"),
    ],
    "the same version with other content changes nothing": [
        Step(same_version_other_content, 0, (1, 1, 1, 1)),
    ],
    "fields that nobody knows are part of what is signed": [Step(unknown_fields, 0, (2, 1, 1, 1))],
    # what is not there, or is no metadata
    "without a timestamp nothing happens": [
        Step(gone("timestamp.json"), 1, (1, 1, 1, 1), "not there"),
    ],
    "without the snapshot that is listed nothing more happens": [
        Step(listed_but_not_there("snapshot"), 1, (1, 2, 1, 1), "not there"),
    ],
    "without the targets that are listed nothing more happens": [
        Step(listed_but_not_there("targets"), 1, (1, 2, 2, 1), "not there"),
    ],
    "a timestamp that is no JSON is refused": [
        Step(altered("timestamp.json", lambda _: b"{"), 1, (1, 1, 1, 1), "format"),
    ],
    "a timestamp that says a name twice is refused": [
        Step(
            altered("timestamp.json", lambda data: b'{"signed":{},' + data.lstrip()[1:]),
            1, (1, 1, 1, 1), "format",
        ),
    ],
    "a timestamp nested without end is refused": [
        Step(altered("timestamp.json", lambda _: b"[" * 9000), 1, (1, 1, 1, 1), "format"),
    ],
    "a timestamp larger than any is not read to its end": [
        Step(
            altered("timestamp.json", lambda data: data + b" " * 20_000),
            1, (1, 1, 1, 1), "at most",
        ),
    ],
    # time
    "a time of issue is taken, and time does not go back behind it": [
        Step(issued(10), 0, (1, 2, 1, 1)),
        Step(snapshot_that_ends_in(5), 1, (1, 3, 1, 1), "freeze"),
    ],
    "an issue after its own expiry is refused": [
        Step(issued(31), 1, (1, 1, 1, 1), "x-vedette-issued"),
    ],
    "an issue that is no number is refused": [
        Step(issued_as("2026-11-21T00:00:00Z"), 1, (1, 1, 1, 1), "x-vedette-issued"),
    ],
    "an issue that is true is refused": [
        Step(issued_as(True), 1, (1, 1, 1, 1), "x-vedette-issued"),
    ],
    "an issue before 1970 is refused": [Step(issued_as(-1), 1, (1, 1, 1, 1), "x-vedette-issued")],
}  # fmt: skip


@pytest.mark.parametrize("steps", ATTACKS.values(), ids=ATTACKS.keys())
def test_attack(steps: list[Step], device: Device, repository: Repository) -> None:
    repository.files["first-timestamp.json"] = repository.files["timestamp.json"]
    assert device.refresh() == (0, "")
    for step in steps:
        step.bend(repository, device)
        ended = device.refresh()
        assert ended.code == step.code, ended.words
        assert step.says in ended.words
        assert _versions(device) == step.versions


def _versions(device: Device) -> tuple[int, ...]:
    """Of the four roles; 0 where a file is not there or is not whole."""
    found: list[int] = []
    for role in EVERYTHING:
        try:
            data = (device.metadata / f"{role}.json").read_bytes()
            found.append(int(json.loads(data)["signed"]["version"]))
        except (OSError, ValueError):
            found.append(0)
    return tuple(found)


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


KEY_TYPES: dict[str, Callable[[], CryptoSigner]] = {
    "ed25519": CryptoSigner.generate_ed25519,
    "ecdsa": CryptoSigner.generate_ecdsa,
    "rsa-pss": CryptoSigner.generate_rsa,
    "rsa-pkcs1": lambda: CryptoSigner.generate_rsa(scheme="rsa-pkcs1v15-sha256"),
    "ml-dsa-65": CryptoSigner.generate_mldsa,
}


@pytest.mark.parametrize("kind", KEY_TYPES)
def test_a_root_needs_its_second_key_whatever_its_kind(
    kind: str, device: Device, repository: Repository
) -> None:
    signer = KEY_TYPES[kind]()
    repository.add_key("root", signer)
    repository.root.roles["root"].threshold = 2
    repository.publish("root")
    assert device.refresh() == (0, "")
    assert device.versions()["root"] == 2

    repository.publish("root")
    document = json.loads(repository.files["3.root.json"])
    for signature in document["signatures"]:
        if signature["keyid"] == signer.public_key.keyid:
            signature["sig"] = signature["sig"][:-2] + (
                "00" if signature["sig"][-2:] != "00" else "11"
            )
    repository.files["3.root.json"] = json.dumps(document).encode()
    assert device.refresh().code == 1
    assert device.versions()["root"] == 2


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


def test_the_expired_copy_of_yesterday_does_not_stop_todays_refresh(
    device: Device, repository: Repository, shifted: Callable[[float], dict[str, str]]
) -> None:
    repository.timestamp.expires = in_days(7)
    repository.publish("timestamp")
    assert device.refresh() == (0, "")
    repository.timestamp.expires = in_days(21)
    repository.publish(*ALL)
    device.environment = shifted(18)
    assert device.refresh() == (0, "")
    assert device.versions()["timestamp"] == 3


def test_a_later_clock_sees_what_has_expired(
    device: Device, repository: Repository, shifted: Callable[[float], dict[str, str]]
) -> None:
    repository.root.expires = in_days(7)
    repository.publish("root")
    assert device.refresh() == (0, "")
    device.environment = shifted(8)
    ended = device.refresh()
    assert ended.code == 1
    assert "freeze" in ended.words


def test_neither_a_wrong_clock_nor_a_run_under_it_raises_the_floor(
    device: Device, repository: Repository, shifted: Callable[[float], dict[str, str]]
) -> None:
    assert device.refresh() == (0, "")
    device.environment = shifted(365 * 20)
    assert device.refresh().code == 1
    device.environment = shifted(0)
    assert device.refresh() == (0, "")


def test_a_clock_of_1970_does_not_bring_back_what_has_expired_before_the_last_issue(
    device: Device, repository: Repository, shifted: Callable[[float], dict[str, str]]
) -> None:
    issued(0)(repository, device)
    assert device.refresh() == (0, "")
    expired("snapshot")(repository, device)
    device.environment = shifted(-timedelta(days=56 * 365).total_seconds() / 86400)
    ended = device.refresh()
    assert ended.code == 1
    assert "freeze" in ended.words
