"""Builds and signs the bundled rules for a development run.

Rule 1: nothing is built when neither the rules nor the key have changed since the last time.
Rule 2: the counter is the time of building, so that each new bundle is above the device's floor.
"""

from __future__ import annotations

import hashlib
import time
from pathlib import Path

from vedette.cli._sigma_compiler import compile_rule
from vedette.cli._sigma_document import load
from vedette.codec import bundle as codec
from vedette.codec import dsse
from vedette.errors import DeviceError
from vedette.model.rule import Bundle
from vedette.trust.bundle_gate import PAYLOAD_TYPE
from vedette.trust.ed25519 import Ed25519Signer
from vedette.trust.keyfile import key_id
from vedette_dev import identity
from vedette_dev.workbench import Workbench

VALID_S = 365 * 86400


def build_rules(bench: Workbench, folder: Path) -> None:
    """Write the signed bundle of a folder of Sigma rules, unless it is there already.

    Raises:
        RuleError: a rule cannot be compiled; the message names file and line.
        DeviceError: the folder holds no rules.
    """
    files = sorted(path for path in folder.rglob("*.yml") if path.name.count(".") == 1)
    if not files:
        raise DeviceError(f"{folder}: expected Sigma rules (*.yml), found none")
    signer = identity.signer(bench.keys / identity.RULES)
    mark = bench.folder / "rules.source"
    source = _source(files, signer)
    if bench.bundle.exists() and mark.exists() and mark.read_text() == source:
        return
    now_s = int(time.time())
    rules = tuple(compile_rule(document).rule for file in files for document in load(file))
    payload = codec.encode(Bundle("dev", now_s, now_s, now_s + VALID_S, rules, (), ""))
    signature = signer.sign(dsse.pae(PAYLOAD_TYPE, payload))
    envelope = dsse.encode(PAYLOAD_TYPE, payload, [(key_id(signer.public_key), signature)])
    bench.bundle.write_bytes(envelope)
    mark.write_text(source)


def _source(files: list[Path], signer: Ed25519Signer) -> str:
    digest = hashlib.sha256(signer.public_key)
    for file in files:
        digest.update(str(file).encode() + b"\0" + hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()
