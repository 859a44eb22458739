"""What an attacker, an operator or a power cut does between two refreshes."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TypeAlias, cast

from securesystemslib.signer import CryptoSigner, SSlibKey
from tests.conformance._device import Device
from tests.simulators.tuf_repository import ALL, Repository, in_days
from tuf.api.metadata import MetaFile

Bend: TypeAlias = Callable[[Repository, Device], object]


def publish(*roles: str) -> Bend:
    return lambda repository, _: repository.publish(*roles)


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
