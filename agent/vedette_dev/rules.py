"""Builds and signs the bundled rules for a development run.

Rule 1: nothing is built when neither the rules nor the key have changed since the last time.
Rule 2: the counter is the time of building, so that each new bundle is above the device's floor.
Rule 3: a rule that cannot be compiled is named and left out, as on an operator's machine.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from pathlib import Path

from vedette.cli._rule_folder import collect, rule_files, seal
from vedette.codec import bundle as bundle_codec
from vedette.codec import dsse
from vedette.errors import RuleError
from vedette.model.rule import Bundle
from vedette.trust.ed25519 import SEED_BYTES, Ed25519Signer
from vedette_dev import identity
from vedette_dev.workbench import Workbench

VALID_S = 365 * 86400
SOURCE_MARK = "rules.source"
"""Says in the workbench's folder of which rules and key its bundle was built."""


def build_rules(bench: Workbench, folder: Path, say: Callable[[str], None]) -> None:
    """Write the signed bundle of a folder of Sigma rules, unless it is there already.

    Args:
        bench: gets the bundle; has the key.
        folder: of Sigma rules.
        say: takes a line before the building, which takes some seconds, and for each bad rule.

    Raises:
        RuleError: no rule can be compiled, or the folder is missing.
    """
    key = identity.signer(bench.keys / identity.RULES)
    mark, source = bench.folder / SOURCE_MARK, _source(folder, key.public_key)
    if bench.bundle.exists() and mark.exists() and mark.read_text() == source:
        say("rules     unchanged since the last start")
        return
    say(f"rules     building and signing {folder}")
    collected = collect([folder])
    for line in collected.problems:
        say(f"rules     left out: {line}")
    if not collected.compiled:
        raise RuleError(f"{folder}: expected Sigma rules, found none that compiles")
    now_s = int(time.time())
    envelope = seal(
        collected, key, name="workbench", counter=now_s, issued_s=now_s, expires_s=now_s + VALID_S
    )
    bench.bundle.write_bytes(envelope)
    mark.write_text(source)


def bundle_of(folder: Path) -> Bundle:
    """The rules of a folder as a device would read them, for judging a recording here.

    Raises:
        RuleError: the folder is missing.
    """
    passing = Ed25519Signer(os.urandom(SEED_BYTES))  # nobody verifies what is used at once
    envelope = seal(collect([folder]), passing, name="again", counter=1, issued_s=0, expires_s=1)
    return bundle_codec.decode(dsse.decode(envelope).payload)


def _source(folder: Path, public_key: bytes) -> str:
    digest = hashlib.sha256(public_key)
    for file in rule_files([folder]):
        digest.update(str(file).encode() + b"\0" + hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()
