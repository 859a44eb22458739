"""Builds and signs the bundled rules for a development run.

Rule 1: nothing is signed when neither the rules nor the key have changed since the last time, and
nothing is compiled, which takes seconds, when the same files were compiled by the same code before.
Rule 2: the counter is the time of building, so that each new bundle is above the device's floor.
Rule 3: a rule that cannot be compiled is named and left out, as on an operator's machine.
"""

from __future__ import annotations

import hashlib
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import vedette
from vedette.cli._signing import sealed
from vedette.codec import bundle as bundle_codec
from vedette.errors import RuleError
from vedette.model.rule import Bundle
from vedette.trust.ed25519 import Ed25519Signer
from vedette_dev import identity
from vedette_dev.cache import cached
from vedette_dev.workbench import Workbench

VALID_S = 365 * 86400
SOURCE_MARK = "rules.source"
"""Says in the workbench's folder of which rules and key its bundle was built."""
_LIBRARIES = ("google-re2", "msgpack", "pysigma", "pyyaml")
_KEPT = 4
"""Ours: bundles in the cache; tests have a few small folders of rules beside the project's."""


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
    bench.bundle.write_bytes(sealed_rules(folder, key, say))
    mark.write_text(source)


def sealed_rules(
    folder: Path, key: Ed25519Signer, say: Callable[[str], None], *, counter: int | None = None
) -> bytes:
    """The signed bundle of a folder of Sigma rules, valid for a year from now.

    Args:
        folder: of Sigma rules.
        key: signs.
        say: takes a line for each rule that was left out.
        counter: of the bundle; None for the time of building.

    Raises:
        RuleError: no rule can be compiled, or the folder is missing.
    """
    bundle, problems = _compiled(folder)
    for line in problems:
        say(f"rules     left out: {line}")
    if not bundle.rules:
        raise RuleError(f"{folder}: expected Sigma rules, found none that compiles")
    now_s = int(time.time())
    number = now_s if counter is None else counter
    dated = replace(bundle, counter=number, issued_s=now_s, expires_s=now_s + VALID_S)
    return sealed(bundle_codec.PAYLOAD_TYPE, bundle_codec.encode(dated), key)


def bundle_of(folder: Path) -> Bundle:
    """The rules of a folder as a device would read them, for judging a recording here.

    Raises:
        RuleError: the folder is missing.
    """
    return _compiled(folder)[0]


def _compiled(folder: Path) -> tuple[Bundle, list[str]]:
    """What a device would read of a folder of rules, and a line for each that was left out."""
    inputs = b"".join((str(folder.absolute()).encode(), *_compiler(), *_digests(folder)))
    try:
        return _read(cached("rules", inputs, lambda made: _compile(folder, made), kept=_KEPT))
    except PermissionError:  # an ordinary user on somebody else's clone
        with tempfile.TemporaryDirectory() as made:
            _compile(folder, Path(made))
            return _read(Path(made))


def _compile(folder: Path, made: Path) -> None:
    from vedette.cli._rule_folder import collect  # noqa: PLC0415 (pySigma takes a while as well)

    collected = collect([folder])
    bundle = collected.bundle("workbench", 1, 0, 1)
    (made / "bundle").write_bytes(bundle_codec.encode(bundle))
    (made / "problems").write_text("\n".join(collected.problems), "utf-8")


def _read(made: Path) -> tuple[Bundle, list[str]]:
    bundle = bundle_codec.decode((made / "bundle").read_bytes())
    return bundle, (made / "problems").read_text("utf-8").splitlines()


def _source(folder: Path, public_key: bytes) -> str:
    digest = hashlib.sha256(public_key)
    for one in _digests(folder):
        digest.update(one)
    return digest.hexdigest()


def _compiler() -> Iterator[bytes]:
    """What decides how rules are compiled: our code, Python and libraries."""
    yield f"{sys.version} {[version(name) for name in _LIBRARIES]}".encode()
    yield from _digests(Path(vedette.__file__).parent, "*.py")


def _digests(folder: Path, pattern: str = "*") -> Iterator[bytes]:
    for file in sorted(folder.rglob(pattern)):
        if file.is_file():
            name = str(file.relative_to(folder)).encode()
            yield hashlib.sha256(name + b"\0" + file.read_bytes()).digest()
