"""Makes a certificate authority and certificates for a development broker and its clients.

Rule 1: for development and tests alone; keys are written without passphrase, readable by their
owner. Fleets have an authority of their own.
"""

from __future__ import annotations

import ipaddress
import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

YEAR = timedelta(days=365)


@dataclass(frozen=True, slots=True)
class KeyPair:
    """Files of a certificate and its private key, PEM."""

    certificate: Path
    key: Path


class Authority:
    """Signs certificates below one self-made root.

    Args:
        folder: where files are written; made if missing.
        name: of the root, for people.
        not_before: start of validity of all that it signs; yesterday if None.
        lifetime: of all that it signs.
        is_kept: its key is kept beside its certificate; where both are there, they are used.
    """

    def __init__(
        self,
        folder: Path,
        name: str = "Vedette development",
        not_before: datetime | None = None,
        lifetime: timedelta = YEAR,
        *,
        is_kept: bool = False,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._begins = not_before or datetime.now(UTC) - timedelta(days=1)
        self._ends = self._begins + lifetime
        self._subject = _name(name)
        self.file, key = folder / "ca.pem", folder / "ca.key"
        if is_kept and key.exists():
            self._key = _read_private(key)
            return
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.file.write_bytes(self._sign_root().public_bytes(serialization.Encoding.PEM))
        if is_kept:
            _write_private(key, self._key)

    def server(self, *hosts: str) -> KeyPair:
        """A certificate for a server known by these names or addresses."""
        names = x509.SubjectAlternativeName([_general_name(host) for host in hosts])
        return self._issue(hosts[0], "server", ExtendedKeyUsageOID.SERVER_AUTH, names)

    def client(self, name: str) -> KeyPair:
        """A certificate whose common name a broker takes as the user's name."""
        return self._issue(name, f"client-{name}", ExtendedKeyUsageOID.CLIENT_AUTH, None)

    def sign_request(self, pem: bytes) -> bytes:
        """A client certificate for who made a request (PEM), in PEM; the request must be good."""
        request = x509.load_pem_x509_csr(pem)
        if not request.is_signature_valid:
            raise ValueError("expected a request signed by its own key")
        usage = ExtendedKeyUsageOID.CLIENT_AUTH
        signed = self._sign(request.subject, request.public_key(), usage, None)
        return signed.public_bytes(serialization.Encoding.PEM)

    def _issue(
        self,
        common_name: str,
        file: str,
        usage: x509.ObjectIdentifier,
        names: x509.SubjectAlternativeName | None,
    ) -> KeyPair:
        key = ec.generate_private_key(ec.SECP256R1())
        signed = self._sign(_name(common_name), key.public_key(), usage, names)
        pair = KeyPair(self._folder / f"{file}.pem", self._folder / f"{file}.key")
        pair.certificate.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
        _write_private(pair.key, key)
        return pair

    def _sign(
        self,
        subject: x509.Name,
        public_key: CertificatePublicKeyTypes,
        usage: x509.ObjectIdentifier,
        names: x509.SubjectAlternativeName | None,
    ) -> x509.Certificate:
        builder = (
            self._builder(subject, public_key)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()),
                critical=False,
            )
        )
        if names is not None:
            builder = builder.add_extension(names, critical=False)
        return builder.sign(self._key, hashes.SHA256())

    def _sign_root(self) -> x509.Certificate:
        return (
            self._builder(self._subject, self._key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_signs_certificates(), critical=True)
            .sign(self._key, hashes.SHA256())
        )

    def _builder(
        self, subject: x509.Name, public_key: CertificatePublicKeyTypes
    ) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._subject)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(self._begins)
            .not_valid_after(self._ends)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        )


def _signs_certificates() -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _write_private(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(pem)


def _read_private(path: Path) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(path.read_bytes(), None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError(f"{path}: expected a key of an elliptic curve, got {type(key).__name__}")
    return key
