"""Signs model directories as model_signing does, and in every wrong way that a test asks for."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from vedette.codec import dsse, model_signature

Document = dict[str, Any]

CURVES: dict[str, tuple[ec.EllipticCurve, hashes.HashAlgorithm]] = {
    "p256": (ec.SECP256R1(), hashes.SHA256()),
    "p384": (ec.SECP384R1(), hashes.SHA384()),
    "p521": (ec.SECP521R1(), hashes.SHA512()),
}


class ModelSigner:
    """One key; the number makes it the same in every run."""

    def __init__(self, curve: str = "p256", number: int = 7) -> None:
        kind, self._hash = CURVES[curve]
        self._key = ec.derive_private_key(number, kind)
        self.public_pem = self._key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    def sign(
        self,
        folder: Path,
        *,
        shard_size: int = 0,
        hash_name: str = "sha256",
        change_statement: Callable[[Document], object] = lambda _: None,
        change_bundle: Callable[[Document], object] = lambda _: None,
    ) -> bytes:
        """The signature file of a directory; the changes are made before and after signing."""
        document = statement(folder, shard_size=shard_size, hash_name=hash_name)
        change_statement(document)
        payload = json.dumps(document).encode()
        made = self.bundle(payload)
        change_bundle(made)
        return json.dumps(made).encode()

    def bundle(self, payload: bytes) -> Document:
        message = dsse.pae(model_signature.PAYLOAD_TYPE, payload)
        sig = self._key.sign(message, ec.ECDSA(self._hash))
        return {
            "mediaType": model_signature.BUNDLE_TYPE,
            "verificationMaterial": {
                "publicKey": {"hint": hashlib.sha256(self.public_pem).hexdigest()},
                "tlogEntries": [],
            },
            "dsseEnvelope": {
                "payload": base64.b64encode(payload).decode(),
                "payloadType": model_signature.PAYLOAD_TYPE,
                "signatures": [{"sig": base64.b64encode(sig).decode(), "keyid": ""}],
            },
        }


def statement(folder: Path, *, shard_size: int = 0, hash_name: str = "sha256") -> Document:
    """What model_signing 1.1.1 signs."""
    serialization_: Document = {
        "allow_symlinks": False, "hash_type": hash_name, "ignore_paths": [".git"],
        "method": "shards" if shard_size else "files",
    }  # fmt: skip
    if shard_size:
        serialization_["shard_size"] = float(shard_size)
    resources = _resources(folder, shard_size, hash_name)
    return {
        "_type": model_signature.STATEMENT_TYPE,
        "subject": [{"name": folder.name, "digest": {"sha256": root(resources)}}],
        "predicateType": model_signature.PREDICATE_TYPE,
        "predicate": {"resources": resources, "serialization": serialization_},
    }


def root(resources: list[Document]) -> str:
    """The digest over all digests."""
    return hashlib.sha256(b"".join(bytes.fromhex(x["digest"]) for x in resources)).hexdigest()


def seal(document: Document) -> None:
    """Make the root digest that of the resources as they are now."""
    document["subject"][0]["digest"]["sha256"] = root(document["predicate"]["resources"])


def _resources(folder: Path, shard_size: int, hash_name: str) -> list[Document]:
    found: list[Document] = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        data, name = path.read_bytes(), path.relative_to(folder).as_posix()
        if not shard_size:
            digest = hashlib.new(hash_name, data).hexdigest()
            found.append({"name": name, "algorithm": hash_name, "digest": digest})
            continue
        for start in range(0, len(data), shard_size):
            part = data[start : start + shard_size]
            found.append(
                {
                    "name": f"{name}:{start}:{start + len(part)}",
                    "algorithm": f"{hash_name}-sharded-{shard_size}",
                    "digest": hashlib.new(hash_name, part).hexdigest(),
                }
            )
    return found
