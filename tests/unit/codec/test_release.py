"""Releases in the custom field of a TUF target: one meaning, and nothing odd gets by."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette.codec import release as codec
from vedette.errors import ParseError
from vedette.model.release import (
    FOLDERS,
    MAX_NUMBER,
    ROLES,
    Need,
    PartKind,
    Release,
    ReleaseKind,
    Rollout,
    TargetFile,
    Urgency,
    Window,
)

A, B, C, D = ("0a" * 32, "0b" * 32, "0c" * 32, "0d" * 32)

FIRMWARE = Release(
    kind=ReleaseKind.FIRMWARE,
    name="cam",
    version="2.1.0-rc.1+build~5",
    counter=7,
    issued_s=1_800_000_000,
    target=TargetFile("firmware/cam/cam-7.img", 1 << 33, A),
    hardware_ids=("cam-2", "cam-3"),
    needs=(Need(ReleaseKind.RULES, "main", 3),),
    agent="0.2",
    summary="Closes a hole in the web server",
    urgency=Urgency.URGENT,
    defer_s=86_400,
    rollout=Rollout(1_800_000_000, 500, 3_600),
    windows=(Window((0, 4), 180, 120), Window((6,), 1439, 1440)),
    closes_window=True,
    late_rollback_s=86_400,
    parts={
        PartKind.BLOCK_INDEX: TargetFile("firmware/cam/cam-7.index", 64, B),
        PartKind.FILE_MANIFEST: TargetFile("firmware/cam/cam-7.files", 99, C),
    },
    statements=(TargetFile("firmware/cam/cam-7.slsa.json", 900, D),),
)
RULES = Release(
    ReleaseKind.RULES, "main", "9", 9, 1_800_000_000, TargetFile("rules/main/main-9.bundle", 5, A)
)


def read(custom: Any, target: TargetFile = FIRMWARE.target) -> Release:
    return codec.decode(*target, custom)


def as_json(release: Release) -> Any:
    """As TUF's own JSON reader gives it."""
    return json.loads(json.dumps(codec.encode(release)))


@pytest.mark.parametrize("release", [FIRMWARE, RULES], ids=lambda one: one.kind)
def test_what_was_written_is_read(release: Release) -> None:
    assert read(as_json(release), release.target) == release


def test_a_target_of_no_release_says_so() -> None:
    assert codec.is_release(codec.encode(RULES))
    assert not codec.is_release(None)
    assert not codec.is_release({"other": 1})
    assert not codec.is_release([codec.FIELD])
    with pytest.raises(ParseError, match="no release"):
        read({"other": 1})


def test_names_beside_ours_are_others() -> None:
    assert read({**as_json(FIRMWARE), "x-other": [1]}) == FIRMWARE


def test_every_kind_has_a_folder_of_its_own_and_no_key_signs_two_kinds_of_content() -> None:
    assert set(ROLES) == set(FOLDERS) == set(ReleaseKind)
    assert len(set(FOLDERS.values())) == len(ReleaseKind)
    delegated = [role for role in ROLES.values() if role != "targets"]
    assert len(set(delegated)) == len(delegated) == len(ReleaseKind) - 2


