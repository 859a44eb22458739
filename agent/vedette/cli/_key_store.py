"""The operator's keys: a folder with NAME.pub and, beside it, NAME.key or NAME.token.

Rule 1: NAME.pub is PEM (SPKI) for all to read; a name without one is no key.
Rule 2: NAME.key is PKCS#8 in PEM, mode 0600, encrypted unless it was asked otherwise. A file that
others could read is refused, whatever it holds, and no key file is ever overwritten.
Rule 3: NAME.token says where a key in hardware is: its PKCS#11 module and URI, and no PIN.
Rule 4: neither half nor both of the two files is a key of which only the public half is here: its
owner signs on another machine.
"""

from __future__ import annotations

import os
import re
import stat
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)
from securesystemslib.exceptions import UnsupportedLibraryError
from securesystemslib.signer import CryptoSigner, HSMSigner, Signature, Signer, SSlibKey

from vedette.cli._files import create_file, replace_file
from vedette.cli._key_seal import seal
from vedette.cli._passwords import Passwords
from vedette.cli._signing import ENCRYPTED
from vedette.codec import strict_fields as strict
from vedette.codec.strict_json import canonical, parse
from vedette.codec.text import quoted
from vedette.errors import ParseError, RequestError, TrustError, VedetteError

ED25519 = "ed25519"
ML_DSA = "ml-dsa-65"
_MAX_KEY_BYTES = 16_384
_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{0,63}")
_URI = re.compile(r"hsm:[0-9]{1,9}(\?label=[A-Za-z0-9%+._~-]{1,200})?")
_TOKEN = frozenset({"format", "module", "uri"})
_MODULE_VARIABLE = "PYKCS11LIB"  # the only way securesystemslib's signer takes it
_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK  # a fifo must not hold us


class Place(StrEnum):
    """Where the private half is."""

    FILE = "file"
    TOKEN = "token"  # noqa: S105 - a word, no secret
    ELSEWHERE = "elsewhere"


class KeyInfo(NamedTuple):
    """A key as `vedette keys list` shows it.

    Attributes:
        key_id: as TUF's metadata names it.
        raw_hex: the 32 bytes of an Ed25519 key, as trust document and registry have them; "" else.
        is_encrypted: of a private key in a file.
    """

    name: str
    key_type: str
    key_id: str
    raw_hex: str
    place: Place
    is_encrypted: bool


