"""Bundles: compiled rules <-> the msgpack payload that is signed.

Rule 1: a bundle is one array: format, name, counter, issued, expires, redactions, rules. A rule is
an array in the order of model.rule.Rule; a condition is ["and", parts...], ["or", parts...],
["not", part] or [operator, field, is_cased, gate, values...], the values being alternatives.
Rule 2: what this file does not know is refused, never passed over: a device that ignored half of a
rule would guard half of what was signed.
Rule 3: text, numbers of items, depth and size are bounded, equal texts and comparisons are shared.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from itertools import groupby
from typing import TypeAlias, get_args

from vedette.codec.compact import Reader
from vedette.errors import ParseError
from vedette.model.finding import Severity
from vedette.model.rule import AllOf, AnyOf, Bundle, Condition, Match, Not, Operator, Rule

PAYLOAD_TYPE = "application/vnd.vedette.rules+msgpack"
FORMAT = 1

MAX_BUNDLE_BYTES = 6 << 20
"""Ours: 5,000 rules take about 2 MB; its DSSE envelope (base64) must fit codec.dsse's 8 MB."""

MAX_RULES = 20_000
MAX_DEPTH = 16
"""Ours: the deepest of SigmaHQ's Linux rules has 4."""

MAX_NODES = 20_000
"""Ours: comparisons and groups in one rule; the largest of SigmaHQ's Linux rules has 100."""

MAX_VALUE_BYTES = 1024
MAX_TEXT_BYTES = 1024
MAX_TAGS = 64
MAX_FIELDS = 64
MAX_REDACTIONS = 256
_MAX_NAME_BYTES = 128

_OPERATORS: dict[str, Operator] = {name: name for name in get_args(Operator)}
_RULE_ITEMS = 8
_BUNDLE_ITEMS = 7
_AND, _OR, _NOT = "and", "or", "not"

Packed: TypeAlias = str | int | bool | list["Packed"]


def encode(bundle: Bundle) -> bytes:
    """Write the payload of a bundle; equal bundles give equal bytes (the digest is not written)."""
    import msgpack  # noqa: PLC0415 (operator side only: 1 MB that a device need not spend)

    document: list[Packed] = [
        FORMAT,
        bundle.name,
        bundle.counter,
        bundle.issued_s,
        bundle.expires_s,
        list(bundle.redactions),
        [_pack_rule(rule) for rule in bundle.rules],
    ]
    packed: bytes = msgpack.packb(document, use_bin_type=True)
    return packed


def decode(payload: bytes) -> Bundle:
    """Read a payload of at most MAX_BUNDLE_BYTES; regular expressions are not compiled here.

    Raises:
        ParseError: it is no bundle of this format; the offset says where.
    """
    if len(payload) > MAX_BUNDLE_BYTES:
        raise ParseError(f"expected a bundle of at most {MAX_BUNDLE_BYTES} bytes", MAX_BUNDLE_BYTES)
    return _Decoder(payload).bundle()


def _pack_rule(rule: Rule) -> Packed:
    return [
        rule.rule_id,
        rule.title,
        rule.author,
        int(rule.severity),
        list(rule.tags),
        rule.category,
        _pack(rule.condition),
        list(rule.fields),
    ]


def _pack(condition: Condition) -> Packed:
    match condition:
        case Match():
            return _pack_matches([condition])
        case AllOf():
            return [_AND, *[_pack(part) for part in condition.parts]]
        case Not():
            return [_NOT, _pack(condition.part)]
        case AnyOf():
            parts = _pack_alternatives(condition.parts)
            if len(parts) == 1 and len(condition.parts) > 1:
                return parts[0]
            return [_OR, *parts]


def _pack_alternatives(parts: Iterable[Condition]) -> list[Packed]:
    """Fold neighbours that differ only in their value: most of a bundle is lists of literals."""
    packed: list[Packed] = []
    for _, run in groupby(parts, key=_fold_key):
        members = list(run)
        matches = [part for part in members if isinstance(part, Match)]
        if matches:
            packed.append(_pack_matches(matches))
        else:
            packed.extend(_pack(part) for part in members)
    return packed


def _fold_key(part: Condition) -> tuple[str, ...]:
    if isinstance(part, Match):
        return (part.field, part.operator, str(part.is_cased), part.gate)
    return ()


def _pack_matches(matches: list[Match]) -> Packed:
    first = matches[0]
    values = [match.value for match in matches]
    return [first.operator, first.field, first.is_cased, first.gate, *values]


