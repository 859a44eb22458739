"""Every kind of key that tuf knows signs, and is missed where it does not."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from securesystemslib.signer import CryptoSigner
from tests.conformance._device import Device
from tests.simulators.tuf_repository import Repository

KEY_TYPES: dict[str, Callable[[], CryptoSigner]] = {
    "ed25519": CryptoSigner.generate_ed25519,
    "ecdsa": CryptoSigner.generate_ecdsa,
    "rsa-pss": CryptoSigner.generate_rsa,
    "rsa-pkcs1": lambda: CryptoSigner.generate_rsa(scheme="rsa-pkcs1v15-sha256"),
    "ml-dsa-65": CryptoSigner.generate_mldsa,
}


@pytest.mark.parametrize("kind", KEY_TYPES)
def test_a_root_needs_its_second_key_whatever_its_kind(
    kind: str, device: Device, repository: Repository
) -> None:
    signer = KEY_TYPES[kind]()
    repository.add_key("root", signer)
    repository.root.roles["root"].threshold = 2
    repository.publish("root")
    assert device.refresh() == (0, "")
    assert device.versions()["root"] == 2

    repository.publish("root")
    document = json.loads(repository.files["3.root.json"])
    for signature in document["signatures"]:
        if signature["keyid"] == signer.public_key.keyid:
            signature["sig"] = signature["sig"][:-2] + (
                "00" if signature["sig"][-2:] != "00" else "11"
            )
    repository.files["3.root.json"] = json.dumps(document).encode()
    assert device.refresh().code == 1
    assert device.versions()["root"] == 2
