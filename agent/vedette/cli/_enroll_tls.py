"""The device's half of TLS: a key made here, a request for a certificate, or a certificate.

Rule 1: the private key is written once and never shown; only the uplink's user may read it.
Rule 2: a certificate is taken only if it is for that key.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from vedette.errors import TrustError

NEVER = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
"""RFC 5280 4.1.2.5: of a certificate with no well-defined end, as devices have it (802.1AR)."""

_PEM = serialization.Encoding.PEM


class Names(NamedTuple):
    """Whom a certificate is for: the common name is what brokers take as the user's name."""

    tenant: str
    device: str


def make_key() -> bytes:
    """A new P-256 key, PKCS#8 PEM, not encrypted: it is read at every start of a device."""
    return ec.generate_private_key(ec.SECP256R1()).private_bytes(
        _PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def request(key_pem: bytes, names: Names) -> bytes:
    """A certificate signing request (RFC 2986), PEM.

    Raises:
        TrustError: the key cannot be used.
    """
    builder = x509.CertificateSigningRequestBuilder().subject_name(_subject(names))
    builder = builder.add_extension(_CLIENT, critical=False)
    return builder.sign(_key(key_pem), hashes.SHA256()).public_bytes(_PEM)


def is_request_of(pem: bytes, key_pem: bytes, names: Names) -> bool:
    """Whether a request is for this key and these names."""
    try:
        found = x509.load_pem_x509_csr(pem)
    except ValueError:
        return False
    is_ours = found.public_key() == _key(key_pem).public_key()
    return is_ours and found.subject == _subject(names)


def self_signed(key_pem: bytes, names: Names, now_s: float) -> bytes:
    """A certificate that the key signs for itself, PEM; it never ends.

    Args:
        key_pem: the device's.
        names: whom it is for.
        now_s: Unix time, not before this agent was built.

    Raises:
        TrustError: the key cannot be used.
    """
    key, subject = _key(key_pem), _subject(names)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.fromtimestamp(now_s, UTC) - timedelta(days=1))
        .not_valid_after(NEVER)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_CLIENT, critical=False)
        .sign(key, hashes.SHA256())
        .public_bytes(_PEM)
    )


def require_for(certificate_pem: bytes, key_pem: bytes, what: str) -> None:
    """Let a certificate pass that is for a key.

    Raises:
        TrustError: it is none, or for another key.
    """
    (first, *_) = certificates(certificate_pem, what)
    if first.public_key() != _key(key_pem).public_key():
        raise TrustError(
            f"{what}: expected a certificate for this device's key, got one for another: sign the "
            "device.csr of this device"
        )


def is_self_signed(certificate_pem: bytes, what: str) -> bool:
    """Whether nobody but the device vouches for a certificate.

    Raises:
        TrustError: it is no certificate.
    """
    (first, *_) = certificates(certificate_pem, what)
    return first.issuer == first.subject


def fingerprint(certificate_pem: bytes, what: str) -> str:
    """SHA-256 of the certificate in hex, as `openssl x509 -fingerprint -sha256` has it.

    Raises:
        TrustError: it is no certificate.
    """
    (first, *_) = certificates(certificate_pem, what)
    return first.fingerprint(hashes.SHA256()).hex()


def certificates(pem: bytes, what: str) -> list[x509.Certificate]:
    """One certificate or more.

    Raises:
        TrustError: there is none, or something else among them.
    """
    try:
        found = x509.load_pem_x509_certificates(pem)
    except ValueError as error:
        raise TrustError(f"{what}: expected certificates in PEM: {error}") from error
    if not found:
        raise TrustError(f"{what}: expected certificates in PEM, found none")
    return found


_CLIENT = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])


def _key(pem: bytes) -> ec.EllipticCurvePrivateKey:
    try:
        key = serialization.load_pem_private_key(pem, None)
    except (ValueError, TypeError):
        key = None  # what the library says may repeat what it read
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TrustError(
            "device.key: expected an unencrypted EC key in PEM, as vedette enroll makes it: move "
            "it away, and a new one is made"
        )
    return key


def _subject(names: Names) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, names.tenant),
            x509.NameAttribute(NameOID.COMMON_NAME, names.device),
        ]
    )