class KeyStore:
    """The keys of one folder.

    Args:
        folder: made by `create` where it is missing.
        passwords: open what is encrypted.
    """

    def __init__(self, folder: Path, passwords: Passwords) -> None:
        self.folder = folder
        self._passwords = passwords
        self._signers: dict[str, Signer] = {}

    def names(self) -> list[str]:
        """Keys of which at least the public half is here, sorted."""
        return sorted(path.stem for path in self.folder.glob("*.pub"))

    def has(self, name: str) -> bool:
        """Whether there is such a key."""
        return self._file(name, "pub").exists()

    def create(self, name: str, key_type: str, *, is_encrypted: bool) -> KeyInfo:
        """Make a key pair and keep it, durably.

        Raises:
            RequestError: the name is malformed, or no password could be had.
            TrustError: a key of that name is there.
        """
        self._expect_new(name)
        password = self._passwords.new(f"key {name}") if is_encrypted else ""
        is_ml_dsa = key_type == ML_DSA
        signer = CryptoSigner.generate_mldsa() if is_ml_dsa else CryptoSigner.generate_ed25519()
        pkcs8 = load_pem_private_key(signer.private_bytes, None)
        private = seal(_der(pkcs8), password) if is_encrypted else signer.private_bytes
        create_file(self._file(name, "key"), private, mode=0o600)
        self._write_public(name, signer.public_key)
        self._signers[name] = signer
        return self.info(name)

    def adopt(self, name: str, module: Path, token: str, number: int) -> KeyInfo:
        """Take a key pair of a hardware token into the folder: its public half and where it is.

        Args:
            name: that it gets here.
            module: the PKCS#11 library of the token.
            token: its label.
            number: the object's id (CKA_ID) as a number.

        Raises:
            RequestError: the token, the key or the library to reach them is not there.
            TrustError: a key of that name is there.
        """
        self._expect_new(name)
        os.environ[_MODULE_VARIABLE] = str(module.absolute())
        try:
            uri, public = HSMSigner.import_(number, token, lambda _: self._pin(name))
        except UnsupportedLibraryError as error:
            raise RequestError(_NO_PKCS11) from error
        except Exception as error:  # a token's library has errors of its own
            raise RequestError(
                f"{module}: token {quoted(token)}, key {number}: {_why(error)}"
            ) from error
        place = canonical({"format": 1, "module": str(module.absolute()), "uri": uri})
        create_file(self._file(name, "token"), place + b"\n", mode=0o644)
        self._write_public(name, public)
        return self.info(name)

    def rotate(self, name: str, *, is_encrypted: bool) -> tuple[KeyInfo, KeyInfo]:
        """Make a new key under a name; the one before is kept under another.

        It is still needed: the next root is signed by the old and the new keys (TUF 5.3.4).

        Returns:
            The new one, and the one before under its new name.

        Raises:
            RequestError: there is none of that name, or it is not in a file here.
        """
        before = self.info(name)
        if before.place is not Place.FILE:
            raise RequestError(
                f"key {name} is not in a file here: make the new one where it is, and bring it "
                "with `vedette keys create NAME --token ...` under a name of its own"
            )
        kept = f"{name}.{before.key_id[:8]}"
        self._expect_new(kept)
        for suffix in ("key", "pub"):
            self._file(name, suffix).rename(self._file(kept, suffix))
        self._signers.pop(name, None)
        return self.create(name, before.key_type, is_encrypted=is_encrypted), self.info(kept)

    def set_password(self, name: str, new: Passwords) -> None:
        """Encrypt a private key anew, under a new password.

        Raises:
            RequestError: the key is not in a file here, or a password is wrong.
        """
        if self.info(name).place is not Place.FILE:
            raise RequestError(f"key {name}: expected a private key in a file here")
        private = self._open(name)
        sealed = seal(_der(private), new.new(f"key {name}"))
        replace_file(self._file(name, "key"), sealed, mode=0o600)

    def info(self, name: str) -> KeyInfo:
        """What is known of a key without a password.

        Raises:
            RequestError: there is none, or its file is no public key.
        """
        public = self.public(name)
        has_file, has_token = (self._file(name, suffix).exists() for suffix in ("key", "token"))
        place = Place.FILE if has_file else Place.TOKEN if has_token else Place.ELSEWHERE
        head = self._read_private(name) if has_file else b""
        return KeyInfo(
            name=name,
            key_type=public.scheme.partition("/")[0],
            key_id=public.keyid,
            raw_hex=public.keyval["public"] if public.keytype == ED25519 else "",
            place=place,
            is_encrypted=head.startswith(ENCRYPTED),
        )

    def public(self, name: str) -> SSlibKey:
        """The public half.

        Raises:
            RequestError: as `info`.
        """
        path = self._file(name, "pub")
        try:
            data = path.read_bytes()
            return SSlibKey.from_crypto(load_pem_public_key(data))
        except FileNotFoundError as error:
            known = ", ".join(self.names()) or "none"
            raise RequestError(
                f"{self.folder}: there is no key {quoted(name)}; there are: {known}; make it with: "
                f"vedette keys create {name}"
            ) from error
        except (OSError, ValueError, UnsupportedAlgorithm) as error:
            raise RequestError(f"{path}: expected a public key in PEM: {_why(error)}") from error

    def is_here(self, name: str) -> bool:
        """Whether we can sign with it."""
        return any(self._file(name, suffix).exists() for suffix in ("key", "token"))

    def signer(self, name: str) -> Signer:
        """The private half, opened with its password, which is asked for once.

        Raises:
            RequestError: it is not here, or the password is wrong.
            TrustError: others could have read it.
        """
        if name not in self._signers:
            self._signers[name] = self._load(name)
        return self._signers[name]

    def sign(self, name: str, payload: bytes) -> Signature:
        """A signature as TUF's metadata holds it: key id, and bytes in hex.

        Raises:
            RequestError: as `signer`, or the token refuses.
            TrustError: as `signer`.
        """
        signer = self.signer(name)
        try:
            return signer.sign(payload)
        except UnsupportedLibraryError as error:
            raise RequestError(_NO_PKCS11) from error
        except VedetteError:
            raise
        except Exception as error:  # a token's library has errors of its own
            raise RequestError(f"key {name} cannot sign: {_why(error)}") from error

    def _load(self, name: str) -> Signer:
        public = self.public(name)
        if self._file(name, "key").exists():
            return CryptoSigner(self._open(name), public)
        path = self._file(name, "token")
        if not path.exists():
            raise RequestError(f"{self.folder}: only the public half of key {name} is here")
        try:
            found = parse(path.read_bytes(), max_bytes=_MAX_KEY_BYTES)
            fields = strict.fields(found, "a token file", _TOKEN)
            strict.format_number(fields["format"], 1)
            module = strict.visible(fields["module"], "a module", 4096)
            uri = strict.matched(fields["uri"], "a URI hsm:ID?label=TOKEN", _URI)
        except ParseError as error:
            raise RequestError(f"{path}: {error}") from error
        os.environ[_MODULE_VARIABLE] = module
        return HSMSigner.from_priv_key_uri(uri, public, lambda _: self._pin(name))

    def _pin(self, name: str) -> str:
        return self._passwords.of(f"the token with key {name} (PIN)")

    def _open(self, name: str) -> PrivateKeyTypes:
        data, path = self._read_private(name), self._file(name, "key")
        is_encrypted = data.startswith(ENCRYPTED)
        password = self._passwords.of(f"key {name}").encode() if is_encrypted else None
        try:
            return load_pem_private_key(data, password)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            # What the library says may repeat what it read; its cause is left out too.
            reason = "the password is wrong, or it" if is_encrypted else "it"
            raise RequestError(f"{path}: {reason} is no private key in PKCS#8 PEM") from None

    def _read_private(self, name: str) -> bytes:
        path = self._file(name, "key")
        try:
            descriptor = os.open(path, _READ)
        except OSError as error:
            raise RequestError(f"{path}: expected a readable key file: {error.strerror}") from error
        try:
            _check_mode(path, os.fstat(descriptor))
            return os.read(descriptor, _MAX_KEY_BYTES)
        finally:
            os.close(descriptor)

    def _write_public(self, name: str, key: SSlibKey) -> None:
        public = key._crypto_key()  # noqa: SLF001 - the only way back to PEM for every key type
        pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        create_file(self._file(name, "pub"), pem, mode=0o644)

    def _expect_new(self, name: str) -> None:
        if not _NAME.fullmatch(name):
            raise RequestError(
                f"expected a key name of small letters, digits, . and -, got {quoted(name)}"
            )
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        taken = [suffix for suffix in ("pub", "key", "token") if self._file(name, suffix).exists()]
        if taken:
            raise TrustError(
                f"{self._file(name, taken[0])}: expected no file, found one; a key is never "
                f"overwritten: for a new one use: vedette keys rotate {name}"
            )

    def _file(self, name: str, suffix: str) -> Path:
        return self.folder / f"{name}.{suffix}"


_NO_PKCS11 = "expected the package python-pkcs11 for keys in hardware: pip install 'vedette[hsm]'"


def _der(key: PrivateKeyTypes) -> bytes:
    return key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


def _why(error: Exception) -> str:
    """What a library says; some of PKCS#11's errors say nothing but their name."""
    return str(error) or type(error).__name__


def _check_mode(path: Path, found: os.stat_result) -> None:
    """Look at what was opened, as trust/keyfile.py does."""
    if not stat.S_ISREG(found.st_mode):
        raise TrustError(f"{path}: expected a regular file, got {stat.filemode(found.st_mode)}")
    if found.st_mode & 0o077 or found.st_uid not in (0, os.geteuid()):
        raise TrustError(
            f"{path}: expected mode 0600 and an owner that is us or root, got "
            f"{stat.S_IMODE(found.st_mode):04o} and uid {found.st_uid}; make a new key if others "
            "could read it"
        )
