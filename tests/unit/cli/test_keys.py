"""`vedette keys`: secrets are encrypted, never overwritten, and never shown."""

from __future__ import annotations

import json
import shutil
import stat
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    load_pem_private_key,
    load_pem_public_key,
)
from tests.simulators.release_office import Office

from vedette.cli import _key_seal, _passwords
from vedette.cli._key_store import KeyStore, Place
from vedette.cli._passwords import Passwords
from vedette.errors import RequestError, TrustError

PASSWORD = "p\u00e4ss word 1"


@pytest.fixture
def office(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Office:
    if "openssl" not in request.node.name:
        monkeypatch.setattr(_key_seal, "_SCRYPT_P", 1)  # a fifth of the time
    return Office(tmp_path, monkeypatch)


@pytest.fixture
def password_file(tmp_path: Path) -> Path:
    path = tmp_path / "password"
    path.write_text(PASSWORD + "\n", "utf-8")
    path.chmod(0o600)
    return path


@pytest.mark.parametrize("key_type", ["ed25519", "ml-dsa-65"])
def test_a_key_is_encrypted_and_opens_with_its_password(
    office: Office, password_file: Path, key_type: str
) -> None:
    office.run("keys", "create", "a", "--type", key_type, "--password-file", password_file)
    pem = (office.keys / "a.key").read_bytes()
    assert pem.startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----")
    assert stat.S_IMODE((office.keys / "a.key").stat().st_mode) == 0o600
    assert stat.S_IMODE(office.keys.stat().st_mode) == 0o700
    private = load_pem_private_key(pem, PASSWORD.encode())
    assert private.public_key() == load_pem_public_key((office.keys / "a.pub").read_bytes())
    with pytest.raises(ValueError, match="Incorrect password"):
        load_pem_private_key(pem, b"other")


def test_openssl_reads_what_we_wrote(office: Office, password_file: Path) -> None:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("needs openssl(1): apt-get install openssl")
    office.run("keys", "create", "a", "--password-file", password_file)
    done = subprocess.run(
        [openssl, "pkey", "-in", office.keys / "a.key", "-passin", f"file:{password_file}",
         "-pubout"],
        check=True, capture_output=True,
    )  # fmt: skip
    assert done.stdout.split() == (office.keys / "a.pub").read_bytes().split()


def test_the_key_is_derived_by_scrypt_with_a_salt_of_its_own() -> None:
    one, other = (_key_seal.seal(b"x" * 48, PASSWORD) for _ in range(2))
    assert one != other


def test_secrets_are_neither_shown_nor_in_errors(
    office: Office, password_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    office.run("keys", "create", "a", "--password-file", password_file)
    office.run("keys", "list", "--json", "--password-file", password_file)
    store = KeyStore(office.keys, Passwords(password_file))
    private = store.signer("a").private_bytes.decode()  # type: ignore[attr-defined] # of a file
    password_file.write_text("another password\n")
    with pytest.raises(RequestError) as caught:
        KeyStore(office.keys, Passwords(password_file)).signer("a")
    told = "".join(capsys.readouterr()) + str(caught.value) + repr(Passwords(password_file))
    assert "the password is wrong" in told
    assert PASSWORD not in told
    assert "another" not in told
    assert not any(line in told for line in private.splitlines())
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("text", "mode", "message"),
    [
        ("short\n", 0o600, "at least 8 characters"),
        ("\nnext line\n", 0o600, "a password in its first line"),
        ("", 0o600, "a password in its first line"),
        ("x" * 2000, 0o600, "a password in its first line"),
        ("long enough\n", 0o644, "expected mode 0600"),
        ("long enough\n", 0o620, "expected mode 0600"),
    ],
)
def test_a_password_file_that_is_no_good(
    office: Office, password_file: Path, text: str, mode: int, message: str
) -> None:
    password_file.write_text(text)
    password_file.chmod(mode)
    with pytest.raises(RequestError, match=message):
        office.run("keys", "create", "a", "--password-file", password_file)
    assert not list(office.keys.glob("*"))


def test_without_a_terminal_a_password_has_to_come_from_a_file(office: Office) -> None:
    with pytest.raises(RequestError, match="--password-file"):
        office.run("keys", "create", "a")


def test_a_new_password_is_asked_for_twice(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter(["one password", "two password", "one password", "one password"])
    monkeypatch.setattr(_passwords, "_ask", lambda _: next(answers))
    with pytest.raises(RequestError, match="the same password twice"):
        office.run("keys", "create", "a")
    assert not list(office.keys.glob("*"))
    office.run("keys", "create", "a")
    assert KeyStore(office.keys, Passwords(None)).info("a").is_encrypted


@pytest.mark.parametrize("name", ["", "..", "a/b", ".a", "A", "a b", "-a", "a" * 65, "a\n"])
def test_a_name_is_plain(office: Office, name: str) -> None:
    with pytest.raises(RequestError, match="expected a key name"):
        KeyStore(office.keys, Passwords(None)).create(name, "ed25519", is_encrypted=False)


@pytest.mark.parametrize("suffix", ["key", "pub", "token"])
def test_no_key_is_overwritten(office: Office, suffix: str) -> None:
    office.keys.mkdir()
    (office.keys / f"a.{suffix}").write_text("mine")
    with pytest.raises(TrustError, match="never overwritten"):
        office.run("keys", "create", "a", "--no-password")
    assert [path.name for path in office.keys.iterdir()] == [f"a.{suffix}"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
def test_a_key_that_others_could_read_is_refused(office: Office, mode: int) -> None:
    office.run("keys", "create", "a", "--no-password")
    (office.keys / "a.key").chmod(mode)
    with pytest.raises(TrustError, match="expected mode 0600"):
        KeyStore(office.keys, Passwords(None)).signer("a")


def test_a_rotated_key_keeps_its_name_and_the_old_one_stays(office: Office) -> None:
    office.run("keys", "create", "a", "--no-password")
    store = KeyStore(office.keys, Passwords(None))
    before = store.info("a")
    office.run("keys", "rotate", "a", "--no-password")
    assert store.info("a").key_id != before.key_id
    assert store.info(f"a.{before.key_id[:8]}")._replace(name="a") == before
    assert store.names() == ["a", f"a.{before.key_id[:8]}"]


def test_a_password_is_changed(office: Office, password_file: Path, tmp_path: Path) -> None:
    office.run("keys", "create", "a", "--no-password")
    public = KeyStore(office.keys, Passwords(None)).info("a").key_id
    new = tmp_path / "new"
    new.write_text("something else\n")
    new.chmod(0o600)
    office.run("keys", "password", "a", "--new-password-file", password_file)
    office.run(
        "keys", "password", "a", "--password-file", password_file, "--new-password-file", new
    )
    store = KeyStore(office.keys, Passwords(new))
    assert store.info("a").is_encrypted
    assert store.signer("a").public_key.keyid == public
    assert stat.S_IMODE((office.keys / "a.key").stat().st_mode) == 0o600


def test_a_key_whose_secret_is_elsewhere_is_listed_as_such(
    office: Office, capsys: pytest.CaptureFixture[str]
) -> None:
    office.run("keys", "create", "a", "b", "--no-password")
    (office.keys / "a.key").unlink()
    capsys.readouterr()
    office.run("keys", "list", "--json")
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["a"]["place"] == Place.ELSEWHERE
    assert (rows["b"]["place"], rows["b"]["is_encrypted"]) == (Place.FILE, False)
    with pytest.raises(RequestError, match="only the public half"):
        KeyStore(office.keys, Passwords(None)).signer("a")
    with pytest.raises(RequestError, match="not in a file here"):
        office.run("keys", "rotate", "a", "--no-password")


def test_what_is_no_key_is_said_with_its_place(office: Office) -> None:
    with pytest.raises(RequestError, match="there is no key"):
        office.run("keys", "list")
    office.keys.mkdir()
    (office.keys / "a.pub").write_bytes(b"not PEM")
    with pytest.raises(RequestError, match=r"a\.pub: expected a public key in PEM"):
        office.run("keys", "list")


def test_content_is_signed_with_an_encrypted_key_too(
    office: Office, password_file: Path, tmp_path: Path
) -> None:
    office.run("keys", "create", "a", "--password-file", password_file)
    file = tmp_path / "cam.img"
    file.write_bytes(b"x")
    words = ("attest", "approve", file, "-o", tmp_path / "said.json")
    office.run(*words, "--key", office.keys / "a.key", "--password-file", password_file)
    password_file.write_text("another password\n")
    with pytest.raises(RequestError, match="the password is wrong"):
        office.run(*words, "--key", office.keys / "a.key", "--password-file", password_file)


def test_an_ml_dsa_key_signs_no_content_that_devices_check_without_tuf(
    office: Office, password_file: Path, tmp_path: Path
) -> None:
    office.run("keys", "create", "a", "--type", "ml-dsa-65", "--password-file", password_file)
    file = tmp_path / "cam.img"
    file.write_bytes(b"x")
    with pytest.raises(TrustError, match="expected an Ed25519 key"):
        office.run("attest", "approve", file, "-o", tmp_path / "said.json", "--key",
                   office.keys / "a.key", "--password-file", password_file)  # fmt: skip


@pytest.mark.parametrize(
    "words", [("--token", "x"), ("--module", "/x"), ("--id", "2"), ("--token", "x", "--id", "2")]
)
def test_a_token_needs_all_that_names_it(office: Office, words: tuple[str, ...]) -> None:
    with pytest.raises(RequestError, match="--token"):
        office.run("keys", "create", "a", *words)
