"""`vedette repo`: what is published is what a TUF client takes, and nothing else is."""

from __future__ import annotations

import json
import shutil
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.simulators.release_office import DAY_S, OPEN, Office
from tuf.api.exceptions import (
    DownloadLengthMismatchError,
    ExpiredMetadataError,
    UnsignedMetadataError,
)
from tuf.api.metadata import Metadata, TargetFile

from vedette.cli import _repository_plan as plans
from vedette.cli._key_store import KeyStore
from vedette.cli._passwords import Passwords
from vedette.cli._repository import Repository
from vedette.codec import release as release_codec
from vedette.errors import ParseError, RequestError
from vedette.model.command import Verb
from vedette.model.release import Release, ReleaseKind
from vedette.model.release import TargetFile as OurTarget
from vedette.trust.document import verify_initial, verify_successor
from vedette.trust.ed25519 import Ed25519Verifier


@pytest.fixture
def office(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Office:
    return Office(tmp_path, monkeypatch)


def status(office: Office, capsys: pytest.CaptureFixture[str], *words: object) -> Any:
    capsys.readouterr()
    code = office.run("repo", "status", "--json", *words)
    found = json.loads(capsys.readouterr().out)
    assert code == (1 if found["problems"] or found["waits"] else 0)
    return found


def release_file(office: Office, text: str, *words: object) -> None:
    path = office.folder / "advisories.json"
    path.write_text(text)
    office.run("release", "advisories", path, "--version", "1", *words)


def metadata(office: Office, name: str) -> Any:
    return json.loads((office.public / "metadata" / name).read_bytes())["signed"]


def test_a_new_repository_is_one_that_a_client_takes(office: Office) -> None:
    office.open()
    client = office.client()
    client.refresh()
    info = client.get_targetinfo("trust/root/trust-1.json")
    assert info is not None
    assert (
        Path(client.download_target(info)).read_bytes()
        == (office.repository / "device" / "trust.json").read_bytes()
    )


def test_what_is_public_is_static_files_with_versions_and_digests(office: Office) -> None:
    office.open()
    names = {path.name for path in (office.public / "metadata").iterdir()}
    roles = ("root", "targets", "snapshot", *plans.DELEGATED)
    assert names == {f"1.{role}.json" for role in roles} | {"timestamp.json"}
    (trust,) = (office.public / "targets" / "trust" / "root").iterdir()
    assert trust.name.split(".", 1)[1] == "trust-1.json"
    assert not [path for path in office.public.rglob("*") if path.name.endswith(".key")]


def test_the_timestamp_says_when_it_was_signed(office: Office) -> None:
    office.at(int(time.time()) - DAY_S)
    office.open()
    signed = metadata(office, "timestamp.json")
    assert signed["x-vedette-issued"] == int(time.time()) - DAY_S or (
        abs(signed["x-vedette-issued"] - time.time() + DAY_S) < 60
    )


def test_each_role_may_sign_its_own_folder_and_no_other(office: Office) -> None:
    office.open()
    roles = metadata(office, "1.targets.json")["delegations"]["roles"]
    assert {role["name"]: (role["paths"], role["terminating"]) for role in roles} == {
        name: ([f"{name}/*/*"], True) for name in plans.DELEGATED
    }


def test_the_key_of_models_cannot_ship_firmware(office: Office) -> None:
    office.open()
    repository = Repository(office.repository, KeyStore(office.keys, Passwords(None)))
    draft = repository.draft("models")
    sha256 = "0a" * 32
    path = "firmware/cam/cam-1.img"
    custom = release_codec.encode(
        Release(ReleaseKind.FIRMWARE, "cam", "1", 1, 1, OurTarget(path, 5, sha256), ("cam-2",))
    )
    forged = TargetFile(5, {"sha256": sha256}, path, {"custom": custom})
    draft.signed.targets[path] = forged
    repository.stage("models", draft)
    office.run("repo", "publish")
    assert office.client().get_targetinfo(path) is None


def test_a_release_is_public_when_it_was_published(
    office: Office, capsys: pytest.CaptureFixture[str]
) -> None:
    office.open()
    release_file(office, "one")
    assert office.client().get_targetinfo("advisories/main/main-1.json") is None
    assert status(office, capsys)["waits"]
    office.run("repo", "publish")
    client = office.client()
    info = client.get_targetinfo("advisories/main/main-1.json")
    assert info is not None
    assert Path(client.download_target(info)).read_text() == "one"
    found = release_codec.decode(info.path, info.length, info.hashes["sha256"], info.custom)
    assert (found.kind, found.name, found.counter) == (ReleaseKind.ADVISORIES, "main", 1)
    assert not status(office, capsys)["waits"]


def test_a_client_follows_from_version_to_version(office: Office) -> None:
    office.open()
    office.client().refresh()
    for number in range(1, 6):
        release_file(office, str(number))
        office.run("repo", "publish")
        client = office.client()
        assert client.get_targetinfo(f"advisories/main/main-{number}.json") is not None
    client = office.client()
    # Older releases leave the list, three stay.
    assert client.get_targetinfo("advisories/main/main-2.json") is None
    assert client.get_targetinfo("advisories/main/main-3.json") is not None


def test_nothing_staged_is_nothing_published(office: Office) -> None:
    office.open()
    before = sorted(path.name for path in (office.public / "metadata").iterdir())
    with pytest.raises(RequestError, match="nothing is staged"):
        office.run("repo", "publish")
    assert sorted(path.name for path in (office.public / "metadata").iterdir()) == before


def test_a_published_version_is_never_written_again(office: Office) -> None:
    office.open()
    release_file(office, "one")
    (office.public / "metadata" / "2.advisories.json").write_text("{}")
    with pytest.raises(RequestError):
        office.run("repo", "publish")
    assert (office.public / "metadata" / "2.advisories.json").read_text() == "{}"


def test_a_publication_that_was_cut_is_finished_by_the_next(office: Office) -> None:
    office.open()
    release_file(office, "one")
    saved = office.folder / "saved"
    shutil.copytree(office.repository, saved)
    office.run("repo", "publish")
    # All but the timestamp was written, and nothing was taken out of staged.
    shutil.copytree(saved / "staged", office.repository / "staged", dirs_exist_ok=True)
    shutil.copy(saved / "public" / "metadata" / "timestamp.json", office.public / "metadata")
    assert office.client().get_targetinfo("advisories/main/main-1.json") is None
    office.run("repo", "publish")
    assert office.client().get_targetinfo("advisories/main/main-1.json") is not None


class TestThresholds:
    """Keys of one role on two machines."""

    @pytest.fixture
    def two(self, office: Office) -> Office:
        """The office has the one key, `other` has the second; both know both public halves."""
        names = ["root", "targets", "snapshot", "timestamp", *plans.DELEGATED, "second", "root-2"]
        office.run("keys", "create", *names, *OPEN)
        other = office.folder / "other"
        shutil.copytree(office.keys, other)
        for name in names:
            away = office.keys if name in ("second", "root-2") else other
            (away / f"{name}.key").unlink()
        return office

    def test_a_release_waits_for_the_second_key(
        self, two: Office, capsys: pytest.CaptureFixture[str]
    ) -> None:
        two.run("repo", "init", "--role", "advisories=advisories,second:2")
        here, other = two.keys, two.folder / "other"
        with pytest.raises(RequestError, match=r"advisories: 1 more signature needed"):
            two.run("repo", "publish")
        two.use_keys(other)
        two.run("repo", "sign")
        two.use_keys(here)
        two.run("repo", "publish")
        release_file(two, "one")
        found = status(two, capsys)
        assert [role["missing"] for role in found["roles"] if role["role"] == "advisories"] == [1]
        with pytest.raises(RequestError, match="1 more signature needed"):
            two.run("repo", "publish")
        two.use_keys(other)
        two.run("repo", "sign", "advisories")
        two.use_keys(here)
        two.run("repo", "publish")
        assert two.client().get_targetinfo("advisories/main/main-1.json") is not None

    def test_a_root_of_two_waits_with_its_trust_document(self, two: Office) -> None:
        two.run("repo", "init", "--role", "root=root,root-2:2")
        assert (two.repository / "staged" / "trust.json").exists()
        with pytest.raises(RequestError, match="trust document misses signatures"):
            two.run("repo", "publish")
        two.use_keys(two.folder / "other")
        two.run("repo", "sign", "root")
        two.use_keys(two.folder / "keys")
        assert not (two.repository / "staged" / "trust.json").exists()
        two.run("repo", "sign")
        two.run("repo", "publish")
        two.client().refresh()

    def test_signing_twice_counts_once(self, two: Office) -> None:
        two.run("repo", "init", "--role", "advisories=advisories,second:2")
        for _ in range(2):
            two.run("repo", "sign")
        with pytest.raises(RequestError, match="1 more signature needed"):
            two.run("repo", "publish")

    def test_one_key_under_two_names_is_one_key(self, office: Office) -> None:
        office.run("keys", "create", "rules", *OPEN)
        for suffix in ("key", "pub"):
            shutil.copy(office.keys / f"rules.{suffix}", office.keys / f"twin.{suffix}")
        with pytest.raises(RequestError, match="one under two names"):
            office.open("--role", "rules=rules,twin:2")


class TestMlDsa:
    """A 2-of-2 of Ed25519 and ML-DSA-65, end to end."""

    @pytest.fixture
    def hybrid(self, office: Office) -> Office:
        office.run("keys", "create", "root-pq", "fw-pq", "--type", "ml-dsa-65", *OPEN)
        office.open("--role", "root=root,root-pq:2", "--role", "firmware=firmware,fw-pq:2")
        return office

    def release(self, office: Office) -> None:
        image = office.folder / "cam.img"
        image.write_bytes(b"image" * 1000)
        office.run("release", "firmware", image, "--name", "cam", "--version", "1", "--hardware",
                   "cam-2")  # fmt: skip

    def test_both_sign_and_a_client_asks_for_both(self, hybrid: Office) -> None:
        self.release(hybrid)
        hybrid.run("repo", "publish")
        keys = metadata(hybrid, "1.root.json")["keys"].values()
        assert "ml-dsa-65/1" in {key["scheme"] for key in keys}
        assert hybrid.client().get_targetinfo("firmware/cam/cam-1.img") is not None

    @pytest.mark.parametrize("kept", ["firmware", "fw-pq"])
    def test_one_of_the_two_is_not_enough(self, hybrid: Office, kept: str) -> None:
        self.release(hybrid)
        hybrid.run("repo", "publish")
        key_id = KeyStore(hybrid.keys, Passwords(None)).info(kept).key_id
        path = hybrid.public / "metadata" / "2.firmware.json"
        whole = Metadata[Any].from_bytes(path.read_bytes())
        for other in set(whole.signatures) - {key_id}:
            del whole.signatures[other]
        targets = Metadata[Any].from_file(str(hybrid.public / "metadata" / "1.targets.json"))
        assert len(whole.signatures) == 1
        with pytest.raises(UnsignedMetadataError):
            targets.verify_delegate("firmware", whole)

    def test_a_root_of_both_is_rotated(self, hybrid: Office) -> None:
        hybrid.client().refresh()
        hybrid.run("keys", "rotate", "root-pq", *OPEN)
        hybrid.run("repo", "rotate")
        hybrid.run("repo", "publish")
        client = hybrid.client()
        client.refresh()
        assert metadata(hybrid, "2.root.json")["version"] == 2

    def test_a_role_of_ml_dsa_alone_is_refused(self, office: Office) -> None:
        office.run("keys", "create", "rules", "--type", "ml-dsa-65", *OPEN)
        with pytest.raises(RequestError, match="expected an Ed25519 key"):
            office.open()


class TestRotation:
    """Keys change while a fleet goes on."""

    def test_new_keys_of_every_role_are_taken_by_an_old_client(self, office: Office) -> None:
        office.open()
        office.client().refresh()
        names = ["root", "targets", "snapshot", "timestamp", *plans.DELEGATED]
        office.run("keys", "rotate", *names, *OPEN)
        office.run("repo", "rotate")
        office.run("repo", "publish")
        release_file(office, "one")
        office.run("repo", "publish")
        assert office.client().get_targetinfo("advisories/main/main-1.json") is not None
        assert office.client("newcomer").get_targetinfo("advisories/main/main-1.json") is not None

    def test_the_trust_document_follows_with_the_keys(self, office: Office) -> None:
        office.open()
        trust = office.repository / "device" / "trust.json"
        first = trust.read_bytes()
        office.run("keys", "rotate", "root", "rules", *OPEN)
        office.run("repo", "rotate")
        office.run("repo", "publish")
        verifier = Ed25519Verifier()
        before = verify_initial(first, verifier)
        after = verify_successor(before, trust.read_bytes(), verifier)
        assert after.purposes["rules"] != before.purposes["rules"]
        assert after.purposes["policy"] == after.root != before.root
        assert office.client().get_targetinfo("trust/root/trust-2.json") is not None

    def test_a_root_that_the_old_keys_did_not_sign_is_not_published(self, office: Office) -> None:
        office.open()
        office.run("keys", "rotate", "root", *OPEN)
        (old,) = office.keys.glob("root.*.key")
        old.rename(office.folder / "lost")
        office.run("repo", "rotate")
        with pytest.raises(RequestError, match="signature"):
            office.run("repo", "publish")
        (office.folder / "lost").rename(old)
        office.run("repo", "sign")
        office.run("repo", "publish")
        office.client().refresh()

    def test_a_threshold_is_raised_and_lowered(self, office: Office) -> None:
        office.open()
        office.run("keys", "create", "second", *OPEN)
        for threshold in (2, 1):
            office.run("repo", "rotate", "--role", f"rules=rules,second:{threshold}")
            office.run("repo", "publish")
            office.client().refresh()
            (role,) = (
                role
                for role in metadata(office, f"{4 - threshold}.targets.json")["delegations"][
                    "roles"
                ]
                if role["name"] == "rules"
            )
            assert (len(role["keyids"]), role["threshold"]) == (2, threshold)

    def test_nothing_that_changed_is_said_so(self, office: Office) -> None:
        office.open()
        with pytest.raises(RequestError, match="nothing to do"):
            office.run("repo", "rotate")

    def test_what_old_keys_signed_has_to_be_signed_again(
        self, office: Office, capsys: pytest.CaptureFixture[str]
    ) -> None:
        office.open()
        office.run("keys", "rotate", "rules", *OPEN)
        office.run("repo", "rotate")
        assert "sign their content anew" in capsys.readouterr().out

    def test_an_operator_is_granted_what_the_trust_document_then_says(self, office: Office) -> None:
        office.run("keys", "create", "alice", *OPEN)
        office.open("--role", "operators=alice", "--grant", "alice=isolate,kill@*")
        office.run("repo", "rotate", "--grant", "alice=*@cams")
        trust = verify_initial(
            (office.repository / "device" / "trust.json").read_bytes(), Ed25519Verifier()
        )
        (grant,) = trust.purposes["operators"].grants.values()
        assert grant.groups == {"cams"}
        assert grant.verbs == set(map(str, Verb))


class TestTime:
    """What expires, and what says so in time."""

    def test_status_warns_weeks_before(
        self, office: Office, capsys: pytest.CaptureFixture[str]
    ) -> None:
        now = int(time.time())
        office.at(now)
        office.open()
        assert status(office, capsys)["problems"] == []
        due: dict[int, set[str]] = {}
        for day in (14, 16, 61, 63, 151, 153, 336, 338):
            office.at(now + day * DAY_S)
            due[day] = {line.split(":")[0] for line in status(office, capsys)["problems"]}
        assert due[14] == set()
        assert due[16] == {"timestamp"}
        assert "snapshot" not in due[61]
        assert "snapshot" in due[63]
        assert "rules" not in due[151]
        assert "rules" in due[153]
        assert "root" not in due[336]
        assert {"root", "targets"} <= due[338]

    def test_what_expired_is_said_to_be_a_freeze(
        self, office: Office, capsys: pytest.CaptureFixture[str]
    ) -> None:
        office.at(int(time.time()) - 31 * DAY_S)
        office.open()
        with pytest.raises(ExpiredMetadataError):
            office.client().refresh()
        office.at(int(time.time()))
        assert any("EXPIRED" in line for line in status(office, capsys)["problems"])
        office.run("repo", "refresh")
        office.client().refresh()
        assert status(office, capsys)["problems"] == []

    def test_refresh_signs_what_is_half_over_and_the_timestamp_always(
        self, office: Office, capsys: pytest.CaptureFixture[str]
    ) -> None:
        now = int(time.time())
        office.at(now)
        office.open()
        office.run("repo", "refresh")
        found = {role["role"]: role["version"] for role in status(office, capsys)["roles"]}
        assert found == dict.fromkeys(plans.ALL_ROLES, 1) | {"timestamp": 2}
        office.at(now + 100 * DAY_S)
        office.run("repo", "refresh")
        found = {role["role"]: role["version"] for role in status(office, capsys)["roles"]}
        long_lived = {"root": 1, "targets": 1}
        assert found == dict.fromkeys(plans.ALL_ROLES, 2) | long_lived | {"timestamp": 3}

    def test_refresh_leaves_roles_to_those_who_have_the_keys(
        self, office: Office, capsys: pytest.CaptureFixture[str]
    ) -> None:
        now = int(time.time())
        office.at(now)
        office.open()
        (office.keys / "rules.key").unlink()
        office.at(now + 100 * DAY_S)
        capsys.readouterr()
        office.run("repo", "refresh")
        assert "role rules is due" in capsys.readouterr().out
        found = {role["role"]: role["version"] for role in status(office, capsys)["roles"]}
        assert (found["rules"], found["models"]) == (1, 2)

    def test_refresh_publishes_nothing_that_somebody_staged(self, office: Office) -> None:
        office.open()
        release_file(office, "one")
        office.run("repo", "refresh")
        assert office.client().get_targetinfo("advisories/main/main-1.json") is None
        office.run("repo", "publish")
        assert office.client().get_targetinfo("advisories/main/main-1.json") is not None

    def test_refresh_goes_on_while_a_new_root_waits(self, office: Office) -> None:
        office.open()
        office.run("keys", "rotate", "timestamp", "snapshot", *OPEN)
        office.run("repo", "rotate")
        office.run("repo", "refresh")
        office.client().refresh()
        office.run("repo", "publish")
        office.client().refresh()

    def test_days_are_the_operators(self, office: Office) -> None:
        office.at(int(time.time()))
        office.open("--days", "timestamp=3")
        expires = datetime.fromisoformat(metadata(office, "timestamp.json")["expires"])
        assert 2 < (expires - datetime.now(UTC)).total_seconds() / DAY_S <= 3


def test_a_damaged_file_is_seen_by_status(
    office: Office, capsys: pytest.CaptureFixture[str]
) -> None:
    office.open()
    path = office.public / "metadata" / "1.rules.json"
    path.write_bytes(path.read_bytes().replace(b'"version":1', b'"version":1 '))
    problems = status(office, capsys)["problems"]
    assert problems == ["rules: it is not what the snapshot names: publish again"]
    with pytest.raises(DownloadLengthMismatchError):
        office.client().get_targetinfo("rules/main/x")


def test_two_commands_at_once_are_told_so(office: Office) -> None:
    office.open()
    repository = Repository(office.repository, KeyStore(office.keys, Passwords(None)))
    with repository.locked(), pytest.raises(RequestError, match="another command"):
        release_file(office, "one")


WRONG_FLAGS = {
    "an unknown role": ("--role", "bootloader=x"),
    "a threshold of 0": ("--role", "rules=rules:0"),
    "a threshold above the keys": ("--role", "rules=rules:2"),
    "a threshold of words": ("--role", "rules=rules:many"),
    "a key twice": ("--role", "rules=rules,rules:2"),
    "no key": ("--role", "rules="),
    "a key's name that climbs": ("--role", "rules=../rules"),
    "no days": ("--days", "rules=0"),
    "days of nothing": ("--days", "rules"),
    "days below 0": ("--days", "rules=-1"),
    "a grant to no operator": ("--grant", "rules=isolate@*"),
    "a grant of nothing": ("--grant", "operators=@*"),
    "a grant of an unknown verb": ("--grant", "operators=explode@*"),
    "a grant to a group that is none": ("--grant", "operators=isolate@No Group"),
}


@pytest.mark.parametrize("words", WRONG_FLAGS.values(), ids=WRONG_FLAGS.keys())
def test_flags_that_make_no_sense_make_no_repository(
    office: Office, words: tuple[str, ...]
) -> None:
    with pytest.raises((RequestError, ParseError), match="expected"):
        office.open(*words)
    assert not office.repository.exists()


def test_a_repository_is_not_made_twice(office: Office) -> None:
    office.open()
    with pytest.raises(RequestError, match="already"):
        office.open()


def test_what_is_no_repository_is_said_so(office: Office, tmp_path: Path) -> None:
    for words in (("status",), ("publish",), ("refresh",), ("rotate",), ("sign",)):
        with pytest.raises(RequestError, match="vedette repo init"):
            office.run("repo", *words, "--repo", tmp_path)
