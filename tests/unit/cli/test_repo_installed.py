"""What `vedette repo` publishes, as the installer of a device takes it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from tests.simulators.release_office import OPEN, Office
from tuf.api.metadata import Metadata

from vedette.cli._key_store import KeyStore
from vedette.cli._passwords import Passwords
from vedette.cli._repository import Repository
from vedette.codec import release as codec
from vedette.daemon.installer.opening import Opened, open_trust
from vedette.daemon.updater.directory_source import DirectorySource
from vedette.model.release import PartKind, ReleaseKind
from vedette.model.update import Cause
from vedette.trust.tuf_client import RefusedError


@pytest.fixture
def office(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Office:
    office = Office(tmp_path, monkeypatch)
    office.run("keys", "create", "root-pq", "fw-pq", "--type", "ml-dsa-65", *OPEN)
    office.open("--role", "root=root,root-pq:2", "--role", "firmware=firmware,fw-pq:2")
    return office


def release(office: Office, version: str = "1") -> None:
    image = office.folder / "cam.img"
    image.write_bytes(version.encode() * 5000)
    office.run("release", "firmware", image, "--name", "cam", "--version", version, "--hardware",
               "cam-2")  # fmt: skip
    office.run("repo", "publish")


def device(office: Office) -> Opened:
    """A device that was built with the repository's first root."""
    first = office.folder / "built-with.json"
    if not first.exists():
        first.write_bytes((office.repository / "device" / "root.json").read_bytes())
    return open_trust(
        office.folder / "state" / "metadata",
        office.folder / "state" / "floors",
        root=first.read_bytes(),
        source=DirectorySource(office.public / "metadata", office.public / "targets"),
        build_s=1,
        wall_s=time.time(),
    )


def test_both_algorithms_have_to_sign_and_the_release_is_read(office: Office) -> None:
    release(office)
    (found,) = [
        codec.decode(one.path, one.length, one.sha256, one.custom)
        for one in device(office).trust.targets("firmware")
        if codec.is_release(one.custom)
    ]
    assert (found.kind, found.name, found.version) == (ReleaseKind.FIRMWARE, "cam", "1")
    assert list(found.parts) == [PartKind.BLOCK_INDEX]


@pytest.mark.parametrize("kept", ["firmware", "fw-pq"])
def test_firmware_that_one_of_the_two_signed_is_refused(
    office: Office, kept: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    release(office)
    device(office).trust.refresh()
    office.run("release", "rollout", "firmware", "cam", "--percent", "5")
    staged = office.repository / "staged" / "firmware.json"
    metadata = Metadata[Any].from_bytes(staged.read_bytes())
    key_id = KeyStore(office.keys, Passwords(None)).info(kept).key_id
    for other in set(metadata.signatures) - {key_id}:
        del metadata.signatures[other]
    staged.write_bytes(metadata.to_bytes())
    # Whoever has one firmware key, and those of snapshot and timestamp, has no scruples.
    monkeypatch.setattr(Repository, "missing", lambda *_, **__: 0)
    office.run("repo", "publish")
    with pytest.raises(RefusedError) as caught:
        device(office).trust.targets("firmware")
    assert caught.value.cause is Cause.SIGNATURE


def test_the_time_of_issue_becomes_the_floor_of_time(office: Office) -> None:
    before = int(time.time())
    release(office)
    opened = device(office)
    assert before <= opened.trust.refresh().issued_s <= time.time() + 1
    assert opened.floors.now(0.0) >= before


def test_a_device_follows_new_keys_of_both_kinds(office: Office) -> None:
    release(office)
    device(office).trust.refresh()
    office.run("keys", "rotate", "root", "root-pq", "fw-pq", "timestamp", *OPEN)
    office.run("repo", "rotate")
    office.run("repo", "publish")
    release(office, "2")
    opened = device(office)
    assert opened.trust.refresh().root == 2
    assert opened.trust.target("firmware/cam/cam-2.img") is not None


def test_an_older_copy_of_the_repository_is_refused(office: Office) -> None:
    release(office)
    old = (office.public / "metadata" / "timestamp.json").read_bytes()
    release(office, "2")
    device(office).trust.refresh()
    (office.public / "metadata" / "timestamp.json").write_bytes(old)
    with pytest.raises(RefusedError) as caught:
        device(office).trust.refresh()
    assert caught.value.cause is Cause.OLDER
