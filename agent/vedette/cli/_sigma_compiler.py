"""Compiles Sigma 2 rules into model.rule: pySigma parses, this file decides what a device can run.

Rule 1: operator side only; the device reads bundles and never imports this.
Rule 2: what the engine cannot do exactly as Sigma says is a RuleError with file, line and column,
never an approximation.
Rule 3: what can never match on today's events (a field no sensor gives) is a warning.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from typing import Any, NamedTuple

from vedette.cli import _sigma_regex
from vedette.cli._event_fields import EVENT_FIELDS, shown_fields
from vedette.cli._sigma_document import Document, Key
from vedette.codec.condition import MAX_VALUE_BYTES
from vedette.core.comparison import glob_parts
from vedette.core.condition import compile_condition
from vedette.core.partition import fields_of
from vedette.core.triggers import trigger
from vedette.errors import DeviceError, RuleError
from vedette.model.finding import Severity
from vedette.model.rule import AllOf, AnyOf, Condition, Match, Not, Operator, Rule

# fmt: off
MODIFIERS = frozenset((
    "contains", "startswith", "endswith", "all", "re", "i", "ignorecase", "m", "multiline", "s",
    "dotall", "cidr", "exists", "cased", "lt", "lte", "gt", "gte",
))
# fmt: on

_LEVELS = {level.name.lower(): level for level in Severity}
_SHAPES: dict[str, Operator] = {
    "": "equals",
    "L": "equals",
    "*L": "endswith",
    "L*": "startswith",
    "*L*": "contains",
}
_FLAGS = {"IGNORECASE": "i", "MULTILINE": "m", "DOTALL": "s"}
_ALL_SERVICES = frozenset(("syslog", "messages"))
_KEY_DEPTH = 3  # detection, the name of a selection, the key
_MAX_TITLE_CHARS = 256  # Sigma specification, "Title"


class Compiled(NamedTuple):
    """A rule, the document it came from, and what its author should know."""

    rule: Rule
    document: Document
    warnings: tuple[str, ...]


def compile_rule(document: Document) -> Compiled:
    """Compile one Sigma document.

    Raises:
        RuleError: it is no rule that this version can run; the message begins with its place.
        DeviceError: pySigma is not installed.
    """
    _check_kind(document)
    _check_keys(document)
    category, severity = _category(document), _severity(document)
    rule_id, title, author = (_text(document, name) for name in ("id", "title", "author"))
    condition = _condition(document)
    fields = [field for field in dict.fromkeys(fields_of(condition)) if field]
    wanted = map(str, document.value.get("fields") or ())
    rule = Rule(
        rule_id=rule_id,
        title=title[:_MAX_TITLE_CHARS],
        author=author,
        severity=severity,
        tags=tuple(map(str, document.value.get("tags") or ())),
        category=category,
        condition=condition,
        fields=tuple(dict.fromkeys([*wanted, *fields, *shown_fields(category)])),
    )
    try:
        compile_condition(condition)
    except RuleError as error:
        document.refuse(str(error), "detection")
    return Compiled(rule, document, tuple(_warnings(document, rule, fields)))


def _check_kind(document: Document) -> None:
    for kind in ("correlation", "filter", "action"):
        if kind in document.value:
            document.refuse(f"expected a detection, got a {kind}: not supported yet", kind)
    if not isinstance(document.value.get("detection"), dict):
        document.refuse("expected a mapping named detection")


def _check_keys(document: Document) -> None:
    """Refuse unknown modifiers and bad patterns where they stand; pySigma knows no places."""
    for key in document.keys:
        if key.path[0] != "detection" or len(key.path) < _KEY_DEPTH:
            continue
        field, *modifiers = key.path[-1].split("|")
        skip = len(field) + 1
        for modifier in modifiers:
            if modifier not in MODIFIERS:
                document.refuse(
                    f"expected one of the modifiers {', '.join(sorted(MODIFIERS))}; "
                    f"got {modifier!r}, which this version cannot run",
                    key,
                    skip=skip,
                )
            skip += len(modifier) + 1
        if "re" in modifiers:
            _check_patterns(document, key)


def _check_patterns(document: Document, key: Key) -> None:
    for text in key.texts:
        try:
            _sigma_regex.check(text)
        except RuleError as error:
            document.refuse(str(error), key)


def _category(document: Document) -> str:
    source = document.value.get("logsource")
    if not isinstance(source, dict):
        document.refuse("expected a mapping named logsource")
    product = source.get("product")
    if product not in (None, "linux"):
        document.refuse(f"expected product linux, got {product!r}", "logsource")
    if source.get("category"):
        return str(source["category"])
    service = str(source.get("service") or "")
    return "service:" if service in _ALL_SERVICES else f"service:{service}"


def _severity(document: Document) -> Severity:
    level = document.value.get("level")
    found = _LEVELS.get(str(level))
    if found is None:
        document.refuse(f"expected level to be one of {', '.join(_LEVELS)}; got {level!r}", "level")
    return found


def _text(document: Document, name: str) -> str:
    value = document.value.get(name)
    if not isinstance(value, str) or not value.strip():
        document.refuse(f"expected text named {name}, got {value!r}: a finding carries it", name)
    return " ".join(value.split())


def _condition(document: Document) -> Condition:
    sigma = _sigma()
    try:
        parsed = sigma.rule.SigmaRule.from_dict(dict(document.value))
        trees = [item.parse() for item in parsed.detection.parsed_condition]
    except sigma.exceptions.SigmaError as error:
        document.refuse(_message(error), "detection")
    except (TypeError, ValueError, AttributeError, KeyError, RecursionError) as error:
        document.refuse(f"expected a Sigma rule: {error}", "detection")
    conditions = [_convert(document, tree) for tree in trees]
    return conditions[0] if len(conditions) == 1 else AnyOf(tuple(conditions))


def _convert(document: Document, tree: Any) -> Condition:
    match type(tree).__name__:
        case "ConditionAND":
            return AllOf(tuple(_flat(AllOf, (_convert(document, part) for part in tree.args))))
        case "ConditionOR":
            return AnyOf(tuple(_flat(AnyOf, (_convert(document, part) for part in tree.args))))
        case "ConditionNOT":
            return Not(_convert(document, tree.args[0]))
        case "ConditionFieldEqualsValueExpression" | "ConditionValueExpression":
            return _comparison(document, getattr(tree, "field", ""), tree.value)
        case other:
            return document.refuse(f"expected and, or, not and values, got {other}", "detection")


def _flat(kind: type[AllOf | AnyOf], parts: Iterable[Condition]) -> list[Condition]:
    flat: list[Condition] = []
    for part in parts:
        flat.extend(part.parts if isinstance(part, kind) else (part,))
    return flat


def _comparison(document: Document, field: str, value: Any) -> Match:
    kind = type(value).__name__
    match kind:
        case "SigmaString" | "SigmaCasedString":
            found = _string_match(field, value.s, is_cased=kind == "SigmaCasedString")
        case "SigmaNumber":
            found = Match(field, _plain(field), str(value.number), is_cased=False)
        case "SigmaBool":
            found = Match(field, _plain(field), str(value.boolean).lower(), is_cased=False)
        case "SigmaRegularExpression":
            found = _pattern_match(document, field, value)
        case "SigmaCIDRExpression":
            found = Match(field, "cidr", str(value.network), is_cased=False)
        case "SigmaCompareExpression":
            operator: Operator = value.op.name.lower()
            found = Match(field, operator, str(value.number), is_cased=False)
        case "SigmaExists":
            found = Match(field, "exists", str(value.exists).lower(), is_cased=False)
        case "SigmaNull":
            found = Match(field, "null", "", is_cased=False)
        case _:
            document.refuse(f"expected text, a number or a pattern for {field}, got {kind}")
    _check_value(document, found)
    return found


def _check_value(document: Document, found: Match) -> None:
    try:
        size = len(found.value.encode())
    except UnicodeEncodeError:
        document.refuse(f"expected text, got half a character in {found.value!r}", "detection")
    if size > MAX_VALUE_BYTES:
        document.refuse(f"expected values of at most {MAX_VALUE_BYTES} bytes", "detection")
    if not found.field and found.value.strip("*") == "":
        document.refuse("expected a keyword, got an empty one: it is in every event", "detection")


def _plain(field: str) -> Operator:
    """A keyword is searched anywhere in an event, a field's value is the whole value."""
    return "equals" if field else "contains"