CHANGES: dict[str, Callable[[Any], object]] = {
    "a name more": lambda one: one.update(surprise=1),
    "a name less": lambda one: one.pop("agent"),
    "another format": lambda one: one.update(format=2),
    "a format that is True": lambda one: one.update(format=True),
    "an unknown kind": lambda one: one.update(kind="bootloader"),
    "a kind that is a list": lambda one: one.update(kind=["firmware"]),
    "the kind of another folder": lambda one: one.update(kind="model"),
    "another name than the path has": lambda one: one.update(name="cam2"),
    "a name with a line break": lambda one: one.update(name="cam\n"),
    "a name that climbs": lambda one: one.update(name=".."),
    "a version with a slash": lambda one: one.update(version="1/../../etc"),
    "a version with a space": lambda one: one.update(version="1 2"),
    "an empty version": lambda one: one.update(version=""),
    "a version of 65 characters": lambda one: one.update(version="1" * 65),
    "a version in other digits": lambda one: one.update(version="\u0661"),
    "a version that is a number": lambda one: one.update(version=2.1),
    "a counter of 0": lambda one: one.update(counter=0),
    "a counter below 0": lambda one: one.update(counter=-(2**31)),
    "a counter that is True": lambda one: one.update(counter=True),
    "a counter that is 7.0": lambda one: one.update(counter=7.0),
    "a counter that is text": lambda one: one.update(counter="7"),
    "a counter above what JSON holds": lambda one: one.update(counter=MAX_NUMBER + 1),
    "issued at no time": lambda one: one.update(issued=0),
    "hardware in disorder": lambda one: one.update(hardware=["b", "a"]),
    "hardware twice": lambda one: one.update(hardware=["a", "a"]),
    "hardware as one text": lambda one: one.update(hardware="cam-2"),
    "hardware of no characters": lambda one: one.update(hardware=[""]),
    "firmware for all hardware": lambda one: one.update(hardware=[]),
    "65 kinds of hardware": lambda one: one.update(hardware=[f"h{i:03}" for i in range(65)]),
    "a need of itself": lambda one: one["needs"][0].update(kind="firmware", name="cam"),
    "a need twice": lambda one: one["needs"].append(dict(one["needs"][0], counter=4)),
    "a need of counter 0": lambda one: one["needs"][0].update(counter=0),
    "an agent of words": lambda one: one.update(agent="latest"),
    "a summary of two lines": lambda one: one.update(summary="a\nb"),
    "a summary that turns the text": lambda one: one.update(summary="a\u202eb"),
    "an endless summary": lambda one: one.update(summary="a" * 257),
    "an unknown urgency": lambda one: one.update(urgency="now"),
    "urgent without a limit": lambda one: one.update(defer=0),
    "a fraction above the whole": lambda one: one["rollout"].update(fraction=10_001),
    "a fraction below nothing": lambda one: one["rollout"].update(fraction=-1),
    "a fraction of 0.5": lambda one: one["rollout"].update(fraction=0.5),
    "a rollout of years": lambda one: one["rollout"].update({"full-after": 366 * 86_400}),
    "no rollout": lambda one: one.update(rollout=None),
    "a window without days": lambda one: one["windows"][0].update(days=[]),
    "a window on the eighth day": lambda one: one["windows"][0].update(days=[7]),
    "a window with days in disorder": lambda one: one["windows"][0].update(days=[4, 0]),
    "a window that opens at 24:00": lambda one: one["windows"][0].update(opens=1440),
    "a window of no length": lambda one: one["windows"][0].update(lasts=0),
    "a window of more than a day": lambda one: one["windows"][0].update(lasts=1441),
    "17 windows": lambda one: one.update(windows=[one["windows"][0]] * 17),
    "closing said by a number": lambda one: one.update({"closes-window": 1}),
    "a late window of years": lambda one: one.update({"late-rollback": 91 * 86_400}),
    "an unknown part": lambda one: one["parts"].update(loader=one["parts"]["block-index"]),
    "a part of another release": lambda one: one["parts"]["block-index"].update(
        path="firmware/router/x"
    ),
    "a part of another role": lambda one: one["parts"]["block-index"].update(path="models/cam/x"),
    "a part that is the target": lambda one: one["parts"]["block-index"].update(
        path=FIRMWARE.target.path
    ),
    "a part of no length": lambda one: one["parts"]["block-index"].update(length=0),
    "a part with a short digest": lambda one: one["parts"]["block-index"].update(sha256="0a"),
    "a digest in capitals": lambda one: one["parts"]["block-index"].update(sha256="0A" * 32),
    "a statement twice": lambda one: one["statements"].append(one["statements"][0]),
    "17 statements": lambda one: one.update(statements=one["statements"] * 17),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_what_is_odd_is_refused(change: Callable[[Any], object]) -> None:
    custom = as_json(FIRMWARE)
    change(custom[codec.FIELD])
    with pytest.raises(ParseError, match="expected"):
        read(custom)


@pytest.mark.parametrize(
    "path",
    [
        "", "firmware", "firmware/cam", "firmware/cam/", "/firmware/cam/x", "firmware//x",
        "firmware/cam/../x", "firmware/cam/..", "firmware/cam/a/b", "firmware/cam/.hidden",
        "firmware/cam/a b", "firmware/cam/a\0", "firmware/cam/a\n", "firmware/cam/%2e%2e",
        "firmware\\cam\\x", "Firmware/cam/x", "root/cam/x", "file:/cam/x", "firmware/Cam/x",
        "firmware/cam/" + "a" * 129, "firmware/cam/\u0430", "targets/cam/x", "firmware/cam/?",
    ],
)  # fmt: skip
def test_a_path_is_plain_and_in_the_folder_of_its_kind(path: str) -> None:
    with pytest.raises(ParseError, match="expected"):
        read(as_json(FIRMWARE), FIRMWARE.target._replace(path=path))


@pytest.mark.parametrize("length", [0, -1, True, 1.5, "7", None, 2**53])
def test_a_length_is_a_whole_number(length: Any) -> None:
    with pytest.raises(ParseError, match="length"):
        codec.decode(FIRMWARE.target.path, length, A, as_json(FIRMWARE))


@pytest.mark.parametrize("length", [2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**53 - 1])
def test_a_length_may_be_large(length: int) -> None:
    assert codec.decode(FIRMWARE.target.path, length, A, as_json(FIRMWARE)).target.length == length


@pytest.mark.parametrize(
    "more",
    [{"closes_window": True}, {"late_rollback_s": 1}, {"parts": dict(FIRMWARE.parts)}],
    ids=str,
)
def test_what_belongs_to_firmware_is_refused_elsewhere(more: dict[str, Any]) -> None:
    with pytest.raises(ParseError, match="expected"):
        codec.encode(replace(RULES, **more))


def test_rules_may_bring_samples_and_firmware_none() -> None:
    samples = {PartKind.SAMPLES: TargetFile("rules/main/main-9.samples", 5, B)}
    with_samples = replace(RULES, parts=samples)
    assert codec.decode(*RULES.target, codec.encode(with_samples)) == with_samples
    of_firmware = {PartKind.SAMPLES: TargetFile("firmware/cam/cam-7.samples", 5, B)}
    with pytest.raises(ParseError, match="other parts"):
        codec.encode(replace(FIRMWARE, parts=of_firmware))


def test_a_writer_cannot_write_what_no_reader_reads() -> None:
    with pytest.raises(ParseError, match="expected the name"):
        codec.encode(replace(RULES, name="No Name"))


def test_the_path_of_a_part_says_whose_it_is() -> None:
    assert codec.read_path("models/person/" + A) == (ReleaseKind.MODEL, "person")
    assert codec.read_path("trust/root/trust-1.json") == (ReleaseKind.TRUST, "root")


_SCALARS = (
    st.none() | st.booleans() | st.integers(-(2**65), 2**65) | st.floats() | st.text(max_size=5)
)
_ANY = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


@given(_ANY)
def test_any_custom_field_gives_a_release_or_an_error(value: Any) -> None:
    for custom in (value, {codec.FIELD: value}):
        with pytest.raises(ParseError):
            read(custom)


@given(st.sampled_from(sorted(as_json(FIRMWARE)[codec.FIELD])), _ANY)
def test_any_field_gives_a_release_or_an_error(name: str, value: Any) -> None:
    custom = as_json(FIRMWARE)
    custom[codec.FIELD][name] = value
    try:
        found = read(custom)
    except ParseError:
        return
    assert codec.encode(found) == custom
