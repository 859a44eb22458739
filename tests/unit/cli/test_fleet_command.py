"""`vedette fleet command` and `approve`: what is signed, and what is refused before it is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from vedette.cli._command_line import main
from vedette.cli._command_numbers import next_number
from vedette.codec import command as codec
from vedette.errors import RequestError, StoreError
from vedette.model.command import Audience, Command
from vedette.trust.ed25519 import Ed25519Verifier
from vedette.trust.keyfile import create_signer, key_id, load_signer

DIGEST = "ab" * 32


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("alice", "bob"):
        create_signer(tmp_path / f"{name}.key")
    (tmp_path / "fleet.json").write_text('{"devices":[],"version":1}')
    return tmp_path


def write(folder: Path, *words: str, signers: tuple[str, ...] = ("alice",)) -> int:
    whom = () if "--group" in words or "approve" in words else ("--device", "cam-7")
    tenant = () if "approve" in words else ("--tenant", "acme")
    keys = [word for name in signers for word in ("--sign", str(folder / f"{name}.key"))]
    more = ["--registry", str(folder / "fleet.json"), "--write", str(folder / "out")]
    return main(["fleet", *words, *whom, *tenant, *keys, *more])


def written(folder: Path) -> Command:
    return codec.decode((folder / "out").read_bytes())


def test_a_command_is_signed_for_its_device_and_valid_for_ten_minutes(folder: Path) -> None:
    assert write(folder, "command", "block", "192.0.2.7", "--lasts", "60") == 0
    found = written(folder)
    assert (found.verb, dict(found.arguments)) == ("block", {"address": "192.0.2.7", "lasts": "60"})
    assert found.audience == Audience("acme", is_group=False, name="cam-7")
    assert found.expires_s - found.issued_s == 600
    (approval,) = found.approvals
    assert approval.key_id == key_id(load_signer(folder / "alice.key").public_key)


def test_every_signature_holds(folder: Path) -> None:
    assert write(folder, "command", "isolate", "--group", "cameras", signers=("alice", "bob")) == 0
    found = written(folder)
    assert len(found.approvals) == 2
    keys = [load_signer(folder / f"{name}.key").public_key for name in ("alice", "bob")]
    by_id = {key_id(key): key for key in keys}
    for approval in found.approvals:
        message = codec.signed_bytes(found, approval.key_id, approval.number)
        assert Ed25519Verifier().verify(by_id[approval.key_id], approval.signature, message)


def test_the_second_operator_approves_what_the_first_one_wrote(folder: Path) -> None:
    write(folder, "command", "promote", DIGEST)
    first = written(folder)
    assert write(folder, "approve", str(folder / "out"), signers=("bob",)) == 0
    both = written(folder)
    assert set(first.approvals) < set(both.approvals)
    assert (both.verb, both.arguments, both.issued_s) == (
        first.verb, first.arguments, first.issued_s,
    )  # fmt: skip


def test_json_says_what_was_written(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(folder, "command", "release", "--json")
    said = json.loads(capsys.readouterr().out)
    assert said["command"] == codec.digest((folder / "out").read_bytes())


REFUSED = {
    "an unknown verb": (("command", "reflash"), "expected a verb"),
    "a verb without what it takes": (("command", "block"), "expected an IPv4 or IPv6 address"),
    "a verb with what it does not take": (("command", "release", "x"), "release takes nothing"),
    "a flag that the verb does not take": (
        ("command", "release", "--lasts", "5"), "release has no argument lasts",
    ),
    "a promotion by name": (("command", "promote", "stop-miners"), "64 hex digits"),
    "a validity of nothing": (("command", "release", "--valid", "0"), "1 second or more"),
    "a file that is no command": (("approve", "{folder}/fleet.json"), "write one with"),
    "a file that is not there": (("approve", "{folder}/gone"), "cannot read the command"),
}  # fmt: skip


@pytest.mark.parametrize(("words", "said"), REFUSED.values(), ids=REFUSED.keys())
def test_is_refused_before_anything_is_signed(
    folder: Path, words: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert write(folder, *(word.format(folder=folder) for word in words)) == 2
    assert said in capsys.readouterr().err
    assert not (folder / "out").exists()
    assert not (folder / "alice.key.number").exists()


def test_who_approved_does_not_approve_again(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(folder, "command", "promote", DIGEST)
    assert write(folder, "approve", str(folder / "out")) == 2
    assert "another operator has to" in capsys.readouterr().err


def test_what_has_expired_is_not_approved(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write(folder, "command", "promote", DIGEST)
    monkeypatch.setattr("time.time", lambda: 4e9)
    assert write(folder, "approve", str(folder / "out"), signers=("bob",)) == 2
    assert "it has expired" in capsys.readouterr().err


def test_nothing_is_sent_to_a_device_whose_answer_nobody_could_verify(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main([
        "fleet", "command", "release", "--tenant", "acme", "--device", "cam-7",
        "--sign", str(folder / "alice.key"), "--registry", str(folder / "fleet.json"),
        "--host", "127.0.0.1",
    ])  # fmt: skip
    assert code == 2
    assert "enroll it first" in capsys.readouterr().err


def test_without_a_broker_and_without_a_file_there_is_nothing_to_do(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main([
        "fleet", "command", "release", "--tenant", "acme", "--device", "cam-7",
        "--sign", str(folder / "alice.key"), "--registry", str(folder / "fleet.json"),
    ])  # fmt: skip
    assert code == 2
    assert "expected --host" in capsys.readouterr().err


def test_numbers_only_grow_also_when_the_clock_goes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = tmp_path / "k"
    first = next_number(key)
    monkeypatch.setattr("time.time_ns", lambda: 0)
    assert [next_number(key) for _ in range(3)] == [first + 1, first + 2, first + 3]


def test_a_lost_file_of_numbers_begins_above_what_was_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = tmp_path / "k"
    monkeypatch.setattr("time.time_ns", lambda: 1_795_000_000_000_000_000)
    before = [next_number(key) for _ in range(3)]
    (tmp_path / "k.number").unlink()
    monkeypatch.setattr("time.time_ns", lambda: 1_795_000_001_000_000_000)
    assert next_number(key) > max(before)


def test_a_damaged_file_of_numbers_is_not_guessed_around(tmp_path: Path) -> None:
    for content in ("many\n", "9" * 20):
        (tmp_path / "k.number").write_text(content)
        with pytest.raises(RequestError, match="highest number that a receipt"):
            next_number(tmp_path / "k")


def test_numbers_that_cannot_be_kept_are_not_used(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="kept beside the key"):
        next_number(tmp_path / "gone" / "k")
