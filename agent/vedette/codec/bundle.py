"""Bundles: compiled rules <-> the msgpack payload that is signed.

Rule 1: a bundle is one array: format, name, counter, issued, expires, redactions, rules,
correlations, exclusions. Each of these is an array in the order of its class in model/rule.py;
conditions are codec/condition.py's.
Rule 2: what this file does not know is refused, never passed over: a device that ignored half of a
rule would guard half of what was signed.
Rule 3: text, numbers of items, depth and size are bounded, equal texts and comparisons are shared.
Rule 4: a Sigma rule about several categories of events is a rule for each, with one id. A
correlation refers only to what stands before it, so that nothing goes in circles.
Rule 5: format 1, which had neither correlations nor exclusions, is read as well: a bundle once
accepted loads for ever, also after the agent was updated. Only FORMAT is written.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Generator, Iterable, Iterator
from typing import TypeVar, get_args

from vedette.codec.compact import Reader
from vedette.codec.condition import MAX_NAME_BYTES, MAX_VALUE_BYTES, ConditionReader, Packed, pack
from vedette.errors import ParseError
from vedette.model.finding import Severity
from vedette.model.rule import (
    Alias,
    Bundle,
    Correlation,
    CorrelationKind,
    Exclusion,
    Rule,
    Threshold,
    ThresholdOperator,
)

PAYLOAD_TYPE = "application/vnd.vedette.rules+msgpack"
FORMAT = 2

MAX_BUNDLE_BYTES = 6 << 20
"""Ours: 5,000 rules take about 2 MB; its DSSE envelope (base64) must fit codec.dsse's 8 MB."""

SLICE_BYTES = 4096
"""Ours: read in half a millisecond on x86-64."""

MAX_RULES = 20_000
MAX_CORRELATIONS = 2_000
MAX_EXCLUSIONS = 2_000
MAX_REFERENCES = 256
"""Ours: rules that one correlation or exclusion names; without names it is for the category."""

MAX_TEXT_BYTES = 1024
MAX_TAGS = 64
MAX_FIELDS = 64
MAX_REDACTIONS = 256
MAX_GROUP_FIELDS = 16
MAX_THRESHOLDS = 8
MAX_ALIASES = 64
MAX_CLASSES = 64

MAX_TIMESPAN_S = 31 * 86_400
"""Ours: a device keeps open windows in memory, and forgets them when it restarts."""

MAX_COUNT = 1_000_000
"""Ours: a threshold above this would never be met within the memory of a device."""

_FORMAT_WITHOUT_CORRELATIONS = 1
_BUNDLE_ITEMS = {_FORMAT_WITHOUT_CORRELATIONS: 7, FORMAT: 9}
_RULE_ITEMS = {_FORMAT_WITHOUT_CORRELATIONS: 8, FORMAT: 9}
_CORRELATION_ITEMS = 13
_EXCLUSION_ITEMS = 6
_KINDS: dict[str, CorrelationKind] = {kind: kind for kind in get_args(CorrelationKind)}
_THRESHOLDS: dict[str, ThresholdOperator] = {name: name for name in get_args(ThresholdOperator)}

Item = TypeVar("Item")


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
        [_pack_correlation(correlation) for correlation in bundle.correlations],
        [_pack_exclusion(exclusion) for exclusion in bundle.exclusions],
    ]
    packed: bytes = msgpack.packb(document, use_bin_type=True)
    return packed


def decode(payload: bytes) -> Bundle:
    """Read a payload of at most MAX_BUNDLE_BYTES; regular expressions are not compiled here.

    Raises:
        ParseError: it is no bundle of a known format; the offset says where.
    """
    reading = decode_in_slices(payload)
    while True:
        try:
            next(reading)
        except StopIteration as stop:
            bundle: Bundle = stop.value
            return bundle


def decode_in_slices(payload: bytes) -> Generator[None, None, Bundle]:
    """Read a payload as `decode` does, a little at a time.

    Yields:
        None after every SLICE_BYTES or so: let the loop run in between.

    Returns:
        The bundle, as the generator's value.

    Raises:
        ParseError: it is no bundle of a known format; the offset says where.
    """
    if len(payload) > MAX_BUNDLE_BYTES:
        raise ParseError(f"expected a bundle of at most {MAX_BUNDLE_BYTES} bytes", MAX_BUNDLE_BYTES)
    return (yield from _Decoder(payload).bundle())


def _pack_rule(rule: Rule) -> Packed:
    return [
        rule.rule_id,
        rule.title,
        rule.author,
        int(rule.severity),
        list(rule.tags),
        rule.category,
        pack(rule.condition),
        list(rule.fields),
        rule.is_reported,
    ]


