"""Key files: what openssl writes is read, what others could read is refused."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from vedette.errors import StoreError, TrustError
from vedette.trust import keyfile


def test_a_created_key_is_read_back_and_by_cryptography(tmp_path: Path) -> None:
    path = tmp_path / "device.pem"
    old = os.umask(0)
    try:
        created = keyfile.create_signer(path)
    finally:
        os.umask(old)
    assert path.stat().st_mode & 0o777 == 0o600
    assert keyfile.load_signer(path).public_key == created.public_key
    theirs = serialization.load_pem_private_key(path.read_bytes(), None)
    assert isinstance(theirs, Ed25519PrivateKey)
    assert theirs.public_key().public_bytes_raw() == created.public_key


def test_what_cryptography_writes_is_read(tmp_path: Path) -> None:
    key = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    private, public = tmp_path / "private", tmp_path / "public"
    private.touch(0o600)
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    public.write_bytes(
        key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    raw = key.public_key().public_bytes_raw()
    assert keyfile.load_signer(private).public_key == raw
    assert keyfile.load_public(public) == raw


def test_public_keys_are_written_in_pem_and_read_in_both_forms(tmp_path: Path) -> None:
    raw = bytes(range(32))
    keyfile.save_public(tmp_path / "pem", raw)
    (tmp_path / "raw").write_bytes(raw)
    assert keyfile.load_public(tmp_path / "pem") == keyfile.load_public(tmp_path / "raw") == raw


def test_key_ids() -> None:
    assert keyfile.key_id(bytes(32)) == hashlib.sha256(bytes(32)).hexdigest()
    assert keyfile.key_id(bytes(32)).startswith(keyfile.short_key_id(bytes(32)))
    assert len(keyfile.short_key_id(bytes(32))) == 16


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o601, 0o777])
def test_a_private_key_open_to_others_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "device.pem"
    keyfile.create_signer(path)
    path.chmod(mode)
    with pytest.raises(TrustError, match=f"expected mode 0600, got {mode:04o}"):
        keyfile.load_signer(path)


def test_a_private_key_of_another_user_is_refused(tmp_path: Path, as_root: None) -> None:
    path = tmp_path / "device.pem"
    keyfile.create_signer(path)
    os.chown(path, 12345, 12345)
    with pytest.raises(TrustError, match="got uid 12345"):
        keyfile.load_signer(path)


def test_an_existing_key_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "device.pem"
    keyfile.create_signer(path)
    before = path.read_bytes()
    with pytest.raises(TrustError, match="never overwritten"):
        keyfile.create_signer(path)
    assert path.read_bytes() == before


def test_a_symbolic_link_is_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(TrustError):
        keyfile.create_signer(tmp_path / "link")
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo])
def test_what_is_no_regular_file_is_refused(tmp_path: Path, make: object) -> None:
    path = tmp_path / "odd"
    assert callable(make)
    make(path)
    with pytest.raises(TrustError, match="expected a regular file"):
        keyfile.load_signer(path)


def test_missing_files_and_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(TrustError, match=str(tmp_path / "none")):
        keyfile.load_signer(tmp_path / "none")
    with pytest.raises(StoreError, match="cannot write"):
        keyfile.create_signer(tmp_path / "none" / "device.pem")


def test_no_part_of_a_broken_key_is_in_the_error(tmp_path: Path) -> None:
    path = tmp_path / "device.pem"
    keyfile.create_signer(path)
    secret = path.read_bytes().splitlines()[1]
    path.write_bytes(path.read_bytes().replace(b"BEGIN PRIVATE", b"BEGIN EC PRIVATE"))
    with pytest.raises(TrustError) as caught:
        keyfile.load_signer(path)
    shown = str(caught.value) + repr(caught.value.__cause__)
    assert not any(secret[i : i + 8].decode() in shown for i in range(len(secret) - 8))
