"""The binding to libcrypto against RFC 8032 and against `cryptography`."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)
from hypothesis import given
from hypothesis import strategies as st
from tests.simulators.examples import examples

from vedette.errors import DeviceError
from vedette.trust import ed25519
from vedette.trust.ed25519 import Ed25519Signer, Ed25519Verifier

RFC_8032 = {
    "empty message": (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        (
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
            "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
        ),
    ),
    "one byte": (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        (
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
            "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
        ),
    ),
    "two bytes": (
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        (
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
            "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"
        ),
    ),
}
ORDER = 2**252 + 27742317777372353535851937790883648493  # RFC 8032 section 5.1


@pytest.mark.parametrize("vector", RFC_8032.values(), ids=RFC_8032.keys())
def test_rfc_8032_vector(vector: tuple[str, str, str, str]) -> None:
    seed, public, message, signature = (bytes.fromhex(part) for part in vector)
    signer = Ed25519Signer(seed)
    assert signer.public_key == public
    assert signer.sign(message) == signature
    assert Ed25519Verifier().verify(public, signature, message)


@examples(0.25)
@given(seed=st.binary(min_size=32, max_size=32), message=st.binary(max_size=4096))
def test_same_as_cryptography(seed: bytes, message: bytes) -> None:
    ours, theirs = Ed25519Signer(seed), Ed25519PrivateKey.from_private_bytes(seed)
    assert ours.public_key == theirs.public_key().public_bytes_raw()
    assert ours.sign(message) == theirs.sign(message)


@examples(0.5)
@given(
    public=st.binary(min_size=32, max_size=32),
    signature=st.binary(min_size=64, max_size=64),
    message=st.binary(max_size=64),
)
def test_verdict_is_that_of_cryptography_for_any_bytes(
    public: bytes, signature: bytes, message: bytes
) -> None:
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        is_good = False
    else:
        is_good = True
    assert Ed25519Verifier().verify(public, signature, message) is is_good


@pytest.mark.parametrize("position", [0, 31, 32, 63])
def test_one_flipped_bit_is_refused(position: int) -> None:
    signer, verifier = Ed25519Signer(bytes(32)), Ed25519Verifier()
    signature = bytearray(signer.sign(b"message"))
    signature[position] ^= 1
    assert not verifier.verify(signer.public_key, bytes(signature), b"message")


def test_a_signature_with_the_order_added_is_refused() -> None:
    signer = Ed25519Signer(bytes(32))
    signature = signer.sign(b"message")
    scalar = int.from_bytes(signature[32:], "little") + ORDER
    forged = signature[:32] + scalar.to_bytes(32, "little")
    assert not Ed25519Verifier().verify(signer.public_key, forged, b"message")


@pytest.mark.parametrize("size", [0, 31, 33, 64])
def test_a_seed_of_another_length_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match=f"expected a seed of 32 bytes, got {size}"):
        Ed25519Signer(bytes(size))


@pytest.mark.parametrize(("key_size", "signature_size"), [(0, 64), (31, 64), (32, 63), (32, 65)])
def test_another_length_is_false_and_raises_nothing(key_size: int, signature_size: int) -> None:
    assert not Ed25519Verifier().verify(bytes(key_size), bytes(signature_size), b"")


def test_the_private_half_is_not_shown_copied_or_pickled() -> None:
    seed = bytes(range(32))
    signer = Ed25519Signer(seed)
    assert seed.hex() not in repr(signer)
    for copier in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError, match="private key"):
            copier(signer)


def test_a_closed_key_signs_no_more() -> None:
    signer = Ed25519Signer(bytes(32))
    signer.close()
    signer.close()
    with pytest.raises(ValueError, match="closed"):
        signer.sign(b"")


def test_no_error_is_left_for_others_after_a_refusal() -> None:
    public = Ed25519Signer(bytes(32)).public_key
    assert not Ed25519Verifier().verify(public, bytes(64), b"")
    assert ed25519._libcrypto().ERR_get_error() == 0


def test_a_machine_without_libcrypto_is_told_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ed25519, "_candidates", lambda: iter(["libnowhere.so.0", "libc.so.6"]))
    with pytest.raises(DeviceError, match="install it"):
        ed25519._libcrypto.__wrapped__()


def test_it_uses_the_mapped_library_and_imports_no_ssl() -> None:
    script = (
        "import sys, re\n"
        "from vedette.trust.ed25519 import Ed25519Signer\n"
        "Ed25519Signer(bytes(32)).sign(b'')\n"
        "maps = open('/proc/self/maps').read()\n"
        "libraries = set(re.findall(r'\\S*libcrypto\\S*', maps))\n"
        "assert len(libraries) <= 1, libraries\n"
        "assert 'ssl' not in sys.modules and 'cryptography' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=20)