def _pack_correlation(correlation: Correlation) -> Packed:
    return [
        correlation.rule_id,
        correlation.title,
        correlation.author,
        int(correlation.severity),
        list(correlation.tags),
        correlation.kind,
        list(correlation.rules),
        list(correlation.group_by),
        correlation.timespan_s,
        [list(threshold) for threshold in correlation.thresholds],
        list(correlation.value_fields),
        [list(alias) for alias in correlation.aliases],
        correlation.is_reported,
    ]


def _pack_exclusion(exclusion: Exclusion) -> Packed:
    return [
        exclusion.filter_id,
        exclusion.title,
        list(exclusion.device_classes),
        list(exclusion.rules),
        exclusion.category,
        pack(exclusion.condition),
    ]


class _Decoder:
    """Turns one payload into values."""

    def __init__(self, payload: bytes) -> None:
        self._payload = memoryview(payload)
        self._digest = hashlib.sha256()
        self._hashed = 0
        self._reader = Reader(payload)
        self._parts = ConditionReader(self._reader)
        self._format = FORMAT
        self._rule_parts: set[tuple[str, str]] = set()
        self._rule_ids: set[str] = set()
        self._matched_ids: set[str] = set()

    def bundle(self) -> Generator[None, None, Bundle]:
        reader = self._reader
        start = reader.offset
        count = reader.array("the bundle", max(_BUNDLE_ITEMS.values()))
        if count == 0:
            raise ParseError("expected a bundle, got an empty array", start)
        self._read_format()
        wanted = _BUNDLE_ITEMS[self._format]
        if count != wanted:
            raise ParseError(f"expected the bundle with {wanted} items, got {count}", start)
        name = reader.text("the bundle's name", MAX_NAME_BYTES)
        counter = reader.unsigned("the counter")
        issued_s = reader.unsigned("the time of issue")
        expires_s = reader.unsigned("the time of expiry")
        redactions = self._parts.texts("the redactions", MAX_REDACTIONS, MAX_VALUE_BYTES)
        rules = yield from self._slices("the rules", MAX_RULES, self._rule)
        correlations: tuple[Correlation, ...] = ()
        exclusions: tuple[Exclusion, ...] = ()
        if self._format != _FORMAT_WITHOUT_CORRELATIONS:
            correlations = yield from self._slices(
                "the correlations", MAX_CORRELATIONS, self._correlation
            )
            exclusions = yield from self._slices("the exclusions", MAX_EXCLUSIONS, self._exclusion)
        reader.end()
        return Bundle(
            name=name,
            counter=counter,
            issued_s=issued_s,
            expires_s=expires_s,
            rules=rules,
            redactions=redactions,
            digest=self._hash_read().hexdigest(),
            correlations=correlations,
            exclusions=exclusions,
        )

    def _read_format(self) -> None:
        start = self._reader.offset
        self._format = self._reader.unsigned("the bundle's format")
        if self._format not in _BUNDLE_ITEMS:
            raise ParseError(
                f"expected bundle format {FORMAT} or an older one, got {self._format}: build it "
                "with the vedette that the device runs",
                start,
            )

    def _slices(
        self, what: str, most: int, read: Callable[[], Item]
    ) -> Generator[None, None, tuple[Item, ...]]:
        items: list[Item] = []
        for item in self._items(what, most, read):
            items.append(item)
            if self._reader.offset - self._hashed >= SLICE_BYTES:
                self._hash_read()
                yield
        return tuple(items)

    def _hash_read(self) -> hashlib._Hash:
        """Hash what was read since; the whole at once would take milliseconds."""
        offset = self._reader.offset
        self._digest.update(self._payload[self._hashed : offset])
        self._hashed = offset
        return self._digest

    def _items(self, what: str, most: int, read: Callable[[], Item]) -> Iterator[Item]:
        for _ in range(self._reader.array(what, most)):
            yield read()

    def _rule(self) -> Rule:
        start = self._reader.offset
        self._reader.exactly("a rule", _RULE_ITEMS[self._format])
        rule = Rule(
            rule_id=self._name("a rule's id"),
            title=self._text("a rule's title"),
            author=self._text("a rule's author"),
            severity=self._severity(),
            tags=self._names("a rule's tags", MAX_TAGS),
            category=self._name("a rule's category"),
            condition=self._parts.condition(),
            fields=self._names("a rule's fields", MAX_FIELDS),
            is_reported=self._format == _FORMAT_WITHOUT_CORRELATIONS
            or self._reader.flag("whether a rule is reported"),
        )
        part = (rule.rule_id, rule.category)
        if part in self._rule_parts:
            raise ParseError(f"expected rule ids to differ, got {rule.rule_id!r} twice", start)
        self._rule_parts.add(part)
        self._matched_ids.add(rule.rule_id)
        self._rule_ids.add(rule.rule_id)
        return rule

    def _correlation(self) -> Correlation:
        start = self._reader.offset
        self._reader.exactly("a correlation", _CORRELATION_ITEMS)
        correlation = Correlation(
            rule_id=self._own_id(),
            title=self._text("a correlation's title"),
            author=self._text("a correlation's author"),
            severity=self._severity(),
            tags=self._names("a correlation's tags", MAX_TAGS),
            kind=_known(_KINDS, "a kind of correlation", self._reader),
            rules=self._references("a correlation's rules", self._matched_ids),
            group_by=self._names("a correlation's groups", MAX_GROUP_FIELDS),
            timespan_s=self._number("a timespan in seconds", 1, MAX_TIMESPAN_S),
            thresholds=tuple(self._items("the thresholds", MAX_THRESHOLDS, self._threshold)),
            value_fields=self._names("a correlation's values", MAX_GROUP_FIELDS),
            aliases=tuple(self._items("the aliases", MAX_ALIASES, self._alias)),
            is_reported=self._reader.flag("whether a correlation is reported"),
        )
        problem = _problem(correlation)
        if problem:
            raise ParseError(problem, start)
        self._matched_ids.add(correlation.rule_id)
        return correlation

    def _threshold(self) -> Threshold:
        self._reader.exactly("a threshold", 2)
        operator = _known(_THRESHOLDS, "a threshold's operator", self._reader)
        return Threshold(operator, self._number("a threshold", 0, MAX_COUNT))

    def _alias(self) -> Alias:
        self._reader.exactly("an alias", 3)
        return Alias(
            self._name("an alias"), self._name("an alias's rule"), self._name("an alias's field")
        )

    def _exclusion(self) -> Exclusion:
        self._reader.exactly("an exclusion", _EXCLUSION_ITEMS)
        return Exclusion(
            filter_id=self._name("an exclusion's id"),
            title=self._text("an exclusion's title"),
            device_classes=self._names("an exclusion's device classes", MAX_CLASSES),
            rules=self._references("an exclusion's rules", self._rule_ids),
            category=self._name("an exclusion's category"),
            condition=self._parts.condition(),
        )

    def _own_id(self) -> str:
        start = self._reader.offset
        found = self._name("a correlation's id")
        if found in self._matched_ids:
            raise ParseError(f"expected rule ids to differ, got {found!r} twice", start)
        return found

    def _references(self, what: str, known: Collection[str]) -> tuple[str, ...]:
        start = self._reader.offset
        found = self._names(what, MAX_REFERENCES)
        for name in found:
            if name not in known:
                raise ParseError(f"expected {what} to stand before it, got {name!r}", start)
        if len(set(found)) != len(found):
            raise ParseError(f"expected {what} to differ, got one twice", start)
        return found

    def _severity(self) -> Severity:
        start = self._reader.offset
        number = self._reader.unsigned("a rule's severity")
        try:
            return Severity(number)
        except ValueError as error:
            raise ParseError(f"expected a severity from 1 to 5, got {number}", start) from error

    def _number(self, what: str, least: int, most: int) -> int:
        start = self._reader.offset
        number = self._reader.unsigned(what)
        if not least <= number <= most:
            raise ParseError(f"expected {what} from {least} to {most}, got {number}", start)
        return number

    def _text(self, what: str) -> str:
        return self._parts.text(what, MAX_TEXT_BYTES)

    def _name(self, what: str) -> str:
        return self._parts.text(what, MAX_NAME_BYTES)

    def _names(self, what: str, most: int) -> tuple[str, ...]:
        return self._parts.texts(what, most, MAX_NAME_BYTES)


def _known(words: dict[str, Item], what: str, reader: Reader) -> Item:
    start = reader.offset
    word = reader.text(what, MAX_NAME_BYTES)
    if word not in words:
        raise ParseError(f"expected {what} ({', '.join(words)}), got {word!r}", start)
    return words[word]


def _problem(correlation: Correlation) -> str:
    """What no single part of a correlation shows, "" when all is well."""
    if not correlation.rules:
        return "expected a correlation of at least one rule, got none"
    if not correlation.thresholds:
        return "expected a correlation with a threshold, got none"
    if (correlation.kind == "value_count") != bool(correlation.value_fields):
        return f"expected fields to count if it is a value_count, got {correlation.kind} with " + (
            "some" if correlation.value_fields else "none"
        )
    strangers = _strangers(correlation.aliases, correlation.rules)
    return f"expected aliases of the correlation's rules, got {strangers!r}" if strangers else ""


def _strangers(aliases: Iterable[Alias], rules: Collection[str]) -> list[str]:
    return [alias.rule_id for alias in aliases if alias.rule_id not in rules]