def _string_match(field: str, parts: tuple[Any, ...], *, is_cased: bool) -> Match:
    """The cheapest operator for a Sigma string: texts and wildcards in pySigma's parts."""
    folded = [_folded(part, is_cased=is_cased) for part in parts]
    if not field:  # a keyword is searched anywhere: as if wildcards stood around it
        folded = ["*", *folded, "*"]
    shape = "".join(part if part in ("*", "?") else "L" for part in folded)
    if shape == "*":
        return Match(field, "exists", "true", is_cased=False)
    operator = _SHAPES.get(shape)
    if operator is None:
        return Match(field, "glob", "".join(folded), is_cased)
    literal = "".join(part for part in folded if part != "*")
    return Match(field, operator, _unescaped(literal), is_cased)


def _folded(part: Any, *, is_cased: bool) -> str:
    """One part as a glob has it: "*", "?" or a text in which these are escaped."""
    if not isinstance(part, str):
        return "*" if part.name == "WILDCARD_MULTI" else "?"
    text = part if is_cased else part.lower()
    return text.replace("\\", "\\\\").replace("*", "\\*").replace("?", "\\?")


def _unescaped(text: str) -> str:
    return "".join(glob_parts(text)[0::2])


def _pattern_match(document: Document, field: str, value: Any) -> Match:
    flags = "".join(sorted(_FLAGS[flag.name] for flag in value.flags))
    text = (f"(?{flags})" if flags else "") + str(value.regexp.to_plain())
    try:
        pattern = _sigma_regex.check(text)
    except RuleError as error:
        document.refuse(f"{field or 'keywords'}: {error}", "detection")
    return Match(field, "re", pattern.text, is_cased=True, gate=pattern.gate)


def _warnings(document: Document, rule: Rule, fields: list[str]) -> Iterable[str]:
    line, column = document.place("detection")
    place = f"{document.file}:{line}:{column}"
    known = EVENT_FIELDS.get(rule.category)
    if rule.category == "service:auditd":
        yield f"{place}: no sensor gives events of service auditd yet: this rule never matches"
    elif rule.category.startswith("service:"):
        known = EVENT_FIELDS["service:"]
    elif known is None:
        yield f"{place}: no sensor gives events of category {rule.category}: it never matches"
    for field in fields:
        if known is not None and field not in known:
            yield f"{place}: {rule.category} events have no field {field}: that part never matches"
    if trigger(rule.condition) is None:
        yield f"{place}: requires no text at all, so it is asked of every event: add a clause"


def _message(error: Exception) -> str:
    text = str(error).split(" in {", 1)[0].split(" in /", 1)[0]
    return f"expected a Sigma rule: {text}"


def _sigma() -> Any:
    try:
        for name in ("sigma.exceptions", "sigma.rule", "sigma.conditions"):
            importlib.import_module(name)
        return importlib.import_module("sigma")
    except ImportError as error:
        raise DeviceError(
            "compiling rules needs pySigma, which a device does not carry: on the operator's "
            "machine run `pip install 'vedette[operator]'`"
        ) from error
