"""A set of rules as a command takes it: a signed bundle, its payload, or files and folders.

Rule: a bundle's signature is not checked here: these commands read on the author's machine, and
only a device decides whom it trusts.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from vedette.codec import bundle as bundle_codec
from vedette.codec import dsse
from vedette.errors import ParseError, RuleError
from vedette.model.rule import Bundle

_RULE_SUFFIXES = (".yml", ".yaml")
_ENVELOPE_START = b"{"


class RuleSet(NamedTuple):
    """Rules and where they come from.

    Attributes:
        is_signed: a bundle: its name, counter, dates and digest say something.
        problems: what of a folder was refused, one line each.
        missing: by rule id, what the compiler knows that no sensor sees; a bundle does not say.
    """

    source: Path
    bundle: Bundle
    is_signed: bool
    problems: tuple[str, ...]
    missing: Mapping[str, tuple[str, ...]] = MappingProxyType({})


def load_rule_set(source: Path) -> RuleSet:
    """Read a bundle, or compile a file or folder of rules.

    Raises:
        RuleError: the source does not exist, or is neither.
        DeviceError: it has to be compiled and a library of the operator's side is not installed.
        OSError: it cannot be read.
    """
    if source.is_dir() or source.suffix in _RULE_SUFFIXES:
        return _compiled(source)
    if not source.exists():
        raise RuleError(f"{source}: expected a bundle, or a file or folder of rules, found none")
    data = source.read_bytes()
    try:
        if data[:1] == _ENVELOPE_START:
            envelope = dsse.decode(data)
            if envelope.payload_type != bundle_codec.PAYLOAD_TYPE:
                raise RuleError(f"{source}: expected rules, got {envelope.payload_type}")
            data = envelope.payload
        return RuleSet(source, bundle_codec.decode(data), is_signed=True, problems=())
    except ParseError as error:
        raise RuleError(f"{source}: expected a bundle or YAML of rules: {error}") from error


def _compiled(source: Path) -> RuleSet:
    from vedette.cli._rule_folder import collect  # noqa: PLC0415 (the compiler: not for bundles)

    collected = collect([source])
    bundle = collected.bundle(source.name, 0, 0, 0)
    missing = {one.rule.rule_id: one.missing for one in collected.compiled if one.missing}
    return RuleSet(source, bundle, False, collected.problems, missing)
