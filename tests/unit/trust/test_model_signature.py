"""OpenSSF model signatures: what model_signing made holds, and nothing that differs does."""

from __future__ import annotations

import base64
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest
from tests.simulators.model_signer import CURVES, Document, ModelSigner, seal

from vedette.errors import TrustError
from vedette.trust import model_signature
from vedette.trust.model_signature import ModelKey, read_key, verify

VECTORS: Final = Path(__file__).parents[2] / "vectors/model_signing"
SIGNER: Final = ModelSigner()
KEYS: Final = (read_key(SIGNER.public_pem),)

ED25519_PEM: Final = (
    b"-----BEGIN PUBLIC KEY-----\n"
    b"MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n"
    b"-----END PUBLIC KEY-----\n"
)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """The directory that the vectors were made over."""
    folder = tmp_path / "m"
    (folder / "sub").mkdir(parents=True)
    (folder / "a.onnx").write_bytes(b"a" * 1000)
    (folder / "sub/b.bin").write_bytes(b"b" * 2500)
    return folder


def key(name: str) -> ModelKey:
    return read_key((VECTORS / f"{name}.pub").read_bytes())


@pytest.mark.parametrize(
    ("signature", "by"),
    [("p256", "p256"), ("p384", "p384"), ("p521", "p521"), ("shards", "p256"), ("blake2b", "p256")],
)
def test_what_model_signing_signed_holds(model: Path, signature: str, by: str) -> None:
    data = (VECTORS / f"{signature}.sig").read_bytes()
    found = verify(model, data, (key("p521"), key("p384"), key("p256")))
    assert (found.name, found.key, found.files) == ("m", key(by).hint, 2)
    assert found.size_bytes == 3500


@pytest.mark.parametrize("curve", CURVES)
@pytest.mark.parametrize("shard_size", [0, 999, 1000, 10_000])
def test_what_our_signer_signs_holds(model: Path, curve: str, shard_size: int) -> None:
    signer = ModelSigner(curve)
    found = verify(model, signer.sign(model, shard_size=shard_size), [read_key(signer.public_pem)])
    assert found.files == 2


def test_our_signer_says_what_model_signing_says(model: Path) -> None:
    theirs = verify(model, (VECTORS / "p256.sig").read_bytes(), [key("p256")])
    ours = verify(model, SIGNER.sign(model), KEYS)
    assert ours.root == theirs.root


def changed(path: str, data: bytes) -> Callable[[Path], object]:
    return lambda model: (model / path).write_bytes(data)


def put_pipe(model: Path) -> None:
    os.mkfifo(model / "pipe")


def put_link(model: Path) -> None:
    (model / "link").symlink_to("a.onnx")


def link_instead(model: Path) -> None:
    (model / "a.onnx").rename(model.parent / "a.onnx")
    (model / "a.onnx").symlink_to(model.parent / "a.onnx")


def folder_link(model: Path) -> None:
    (model / "sub").rename(model.parent / "sub")
    (model / "sub").symlink_to(model.parent / "sub")


TAMPERED: Final[dict[str, tuple[Callable[[Path], object], str]]] = {
    "one bit of a file flipped": (changed("a.onnx", b"a" * 999 + b"c"), "was changed"),
    "a byte more": (changed("a.onnx", b"a" * 1001), "changed|bytes"),
    "a byte less": (changed("sub/b.bin", b"b" * 2499), "changed|bytes"),
    "a file emptied": (changed("sub/b.bin", b""), "changed|bytes"),
    "a file more": (changed("c.bin", b""), "was not signed"),
    "a file more where model_signing would not look": (changed(".gitignore", b"x"), "not signed"),
    "a file removed": (lambda model: (model / "a.onnx").unlink(), "is not there"),
    "a file renamed": (lambda model: (model / "a.onnx").rename(model / "b.onnx"), "not signed"),
    "a link more": (put_link, "neither file nor folder"),
    "a link instead of a file": (link_instead, "neither file nor folder"),
    "a link instead of a folder": (folder_link, "neither file nor folder"),
    "a pipe": (put_pipe, "neither file nor folder"),
    "a name that is not UTF-8": (
        lambda model: Path(os.fsdecode(os.fsencode(model) + b"/\xff")).touch(), "not UTF-8"
    ),
}  # fmt: skip


@pytest.mark.parametrize("shard_size", [0, 1000])
@pytest.mark.parametrize("case", TAMPERED)
def test_a_directory_that_differs_is_refused(model: Path, case: str, shard_size: int) -> None:
    signature = SIGNER.sign(model, shard_size=shard_size)
    change, reason = TAMPERED[case]
    change(model)
    with pytest.raises(TrustError, match=reason):
        verify(model, signature, KEYS)


