"""`vedette release`: signed is what the flags say, and refused what no device would take."""

from __future__ import annotations

import hashlib
import io
import json
import os
import random
import tarfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.simulators.release_office import Office

from vedette.cli._file_records import write_manifest
from vedette.cli._key_store import KeyStore
from vedette.cli._passwords import Passwords
from vedette.cli._release_firmware import IndexedReader
from vedette.cli._release_terms import read_need, read_time, read_window
from vedette.cli._repository import Repository
from vedette.cli._target_staging import releases, target_file
from vedette.codec import dsse, file_manifest, model_manifest
from vedette.errors import ParseError, RequestError
from vedette.model.baseline import FileRecord
from vedette.model.model_manifest import ModelManifest
from vedette.model.release import (
    Need,
    PartKind,
    Release,
    ReleaseKind,
    Rollout,
    Urgency,
    Window,
)

SIGMA = """\
title: T
id: 11111111-2222-4333-8444-555555555555
status: stable
author: A
level: high
logsource:
  category: process_creation
  product: linux
detection:
  s:
    Image|endswith: /evil
  condition: s
"""


@pytest.fixture
def office(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Office:
    office = Office(tmp_path, monkeypatch)
    office.open()
    return office


def opened(office: Office) -> Repository:
    return Repository(office.repository, KeyStore(office.keys, Passwords(None)))


def newest(office: Office, kind: ReleaseKind) -> Release:
    return [one for one in releases(opened(office)) if one.kind is kind][-1]


def content(office: Office, release: Release, path: str, sha256: str) -> bytes:
    return target_file(opened(office), path, sha256).read_bytes()


def image_file(office: Office, size: int = 10_000) -> Path:
    path = office.folder / "cam.img"
    path.write_bytes(random.Random(1).randbytes(size))
    return path


def firmware(office: Office, *words: object, version: str = "1") -> None:
    office.run("release", "firmware", image_file(office), "--name", "cam", "--version", version,
               "--hardware", "cam-2", *words)  # fmt: skip


def rules_file(office: Office, key: str = "rules", counter: int = 7) -> Path:
    source, bundle = office.folder / "r.yml", office.folder / "rules.bundle"
    source.write_text(SIGMA)
    office.run("rules", "build", source, "-o", bundle, "--key", office.keys / f"{key}.key",
               "--counter", counter)  # fmt: skip
    return bundle


class TestFirmware:
    """Images, their index and their files."""

    def test_the_release_says_all_that_the_flags_said(self, office: Office) -> None:
        office.at(1_800_000_000)
        firmware(
            office, "--hardware", "cam-1", "--needs", "rules/main:3", "--agent", "0.2",
            "--summary", "closes a hole", "--urgency", "urgent", "--defer-hours", "12",
            "--percent", "2.5", "--full-after-hours", "48", "--starts", "2027-01-16T02:00+01:00",
            "--window", "mon,fri-sun 23:00-01:30", "--window", "wed 00:00-24:00",
            "--closes-window", "--late-rollback-hours", "36", version="2.1.0",
        )  # fmt: skip
        found = newest(office, ReleaseKind.FIRMWARE)
        assert (found.name, found.version, found.counter) == ("cam", "2.1.0", 1)
        assert (found.issued_s, found.agent, found.summary) == (
            1_800_000_000, "0.2", "closes a hole",
        )  # fmt: skip
        assert found.hardware_ids == ("cam-1", "cam-2")
        assert found.needs == (Need(ReleaseKind.RULES, "main", 3),)
        assert (found.urgency, found.defer_s) == (Urgency.URGENT, 12 * 3600)
        starts_s = int(datetime(2027, 1, 16, 1, tzinfo=UTC).timestamp())
        assert found.rollout == Rollout(starts_s, 250, 48 * 3600)
        assert found.windows == (Window((0, 4, 5, 6), 1380, 150), Window((2,), 0, 1440))
        assert (found.closes_window, found.late_rollback_s) == (True, 36 * 3600)

    @pytest.mark.parametrize("size", [1, 4095, 4096, 4097, 3 * (1 << 20) + 17])
    def test_the_index_has_a_digest_for_each_block(self, office: Office, size: int) -> None:
        image = image_file(office, size).read_bytes()
        office.run("release", "firmware", office.folder / "cam.img", "--name", "cam", "--version",
                   "1", "--hardware", "cam-2")  # fmt: skip
        found = newest(office, ReleaseKind.FIRMWARE)
        assert found.target.sha256 == hashlib.sha256(image).hexdigest()
        assert content(office, found, found.target.path, found.target.sha256) == image
        part = found.parts[PartKind.BLOCK_INDEX]
        blocks = [image[start : start + 4096] for start in range(0, size, 4096)]
        wanted = b"".join(hashlib.sha256(block).digest() for block in blocks)
        assert content(office, found, part.path, part.sha256) == wanted

    def test_a_client_gets_image_and_index_by_their_digests(self, office: Office) -> None:
        firmware(office)
        office.run("repo", "publish")
        found = newest(office, ReleaseKind.FIRMWARE)
        client = office.client()
        for one in (found.target, *found.parts.values()):
            info = client.get_targetinfo(one.path)
            assert info is not None
            data = Path(client.download_target(info)).read_bytes()
            assert (len(data), hashlib.sha256(data).hexdigest()) == (one.length, one.sha256)

    def test_the_counter_grows_by_itself_and_never_comes_again(self, office: Office) -> None:
        firmware(office)
        firmware(office, version="2")
        firmware(office, "--counter", 9, version="3")
        firmware(office, version="4")
        assert newest(office, ReleaseKind.FIRMWARE).counter == 10
        for counter in (10, 9, 5):
            with pytest.raises(RequestError, match="counter above 10"):
                firmware(office, "--counter", counter)

    def test_only_the_newest_stay_listed_with_their_parts(self, office: Office) -> None:
        for number in range(1, 6):
            firmware(office, "--keep", 2, version=str(number))
        targets = opened(office).draft("firmware").signed.targets
        assert sorted(targets) == [
            f"firmware/cam/cam-{number}.{suffix}"
            for number in (4, 5)
            for suffix in ("img", "index")
        ]

    def test_without_hardware_there_is_no_firmware(self, office: Office) -> None:
        with pytest.raises(RequestError, match="--hardware"):
            office.run("release", "firmware", image_file(office), "--name", "cam", "--version", "1")

    def test_an_empty_image_is_none(self, office: Office) -> None:
        with pytest.raises(RequestError, match="at least one byte"):
            office.run("release", "firmware", os.devnull, "--name", "cam", "--version", "1",
                       "--hardware", "cam-2")  # fmt: skip
        assert not list((office.public / "targets").rglob(".new-*"))

    def test_the_files_of_a_folder_and_of_its_tar_are_the_same(self, office: Office) -> None:
        root = make_root(office.folder / "root")
        archive = office.folder / "root.tar"
        with tarfile.open(archive, "w") as stream:
            stream.add(root, ".")
        found = [records_of(source) for source in (root, archive)]
        sizes_of_folders = [
            [one._replace(size_bytes=0) if one.kind == "dir" else one for one in records]
            for records in found
        ]
        assert sizes_of_folders[0] == sizes_of_folders[1]
        assert [one.path for one in found[0]] == [
            "/", "/bin", "/bin/busybox", "/bin/sh", "/bin/twin", "/bin.old", "/etc", "/etc/passwd",
        ]  # fmt: skip

    def test_the_files_are_a_signed_part(self, office: Office) -> None:
        firmware(office, "--files", make_root(office.folder / "root"))
        found = newest(office, ReleaseKind.FIRMWARE)
        part = found.parts[PartKind.FILE_MANIFEST]
        data = content(office, found, part.path, part.sha256)
        records = list(file_manifest.decode(io.BytesIO(data)))
        by_path = {one.path: one for one in records}
        assert by_path["/etc/passwd"].digest == hashlib.sha256(b"root:x:0:0").hexdigest()
        assert by_path["/bin/sh"].digest == hashlib.sha256(b"busybox").hexdigest()


def make_root(root: Path) -> Path:
    (root / "bin").mkdir(parents=True)
    (root / "etc").mkdir()
    (root / "bin" / "busybox").write_bytes(b"ELF" * 100_000)
    (root / "bin" / "busybox").chmod(0o4755)
    (root / "bin" / "sh").symlink_to("busybox")
    (root / "bin" / "twin").hardlink_to(root / "bin" / "busybox")
    (root / "bin.old").write_bytes(b"x")
    (root / "etc" / "passwd").write_bytes(b"root:x:0:0")
    return root


def records_of(source: Path) -> list[FileRecord]:
    written = io.BytesIO()
    write_manifest(source, written)
    written.seek(0)
    return list(file_manifest.decode(written))


def tar_of(*members: tuple[str, dict[str, Any]]) -> bytes:
    found = io.BytesIO()
    with tarfile.open(fileobj=found, mode="w") as archive:
        for name, more in members:
            info = tarfile.TarInfo(name)
            for key, value in more.items():
                setattr(info, key, value)
            archive.addfile(info, io.BytesIO(b"\0" * info.size))
    return found.getvalue()


TARS = {
    "a name that climbs": (tar_of(("../etc/passwd", {})), r"expected no \.\."),
    "a link to what is not there": (
        tar_of(("a", {"type": tarfile.LNKTYPE, "linkname": "b"})), "not there",
    ),
    "a type we do not know": (tar_of(("a", {"type": b"Z", "size": 0})), "expected a file"),
    "a name that is not UTF-8": (tar_of(("a\udcff", {})), "UTF-8"),
    "one that was cut": (tar_of(("a", {"size": 5000}))[:2000], "folder or a tar"),
    "no tar at all": (b"x" * 1000, "folder or a tar"),
    "nothing": (b"", "folder or a tar"),
}  # fmt: skip


@pytest.mark.parametrize(("data", "message"), TARS.values(), ids=TARS.keys())
def test_a_tar_that_cannot_be_signed(tmp_path: Path, data: bytes, message: str) -> None:
    path = tmp_path / "root.tar"
    path.write_bytes(data)
    with pytest.raises(RequestError, match=message):
        records_of(path)


def test_devices_and_capabilities_of_a_tar_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "root.tar"
    capability = b"\x01\x00\x00\x02\x00\x20\x00\x00"
    ping = {"mode": 0o755, "uid": 3, "pax_headers": {
        "SCHILY.xattr.security.capability": capability.decode("utf-8", "surrogateescape")
    }}  # fmt: skip
    null = {"type": tarfile.CHRTYPE, "mode": 0o666, "devmajor": 1, "devminor": 3}
    path.write_bytes(tar_of(("./ping", ping), ("./null", null)))
    found = records_of(path)
    assert [(one.path, one.kind, oct(one.mode)) for one in found] == [
        ("/", "dir", "0o40755"), ("/null", "other", "0o20666"), ("/ping", "file", "0o100755"),
    ]  # fmt: skip
    assert (found[2].uid, found[2].capabilities) == (3, capability.hex())


@given(st.binary(max_size=20_000), st.lists(st.integers(1, 9000), min_size=1, max_size=5))
def test_an_index_does_not_depend_on_how_an_image_is_read(data: bytes, sizes: list[int]) -> None:
    reader = IndexedReader(io.BytesIO(data))
    turn = 0
    while reader.read(sizes[turn % len(sizes)]):
        turn += 1
    blocks = [data[start : start + 4096] for start in range(0, len(data), 4096)]
    assert reader.index() == b"".join(hashlib.sha256(block).digest() for block in blocks)


class TestContent:
    """Rules and the like: signed already, and verified before they are released."""

    def test_a_bundle_keeps_its_counter_and_its_bytes(self, office: Office) -> None:
        bundle = rules_file(office)
        office.run("release", "rules", bundle)
        found = newest(office, ReleaseKind.RULES)
        assert (found.name, found.version, found.counter) == ("main", "7", 7)
        assert content(office, found, *found.target[::2]) == bundle.read_bytes()

    def test_another_counter_than_the_bundles_is_refused(self, office: Office) -> None:
        with pytest.raises(RequestError, match="expected --counter 7"):
            office.run("release", "rules", rules_file(office), "--counter", 8)

    def test_what_another_key_signed_is_refused(self, office: Office) -> None:
        with pytest.raises(RequestError, match="no device would take this"):
            office.run("release", "rules", rules_file(office, key="models"))

    def test_content_of_another_kind_is_refused(self, office: Office) -> None:
        with pytest.raises(RequestError, match="for another purpose"):
            office.run("release", "playbooks", rules_file(office))

    def test_what_is_no_envelope_is_refused(self, office: Office) -> None:
        with pytest.raises(RequestError, match="no device would take this"):
            office.run("release", "rules", image_file(office))

    def test_an_old_bundle_does_not_come_again(self, office: Office) -> None:
        office.run("release", "rules", rules_file(office, counter=7))
        with pytest.raises(RequestError, match="counter above 7"):
            office.run("release", "rules", rules_file(office, counter=6))

    def test_samples_of_another_bundle_are_refused(self, office: Office) -> None:
        samples = office.folder / "samples"
        samples.write_text(json.dumps({"bundle": "0a" * 32, "format": 1, "samples": []}))
        with pytest.raises(RequestError, match="samples"):
            office.run("release", "rules", rules_file(office), "--samples", samples)


class TestModel:
    """Directories, golden runs and the runner."""

    @pytest.fixture
    def model(self, office: Office) -> Path:
        folder = office.folder / "person"
        (folder / "config").mkdir(parents=True)
        (folder / "person.onnx").write_bytes(b"weights")
        (folder / "config" / "labels.txt").write_text("nobody\nsomebody\n")
        golden = office.folder / "golden"
        golden.mkdir()
        (golden / "empty.input.json").write_text("[0.0]")
        (golden / "empty.expected.json").write_text('{"nobody": 1.0}')
        return folder

    def release(self, office: Office, model: Path, *words: object) -> ModelManifest:
        office.run("release", "model", model, "--name", "person", "--version", "3", "--entry",
                   "person.onnx", "--runner", "onnx", *words)  # fmt: skip
        found = newest(office, ReleaseKind.MODEL)
        data = content(office, found, found.target.path, found.target.sha256)
        return model_manifest.decode(data)

    def test_the_manifest_names_every_file_and_a_client_gets_them(
        self, office: Office, model: Path
    ) -> None:
        found = self.release(
            office, model, "--golden", office.folder / "golden", "--relative", "0.01",
            "--parameter", "threads=2", "--time-ms", 1000, "--memory-mb", 64, "--output-kb", 8,
        )  # fmt: skip
        assert [one.path for one in found.files] == ["config/labels.txt", "person.onnx"]
        assert found.parameters == {"threads": "2"}
        assert found.limits == (1000, 64 << 20, 8 << 10)
        assert [(one.name, one.relative) for one in found.golden] == [("empty", 0.01)]
        office.run("repo", "publish")
        client = office.client()
        for blob in found.blobs.values():
            info = client.get_targetinfo(model_manifest.blob_path("person", blob))
            assert info is not None
            assert info.length == blob.length
            client.download_target(info)

    def test_its_manifest_can_be_had_before_so_that_people_approve_it(
        self, office: Office, model: Path
    ) -> None:
        manifest, said = office.folder / "person.model", office.folder / "approval.json"
        words = ("release", "model", model, "--name", "person", "--version", "3", "--entry",
                 "person.onnx", "--runner", "onnx")  # fmt: skip
        office.run(*words, "--manifest-only", manifest)
        assert not releases_of_models(office)
        assert not (office.public / "targets" / "models").exists()
        office.run("attest", "approve", manifest, "--key", office.keys / "root.key", "-o", said)
        office.run(*words, "--statement", said)
        assert len(newest(office, ReleaseKind.MODEL).statements) == 1

    def test_its_signature_is_beside_and_not_in_it(self, office: Office, model: Path) -> None:
        assert self.release(office, model).signature is None
        (model / "model.sig").write_text("{}")
        found = self.release(office, model)
        assert [one.path for one in found.files] == ["config/labels.txt", "person.onnx"]
        assert found.signature is not None
        assert found.signature.length == 2

    def test_what_two_versions_share_is_there_once(self, office: Office, model: Path) -> None:
        self.release(office, model)
        (model / "config" / "labels.txt").write_text("cat\ndog\n")
        self.release(office, model)
        files = list((office.public / "targets" / "models" / "person").iterdir())
        assert len(files) == 2 + 3  # two manifests; weights, and two labels

    def test_files_of_a_version_that_left_the_list_leave_it_too(
        self, office: Office, model: Path
    ) -> None:
        first = self.release(office, model, "--keep", 1)
        (model / "config" / "labels.txt").write_text("cat\ndog\n")
        second = self.release(office, model, "--keep", 1)
        listed = set(opened(office).draft("models").signed.targets)
        blobs = {model_manifest.blob_path("person", one) for one in second.blobs.values()}
        assert listed == blobs | {"models/person/person-2.model"}
        assert set(first.blobs) - set(second.blobs)

    @pytest.mark.parametrize("make", ["link", "fifo"])
    def test_only_files_are_released(self, office: Office, model: Path, make: str) -> None:
        if make == "link":
            (model / "x").symlink_to("/etc/passwd")
        else:
            os.mkfifo(model / "x")
        with pytest.raises(RequestError, match="expected files and folders alone"):
            self.release(office, model)

    def test_an_empty_file_or_directory_is_refused(self, office: Office, model: Path) -> None:
        (model / "x").touch()
        with pytest.raises((RequestError, ParseError)):
            self.release(office, model)
        empty = office.folder / "empty"
        empty.mkdir()
        with pytest.raises(RequestError, match="expected 1 to"):
            self.release(office, empty)

    WRONG: ClassVar = {
        "an entry that is not there": ("--entry", "other.onnx"),
        "a runner that is a path": ("--runner", "/bin/sh"),
        "a parameter that is a flag": ("--parameter", "threads=--exec"),
        "a parameter without a value": ("--parameter", "threads"),
        "a parameter that is a path": ("--parameter", "threads=/etc/shadow"),
        "a tolerance below 0": ("--relative", "-1"),
        "a tolerance that is none": ("--absolute", "nan"),
        "no time": ("--time-ms", "0"),
        "no memory": ("--memory-mb", "0"),
    }

    @pytest.mark.parametrize("words", WRONG.values(), ids=WRONG.keys())
    def test_what_no_device_would_take_is_refused(
        self, office: Office, model: Path, words: tuple[str, ...]
    ) -> None:
        with pytest.raises(RequestError):
            self.release(office, model, "--golden", office.folder / "golden", *words)
        assert not releases_of_models(office)

    @pytest.mark.parametrize(
        ("name", "text"),
        [("other.expected.json", "1"), ("empty.expected.json", "{"), ("empty.input.json", "NaN")],
    )
    def test_golden_data_is_whole(self, office: Office, model: Path, name: str, text: str) -> None:
        (office.folder / "golden" / name).write_text(text)
        with pytest.raises(RequestError, match="expected"):
            self.release(office, model, "--golden", office.folder / "golden")


def releases_of_models(office: Office) -> list[Release]:
    return [one for one in releases(opened(office)) if one.kind is ReleaseKind.MODEL]


class TestChanges:
    """Who may have a release changes; its bytes do not."""

    def test_a_rollout_goes_on_and_stops(self, office: Office) -> None:
        firmware(office, "--percent", 1, "--window", "daily 02:00-03:00")
        before = newest(office, ReleaseKind.FIRMWARE)
        office.run("release", "rollout", "firmware", "cam", "--percent", 50)
        after = newest(office, ReleaseKind.FIRMWARE)
        assert (before.rollout.fraction, after.rollout.fraction) == (100, 5000)
        assert (after.target, after.windows) == (before.target, before.windows)
        office.run("release", "rollout", "firmware", "cam", "--percent", 0)
        assert newest(office, ReleaseKind.FIRMWARE).rollout.fraction == 0

    def test_nothing_changed_is_said_so(self, office: Office) -> None:
        firmware(office)
        with pytest.raises(RequestError, match="expected a flag"):
            office.run("release", "rollout", "firmware", "cam")

    def test_an_older_one_is_named_by_its_counter(self, office: Office) -> None:
        firmware(office)
        firmware(office, version="2")
        office.run("release", "rollout", "firmware", "cam", "--counter", 1, "--percent", 7)
        found = [one for one in releases(opened(office)) if one.kind is ReleaseKind.FIRMWARE]
        assert [one.rollout.fraction for one in found] == [700, 10_000]

    def test_a_withdrawn_release_is_offered_no_more(self, office: Office) -> None:
        firmware(office)
        office.run("repo", "publish")
        office.run("release", "withdraw", "firmware", "cam")
        office.run("repo", "publish")
        client = office.client()
        assert client.get_targetinfo("firmware/cam/cam-1.img") is None
        assert client.get_targetinfo("firmware/cam/cam-1.index") is None

    def test_the_counter_of_a_withdrawn_release_never_comes_again(self, office: Office) -> None:
        firmware(office)
        firmware(office, version="2")
        for _ in range(2):
            office.run("release", "withdraw", "firmware", "cam")
        with pytest.raises(RequestError, match="counter above 2"):
            firmware(office, "--counter", 2)
        firmware(office, version="3")
        assert newest(office, ReleaseKind.FIRMWARE).counter == 3

    @pytest.mark.parametrize("words", [("cam",), ("cam", "--counter", "9")])
    def test_what_is_not_there_is_said_so(self, office: Office, words: tuple[str, ...]) -> None:
        if len(words) > 1:
            firmware(office)
        with pytest.raises(RequestError, match="no such release"):
            office.run("release", "withdraw", "firmware", *words)


WRONG_TERMS: dict[str, tuple[str, ...]] = {
    "a name with a slash": ("--name", "a/b"),
    "a version with a space": ("--version", "1 2"),
    "a counter of 0": ("--counter", "-1"),
    "a summary of two lines": ("--summary", "a\nb"),
    "hardware with a blank": ("--hardware", "a b"),
    "a need of nothing": ("--needs", "rules"),
    "a need of an unknown kind": ("--needs", "loader/x:1"),
    "a need of itself": ("--needs", "firmware/cam:1"),
    "an agent of words": ("--agent", "new"),
    "more than all": ("--percent", "100.1"),
    "less than none": ("--percent", "-1"),
    "a rollout of years": ("--full-after-hours", "9999"),
    "a start without an offset": ("--starts", "2026-12-01T02:00"),
    "a start in words": ("--starts", "tomorrow"),
    "a window without an end": ("--window", "daily 02:00"),
    "a window on no day": ("--window", "someday 02:00-03:00"),
    "a window at 25:00": ("--window", "daily 25:00-26:00"),
    "a window at 23:60": ("--window", "daily 23:60-23:61"),
    "a window that opens at 24:00": ("--window", "daily 24:00-01:00"),
    "urgent without a limit": ("--urgency", "urgent"),
    "a limit of years": ("--defer-hours", "99999"),
    "a late window of years": ("--late-rollback-hours", "9999"),
    "none kept": ("--keep", "0"),
}


@pytest.mark.parametrize("words", WRONG_TERMS.values(), ids=WRONG_TERMS.keys())
def test_terms_that_make_no_sense_stage_nothing(office: Office, words: tuple[str, ...]) -> None:
    with pytest.raises((RequestError, ParseError), match="expected"):
        firmware(office, *words)
    assert not (office.repository / "staged" / "firmware.json").exists()


@pytest.mark.parametrize(
    ("text", "window"),
    [
        ("daily 00:00-24:00", Window((0, 1, 2, 3, 4, 5, 6), 0, 1440)),
        ("MON 02:00-04:30", Window((0,), 120, 150)),
        ("sun-tue 23:30-00:15", Window((0, 1, 6), 1410, 45)),
        ("fri 12:00-12:00", Window((4,), 720, 1440)),
    ],
)
def test_windows_are_read(text: str, window: Window) -> None:
    assert read_window(text) == window


@given(st.text(max_size=30))
def test_any_text_is_read_or_refused(text: str) -> None:
    for read in (read_window, read_need, read_time):
        try:
            read(text)
        except RequestError as error:
            assert "expected" in str(error)  # noqa: PT017 - what is read is as good


class TestStatementsAndPolicy:
    """What is said about a release goes with it, and a policy can be tried on it."""

    @pytest.fixture
    def people(self, office: Office) -> Office:
        office.run("keys", "create", "alice", "bob", "ci", "--no-password")
        policy = office.folder / "policy.toml"
        policy.write_text(
            'name = "acme"\n[people]\nalice = "keys/alice.pub"\nbob = "keys/bob.pub"\n'
            '[machines]\nci = "keys/ci.pub"\n'
            '[[rule]]\nnumber = 1\nkinds = ["firmware"]\ndemand = "build"\nsigners = ["ci"]\n'
            'builders = ["https://ci.example"]\n'
            '[[rule]]\nnumber = 2\nkinds = ["firmware"]\ndemand = "approval"\nleast = 2\n'
        )
        return office

    def say(self, office: Office, who: str, *words: object) -> Path:
        path = office.folder / f"{who}-{words[0]}.json"
        office.run("attest", *words, "--key", office.keys / f"{who}.key", "-o", path)
        return path

    def policy(self, office: Office, *words: object) -> Path:
        path = office.folder / "release.policy"
        office.run("policy", "build", office.folder / "policy.toml", "-o", path, "--key",
                   office.keys / "root.key", "--counter", 1, *words)  # fmt: skip
        return path

    def test_a_release_with_all_statements_meets_the_policy(
        self, people: Office, capsys: pytest.CaptureFixture[str]
    ) -> None:
        image = image_file(people)
        statements = [
            self.say(people, "ci", "build", image, "--builder", "https://ci.example"),
            self.say(people, "alice", "approve", image),
            self.say(people, "bob", "approve", image),
        ]
        firmware(people, *(word for one in statements for word in ("--statement", one)))
        found = newest(people, ReleaseKind.FIRMWARE)
        assert [content(people, found, one.path, one.sha256) for one in found.statements] == [
            path.read_bytes() for path in statements
        ]
        capsys.readouterr()
        assert people.run("policy", "check", self.policy(people), "--json") == 0
        (row,) = [
            row
            for row in json.loads(capsys.readouterr().out.split("\n", 1)[1])["releases"]
            if row["kind"] == "firmware"
        ]
        assert row["facts"] == {
            "policy": "acme 1", "authorship": "unknown", "built-by": "ci",
            "approved-by": "alice, bob",
        }  # fmt: skip

    def test_a_release_that_lacks_one_is_refused_by_number(
        self, people: Office, capsys: pytest.CaptureFixture[str]
    ) -> None:
        image = image_file(people)
        built = self.say(people, "ci", "build", image, "--builder", "https://ci.example")
        firmware(people, "--statement", built)
        assert people.run("policy", "check", self.policy(people)) == 1
        out = capsys.readouterr().out
        assert "REFUSED  firmware cam 1 (counter 1): rule 2: expected approval by 2 of" in out

    def test_a_statement_about_other_bytes_is_not_released(self, people: Office) -> None:
        other = people.folder / "other.img"
        other.write_bytes(b"other")
        said = self.say(people, "alice", "approve", other)
        with pytest.raises(RequestError, match="about other bytes"):
            firmware(people, "--statement", said)

    def test_what_is_no_statement_is_not_released(self, people: Office) -> None:
        with pytest.raises(RequestError, match=r"cam\.img: expected"):
            firmware(people, "--statement", image_file(people))

    def test_the_policy_is_released_by_the_root(self, people: Office) -> None:
        people.run("release", "policy", self.policy(people))
        people.run("repo", "publish")
        assert people.client().get_targetinfo("policy/main/main-1.policy") is not None

    def test_a_policy_that_another_key_signed_is_not(self, people: Office) -> None:
        path = people.folder / "mine"
        people.run("policy", "build", people.folder / "policy.toml", "-o", path, "--key",
                   people.keys / "alice.key", "--counter", 1)  # fmt: skip
        with pytest.raises(RequestError, match="no device would take this"):
            people.run("release", "policy", path)

    def test_two_keys_sign_a_policy(self, people: Office) -> None:
        path = self.policy(people, "--also-key", people.keys / "alice.key")
        assert len(dsse.decode(path.read_bytes()).signatures) == 2

    def test_a_policy_is_shown_in_words(
        self, people: Office, capsys: pytest.CaptureFixture[str]
    ) -> None:
        people.run("policy", "show", self.policy(people))
        out = capsys.readouterr().out
        assert "rule 1: firmware needs build by 1 of ci at https://ci.example" in out
        assert "rule 2: firmware needs approval by 2 of alice, bob" in out

    WRONG: ClassVar = {
        "no TOML": "name = ",
        "a table that is unknown": "[robots]\n",
        "no rule": 'name = "x"\n',
        "a rule with a word more": '[[rule]]\nnumber = 1\ndemand = "build"\noptional = true\n',
        "a demand that is unknown": '[[rule]]\nnumber = 1\ndemand = "hope"\n',
        "a number that is text": '[[rule]]\nnumber = "1"\ndemand = "build"\n',
        "a kind that is unknown": '[[rule]]\nnumber = 1\ndemand = "build"\nkinds = ["loader"]\n',
        "kinds that are text": '[[rule]]\nnumber = 1\ndemand = "build"\nkinds = "rules"\n',
        "a key that is not there": '[people]\nx = "x.pub"\n[[rule]]\nnumber=1\ndemand = "review"\n',
        "a key that is a number": "[people]\nx = 7\n",
        "a review by nobody": '[[rule]]\nnumber = 1\ndemand = "review"\n',
        "authorship in other words": (
            '[[rule]]\nnumber = 1\ndemand = "authorship"\nallowed = ["robot"]\n'
        ),
    }

    @pytest.mark.parametrize("text", WRONG.values(), ids=WRONG.keys())
    def test_a_policy_file_that_makes_no_sense_is_not_signed(
        self, people: Office, text: str
    ) -> None:
        (people.folder / "policy.toml").write_text(text)
        with pytest.raises(RequestError, match=r"policy\.toml: .*expected"):
            self.policy(people)
        assert not (people.folder / "release.policy").exists()

    @pytest.mark.parametrize(
        "words",
        [
            ("build", "gitCommit:zz", "--builder", "https://x"),
            ("build", "missing.img", "--builder", "https://x"),
            ("build", "gitCommit:" + "0a" * 20, "--builder", ""),
            ("build", "gitCommit:" + "0a" * 20, "--builder", "https://x", "--source", "main"),
            ("review", "gitCommit:" + "0a" * 20, "--note", "a\nb"),
        ],
        ids=str,
    )
    def test_a_statement_that_nobody_would_read_is_not_written(
        self, people: Office, words: tuple[str, ...]
    ) -> None:
        with pytest.raises(RequestError, match="expected"):
            self.say(people, "alice", *words)
        assert not list(people.folder.glob("alice-*"))
