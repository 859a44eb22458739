"""Attacks on a repository, and on what a device keeps of it: what the client does, what is left.

Each case is a sentence and the steps that make it true. The device has seen version 1 of everything
when they begin. A step bends the repository (or the device's disk), then the client refreshes; what
counts is its exit code, what it says, and which versions are on the disk afterwards.
"""

from __future__ import annotations

import json
from typing import NamedTuple

import pytest
from tests.conformance._bends import (
    Bend,
    altered,
    bad_signature_beside_good,
    both,
    both_copies_of_floors_lost,
    expired,
    fast_forwarded,
    gone,
    hashed,
    issued,
    issued_as,
    left_out,
    listed_but_not_there,
    mirror_of_yesterday,
    older_version,
    one_copy_of_floors_lost,
    one_key_under_two_names,
    one_signature_missing,
    publish,
    recovered,
    roots_lost,
    same_version_other_content,
    served,
    snapshot_as_timestamp,
    snapshot_that_ends_in,
    threshold_of_three,
    too_few_keys,
    twice_signed,
    unknown_fields,
    unsigned,
    wrong_hash_of,
    zeroed,
)
from tests.conformance._device import Device
from tests.simulators.tuf_repository import ALL, Repository

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