def predicate(document: Document) -> Document:
    found: Document = document["predicate"]
    return found


def resource(document: Document, **changes: object) -> None:
    predicate(document)["resources"][0].update(changes)
    seal(document)


def twice(document: Document) -> None:
    resources = predicate(document)["resources"]
    resources.append(resources[0])
    seal(document)


WRONG_STATEMENTS: Final[dict[str, tuple[Callable[[Document], object], str]]] = {
    "another type": (lambda d: d.update(_type="https://in-toto.io/Statement/v0.1"), "_type"),
    "the predicate of v0.2": (
        lambda d: d.update(predicateType="https://model_signing/Digests/v0.1"), "predicateType"
    ),
    "no predicate": (lambda d: d.pop("predicate"), "predicate"),
    "two subjects": (lambda d: d["subject"].append(d["subject"][0]), "one subject"),
    "no subject": (lambda d: d.update(subject=[]), "one subject"),
    "a root digest of other files": (
        lambda d: d["subject"][0]["digest"].update(sha256="0" * 64), "to make"
    ),
    "a root digest beside another": (
        lambda d: d["subject"][0]["digest"].update(sha512="0" * 128), "nothing else"
    ),
    "no files": (lambda d: predicate(d).update(resources=[]), "list of 1"),
    "a file twice": (twice, "once"),
    "an absolute name": (lambda d: resource(d, name="/a.onnx"), "inside"),
    "a name that leaves": (lambda d: resource(d, name="../m/a.onnx"), "inside"),
    "a name that comes back": (lambda d: resource(d, name="sub/../a.onnx"), "inside"),
    "a name with a dot": (lambda d: resource(d, name="./a.onnx"), "inside"),
    "a name with two slashes": (lambda d: resource(d, name="sub//a.onnx"), "inside"),
    "a name that ends with a slash": (lambda d: resource(d, name="a.onnx/"), "inside"),
    "a name with NUL": (lambda d: resource(d, name="a.onnx\0"), "path"),
    "a name of 4,096 bytes": (lambda d: resource(d, name="a" * 4096), "path"),
    "no name": (lambda d: resource(d, name=None), "name"),
    "a digest of the wrong length": (lambda d: resource(d, digest="00" * 20), "32 bytes"),
    "a digest in capitals": (lambda d: resource(d, digest="AA" * 32), "32 bytes"),
    "another algorithm than said": (lambda d: resource(d, algorithm="md5"), "algorithm"),
    "an unknown hash": (lambda d: predicate(d)["serialization"].update(hash_type="md5"), "hash_"),
    "an unknown method": (lambda d: predicate(d)["serialization"].update(method="tar"), "method"),
    "shards without a size": (
        lambda d: predicate(d)["serialization"].update(method="shards"), "shard_size"
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG_STATEMENTS)
def test_a_signed_statement_that_is_wrong_is_refused(model: Path, case: str) -> None:
    change, reason = WRONG_STATEMENTS[case]
    with pytest.raises(TrustError, match=reason):
        verify(model, SIGNER.sign(model, change_statement=change), KEYS)


def shards(*names: str) -> Callable[[Document], object]:
    """The shards of sub/b.bin under these names."""

    def change(document: Document) -> None:
        given = predicate(document)["resources"]
        kept = [one for one in given if one["name"].startswith("a.onnx")]
        like = next(one for one in given if one not in kept)
        predicate(document)["resources"] = kept + [{**like, "name": name} for name in names]
        seal(document)

    return change


WRONG_SHARDS: Final[dict[str, tuple[str, ...]]] = {
    "a hole": ("sub/b.bin:0:1000", "sub/b.bin:2000:2500"),
    "the end missing": ("sub/b.bin:0:1000", "sub/b.bin:1000:2000"),
    "the beginning missing": ("sub/b.bin:1000:2000", "sub/b.bin:2000:2500"),
    "beyond the end": ("sub/b.bin:0:1000", "sub/b.bin:1000:2000", "sub/b.bin:2000:3000"),
    "overlapping": ("sub/b.bin:0:1000", "sub/b.bin:0:500"),
    "longer than a shard": ("sub/b.bin:0:2500",),
    "backwards": ("sub/b.bin:1000:500",),
    "empty": ("sub/b.bin:0:0",),
    "off the grid": ("sub/b.bin:0:1000", "sub/b.bin:1001:2000"),
    "without places": ("sub/b.bin",),
    "with signs": ("sub/b.bin:+0:1000",),
    "with 2^64": (f"sub/b.bin:0:{2**64}",),
    "with leading zeros": ("sub/b.bin:00:1000",),
}


@pytest.mark.parametrize("case", WRONG_SHARDS)
def test_shards_that_do_not_make_the_file_are_refused(model: Path, case: str) -> None:
    signature = SIGNER.sign(model, shard_size=1000, change_statement=shards(*WRONG_SHARDS[case]))
    with pytest.raises(TrustError):
        verify(model, signature, KEYS)


@pytest.mark.parametrize("size", [0, -1, 0.5, 2**63, 10**400, True, "1000", None])
def test_a_shard_size_with_every_trick_is_refused(model: Path, size: object) -> None:
    def change(document: Document) -> None:
        predicate(document)["serialization"]["shard_size"] = size

    signature = SIGNER.sign(model, shard_size=1000, change_statement=change)
    with pytest.raises(TrustError, match="shard_size"):
        verify(model, signature, KEYS)


def envelope(document: Document) -> Document:
    found: Document = document["dsseEnvelope"]
    return found


def other_payload(document: Document) -> None:
    payload = base64.b64decode(envelope(document)["payload"])
    envelope(document)["payload"] = base64.b64encode(payload + b" ").decode()


WRONG_BUNDLES: Final[dict[str, tuple[Callable[[Document], object], str]]] = {
    "another media type": (lambda d: d.update(mediaType="application/json"), "mediaType"),
    "no envelope": (lambda d: d.pop("dsseEnvelope"), "dsseEnvelope"),
    "no signature": (lambda d: envelope(d).update(signatures=[]), "exactly one"),
    "the signature twice": (
        lambda d: envelope(d)["signatures"].append(envelope(d)["signatures"][0]), "exactly one"
    ),
    "another payload type": (lambda d: envelope(d).update(payloadType="text/plain"), "payloadType"),
    "a payload changed afterwards": (other_payload, "changed afterwards"),
    "a signature of zeros": (
        lambda d: envelope(d)["signatures"][0].update(sig="AAAA"), "not made by"
    ),
    "the DER of r=0 and s=0": (
        lambda d: envelope(d)["signatures"][0].update(sig="MAYCAQACAQA="), "not made by"
    ),
    "base64 with something around it": (
        lambda d: envelope(d).update(payload=envelope(d)["payload"] + "\n"), "base64"
    ),
    "a certificate instead of a key": (
        lambda d: d.update(verificationMaterial={"certificate": {"rawBytes": ""}}), "publicKey"
    ),
    "no hint": (
        lambda d: d["verificationMaterial"].update(publicKey={}), "hint"
    ),
    "the hint of an unknown key": (
        lambda d: d["verificationMaterial"]["publicKey"].update(hint="0" * 64), "this device trusts"
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG_BUNDLES)
def test_a_bundle_that_is_wrong_is_refused(model: Path, case: str) -> None:
    change, reason = WRONG_BUNDLES[case]
    with pytest.raises(TrustError, match=reason):
        verify(model, SIGNER.sign(model, change_bundle=change), KEYS)


def test_a_strangers_signature_under_our_hint_is_refused(model: Path) -> None:
    ours = SIGNER.sign(model)
    hint = {"publicKey": {"hint": KEYS[0].hint}}
    stranger = ModelSigner(number=8)
    forged = stranger.sign(model, change_bundle=lambda d: d["verificationMaterial"].update(hint))
    assert forged != ours
    with pytest.raises(TrustError, match="not made by"):
        verify(model, forged, KEYS)


def test_without_keys_nothing_is_trusted(model: Path) -> None:
    with pytest.raises(TrustError, match="trusts none"):
        verify(model, SIGNER.sign(model), ())


def test_a_directory_that_is_gone_is_told(model: Path) -> None:
    signature = SIGNER.sign(model)
    shutil.rmtree(model)
    with pytest.raises(Exception, match="cannot be listed"):
        verify(model, signature, KEYS)


def test_a_directory_without_end_is_refused(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    signature = SIGNER.sign(model)
    monkeypatch.setattr(model_signature, "MAX_ENTRIES", 2)
    with pytest.raises(TrustError, match="more than 2"):
        verify(model, signature, KEYS)


@pytest.mark.parametrize(
    "pem",
    [
        b"",
        b"\0" * 5000,
        b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
        ED25519_PEM,
    ],
    ids=["empty", "long", "broken", "ed25519"],
)
def test_a_key_of_another_kind_is_refused(pem: bytes) -> None:
    with pytest.raises(TrustError, match="expected an ECDSA public key"):
        read_key(pem)