class _Decoder:
    """Turns one payload into values; keeps what it has seen so that equal parts are one object."""

    def __init__(self, payload: bytes) -> None:
        self._payload = payload
        self._reader = Reader(payload)
        self._texts: dict[str, str] = {}
        self._matches: dict[Match, Match] = {}
        self._nodes = 0

    def bundle(self) -> Bundle:
        reader = self._reader
        reader.exactly("the bundle", _BUNDLE_ITEMS)
        self._format()
        name = reader.text("the bundle's name", _MAX_NAME_BYTES)
        counter = reader.unsigned("the counter")
        issued_s = reader.unsigned("the time of issue")
        expires_s = reader.unsigned("the time of expiry")
        redactions = self._list("the redactions", MAX_REDACTIONS, MAX_VALUE_BYTES)
        rules = self._rules()
        reader.end()
        digest = hashlib.sha256(self._payload).hexdigest()
        return Bundle(name, counter, issued_s, expires_s, rules, redactions, digest)

    def _format(self) -> None:
        start = self._reader.offset
        found = self._reader.unsigned("the bundle's format")
        if found != FORMAT:
            raise ParseError(
                f"expected bundle format {FORMAT}, got {found}: build it with the vedette that the "
                "device runs",
                start,
            )

    def _rules(self) -> tuple[Rule, ...]:
        count = self._reader.array("the rules", MAX_RULES)
        rules: dict[str, Rule] = {}
        for _ in range(count):
            start = self._reader.offset
            rule = self._rule()
            if rule.rule_id in rules:
                raise ParseError(f"expected rule ids to differ, got {rule.rule_id!r} twice", start)
            rules[rule.rule_id] = rule
        return tuple(rules.values())

    def _rule(self) -> Rule:
        self._nodes = 0
        self._reader.exactly("a rule", _RULE_ITEMS)
        return Rule(
            rule_id=self._text("a rule's id", _MAX_NAME_BYTES),
            title=self._text("a rule's title", MAX_TEXT_BYTES),
            author=self._text("a rule's author", MAX_TEXT_BYTES),
            severity=self._severity(),
            tags=self._list("a rule's tags", MAX_TAGS, _MAX_NAME_BYTES),
            category=self._text("a rule's category", _MAX_NAME_BYTES),
            condition=self._condition(0),
            fields=self._list("a rule's fields", MAX_FIELDS, _MAX_NAME_BYTES),
        )

    def _severity(self) -> Severity:
        start = self._reader.offset
        number = self._reader.unsigned("a rule's severity")
        try:
            return Severity(number)
        except ValueError as error:
            raise ParseError(f"expected a severity from 1 to 5, got {number}", start) from error

    def _condition(self, depth: int) -> Condition:
        start = self._reader.offset
        if depth > MAX_DEPTH:
            raise ParseError(f"expected a condition nested at most {MAX_DEPTH} deep", start)
        count = self._reader.array("a condition", MAX_NODES)
        self._nodes += max(count, 1)
        if count == 0 or self._nodes > MAX_NODES:
            raise ParseError(
                f"expected 1 to {MAX_NODES} parts in a rule's condition, got "
                f"{'none' if count == 0 else self._nodes}",
                start,
            )
        name = self._reader.text("an operator", _MAX_NAME_BYTES)
        if name in (_AND, _OR, _NOT):
            return self._group(name, count - 1, depth, start)
        return self._comparison(name, count, start)

    def _group(self, name: str, count: int, depth: int, start: int) -> Condition:
        if count == 0 or (name == _NOT and count != 1):
            wanted = "one part" if name == _NOT else "at least one part"
            raise ParseError(f"expected {wanted} in {name!r}, got {count}", start)
        parts = tuple(self._condition(depth + 1) for _ in range(count))
        if name == _NOT:
            return Not(parts[0])
        return AllOf(parts) if name == _AND else AnyOf(_flat(parts))

    def _comparison(self, name: str, count: int, start: int) -> Condition:
        operator = _OPERATORS.get(name)
        if operator is None:
            raise ParseError(f"expected a known operator, got {name!r}", start)
        head = 4  # operator, field, is_cased, gate
        if count <= head:
            raise ParseError(f"expected {name!r} with at least one value", start)
        field = self._text("a field", _MAX_NAME_BYTES)
        is_cased = self._reader.flag("a condition's case flag")
        gate = self._text("a gate", MAX_VALUE_BYTES)
        found = tuple(
            self._match(Match(field, operator, self._value(), is_cased, gate))
            for _ in range(count - head)
        )
        return found[0] if len(found) == 1 else AnyOf(found)

    def _value(self) -> str:
        return self._text("a value", MAX_VALUE_BYTES)

    def _list(self, what: str, max_items: int, max_bytes: int) -> tuple[str, ...]:
        return tuple(
            self._text(what, max_bytes) for _ in range(self._reader.array(what, max_items))
        )

    def _text(self, what: str, max_bytes: int) -> str:
        text = self._reader.text(what, max_bytes)
        return self._texts.setdefault(text, text)

    def _match(self, match: Match) -> Match:
        return self._matches.setdefault(match, match)


def _flat(parts: tuple[Condition, ...]) -> tuple[Condition, ...]:
    """Undo the folding of alternatives: an or directly in an or is its parts."""
    flat: list[Condition] = []
    for part in parts:
        flat.extend(part.parts if isinstance(part, AnyOf) else (part,))
    return tuple(flat)
