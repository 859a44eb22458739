"""Detections of Sigma rules and filters as conditions: pySigma parses, this file translates.

Rule 1: what the engine cannot do exactly as Sigma says is refused, never approximated.
Rule 2: a mistake is told where it stands: each key is read on its own before the whole is.
Rule 3: a placeholder (`|expand`) stands for texts that the author gives beside the rules; one
without is refused by name.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NoReturn, TypeAlias

from vedette.cli import _sigma_modifiers, _sigma_regex
from vedette.cli._sigma_document import Document, Key, Path_
from vedette.codec.condition import MAX_NAME_BYTES, MAX_VALUE_BYTES
from vedette.core.comparison import glob_parts
from vedette.core.condition import compile_condition
from vedette.errors import DeviceError, RuleError
from vedette.model.rule import AllOf, AnyOf, Condition, Match, Not, Operator

Placeholders: TypeAlias = Mapping[str, tuple[str, ...]]
"""What |expand puts in place of %name%."""

_SHAPES: dict[str, Operator] = {
    "": "equals",
    "L": "equals",
    "*L": "endswith",
    "L*": "startswith",
    "*L*": "contains",
}
_REFERENCES: dict[tuple[bool, bool], Operator] = {
    (False, False): "equals_field",
    (True, False): "startswith_field",
    (False, True): "endswith_field",
    (True, True): "contains_field",
}
_FLAGS = {"IGNORECASE": "i", "MULTILINE": "m", "DOTALL": "s"}
_NO_ITEMS = frozenset(("condition", "rules"))
_SELECTION_DEPTH = 2  # the section, the name of a selection
_PLACEHOLDER = re.compile(r"(?<!\\)%(\w+)%")  # as pySigma's SigmaString.insert_placeholders
_MODULES = ("sigma.exceptions", "sigma.rule", "sigma.conditions", "sigma.types")
_FAULTS = (TypeError, ValueError, AttributeError, KeyError, IndexError, RecursionError)
"""What pySigma lets out, besides its own errors, on values that it does not expect."""


def compile_detection(document: Document, section: str, placeholders: Placeholders) -> Condition:
    """Translate the selections and the condition of a section ("detection" or "filter").

    Raises:
        RuleError: it means something that a device cannot run; the message begins with its place.
        DeviceError: pySigma is not installed.
    """
    detection = document.value.get(section)
    if not isinstance(detection, dict):
        document.refuse(f"expected a mapping named {section}", section)
    translator = _Translator(document, placeholders)
    for key in document.keys:
        if key.path[0] == section and len(key.path) >= _SELECTION_DEPTH:
            translator.check(key)
    condition = translator.whole(section, detection)
    try:
        compile_condition(condition)
    except RuleError as error:
        document.refuse(str(error), section)
    return condition


class _Translator:
    """Translates one document; remembers which key it reads, for the place of a mistake."""

    def __init__(self, document: Document, placeholders: Placeholders) -> None:
        self._document = document
        self._placeholders = placeholders
        self._sigma = sigma()
        self._at: Key | Path_ = ()

    def check(self, key: Key) -> None:
        """Read one key on its own.

        Raises:
            RuleError: it cannot be run, or says nothing.
        """
        self._at = key
        is_selection = len(key.path) == _SELECTION_DEPTH
        if is_selection and (key.path[-1] in _NO_ITEMS or not _is_plain(key.value)):
            return
        if not is_selection:
            _sigma_modifiers.check(self._document, key)
            self._check_texts(key)
        name = None if is_selection else _sigma_modifiers.spelled_key(key.path[-1])
        item = self._item(name, key)
        try:
            for value in item.value:
                self._value(item.field or "", value)
        except _FAULTS as error:
            self._refuse(f"expected a value that Sigma knows: {error}")

    def whole(self, section: str, detection: Mapping[str, Any]) -> Condition:
        """The condition of a section whose keys are all well."""
        self._at = (section, "condition")
        spelled = _sigma_modifiers.spelled(
            {name: item for name, item in detection.items() if name != "rules"}
        )
        try:
            parsed = self._sigma.rule.SigmaDetections.from_dict(spelled)
            trees = [item.parse() for item in parsed.parsed_condition]
        except self._sigma.exceptions.SigmaError as error:
            self._document.refuse(_message(error), self._at)
        except _FAULTS as error:
            self._document.refuse(f"expected a Sigma condition: {error}", self._at)
        if not trees or any(tree is None for tree in trees):
            self._document.refuse("expected a condition that asks something, got none", self._at)
        conditions = [self._convert(tree) for tree in trees]
        return conditions[0] if len(conditions) == 1 else AnyOf(tuple(_flat(AnyOf, conditions)))

    def _check_texts(self, key: Key) -> None:
        modifiers = key.path[-1].split("|")[1:]
        for index, text in enumerate(key.texts):
            if "expand" in modifiers:
                self._check_placeholders(key, index, text)
            elif "re" in modifiers:
                try:
                    _sigma_regex.check(text)
                except RuleError as error:
                    self._document.refuse_value(str(error), key, index)

    def _check_placeholders(self, key: Key, index: int, text: str) -> None:
        for name in _PLACEHOLDER.findall(text):
            if name not in self._placeholders:
                self._document.refuse_value(
                    f"expected values for the placeholder %{name}%, got none: give them under its "
                    "name in placeholders.yml beside the rules",
                    key,
                    index,
                )

    def _item(self, name: str | None, key: Key) -> Any:
        try:
            return self._sigma.rule.SigmaDetectionItem.from_mapping(name, key.value)
        except self._sigma.exceptions.SigmaError as error:
            self._refuse(_message(error))
        except _FAULTS as error:
            self._refuse(f"expected a value that Sigma knows: {error}")

    def _convert(self, tree: Any) -> Condition:
        match type(tree).__name__:
            case "ConditionAND":
                return AllOf(tuple(_flat(AllOf, map(self._convert, tree.args))))
            case "ConditionOR":
                return AnyOf(tuple(_flat(AnyOf, map(self._convert, tree.args))))
            case "ConditionNOT":
                return Not(self._convert(tree.args[0]))
            case "ConditionFieldEqualsValueExpression" | "ConditionValueExpression":
                return self._value(getattr(tree, "field", ""), tree.value)
            case other:
                return self._refuse(f"expected and, or, not and values, got {other}")

    def _value(self, field: str, value: Any) -> Condition:
        """A value that stands for several of them is their alternative."""
        if getattr(value, "regexp", "") is None:
            self._refuse("expected a regular expression, got nothing")
        if type(value).__name__ == "SigmaExpansion":
            parts = [self._value(field, part) for part in value.values]
        elif getattr(value, "contains_placeholder", bool)():
            parts = [self._value(field, part) for part in self._expanded(value)]
        else:
            return self._comparison(field, value)
        return parts[0] if len(parts) == 1 else AnyOf(tuple(_flat(AnyOf, parts)))

    def _expanded(self, value: Any) -> Iterable[Any]:
        def values(placeholder: Any) -> Iterator[str]:
            if placeholder.name not in self._placeholders:
                self._refuse(f"expected values for the placeholder %{placeholder.name}%")
            yield from self._placeholders[placeholder.name]

        try:
            expanded: list[Any] = value.replace_placeholders(values)
        except self._sigma.exceptions.SigmaError as error:
            self._refuse(_message(error))
        return expanded

    def _comparison(self, field: str, value: Any) -> Match:
        kind = type(value).__name__
        match kind:
            case "SigmaString" | "SigmaCasedString":
                found = _string_match(field, value.s, is_cased=kind == "SigmaCasedString")
            case "SigmaNumber":
                found = Match(field, _plain(field), str(value.number), is_cased=False)
            case "SigmaBool":
                found = Match(field, _plain(field), str(value.boolean).lower(), is_cased=False)
            case "SigmaRegularExpression":
                found = self._pattern(field, value)
            case "SigmaCIDRExpression":
                found = Match(field, "cidr", str(value.network), is_cased=False)
            case "SigmaCompareExpression":
                operator: Operator = value.op.name.lower()
                found = Match(field, operator, str(value.number), is_cased=False)
            case "SigmaExists":
                found = Match(field, "exists", str(value.exists).lower(), is_cased=False)
            case "SigmaNull":
                found = Match(field, "null", "", is_cased=False)
            case "SigmaFieldReference":
                reference = _REFERENCES[value.starts_with, value.ends_with]
                found = Match(field, reference, value.field, is_cased=False)
            case _:
                self._refuse(f"expected text, a number or a pattern for {field}, got {kind}")
        self._check_match(found)
        return found

    def _pattern(self, field: str, value: Any) -> Match:
        flags = "".join(sorted(_FLAGS[flag.name] for flag in value.flags))
        text = (f"(?{flags})" if flags else "") + str(value.regexp.to_plain())
        try:
            pattern = _sigma_regex.check(text)
        except RuleError as error:
            self._refuse(f"{field or 'keywords'}: {error}")
        return Match(field, "re", pattern.text, is_cased=True, gate=pattern.gate)

    def _check_match(self, found: Match) -> None:
        for what, text, most in (
            ("fields", found.field, MAX_NAME_BYTES),
            ("values", found.value, MAX_VALUE_BYTES),
        ):
            try:
                size = len(text.encode())
            except UnicodeEncodeError:
                self._refuse(f"expected text, got half a character in {text!r}")
            if size > most:
                self._refuse(f"expected {what} of at most {most} bytes, got {size}")
        if not found.field and found.value.strip("*") == "":
            self._refuse("expected a keyword, got an empty one: it is in every event")

    def _refuse(self, message: str) -> NoReturn:
        self._document.refuse(message, self._at)


def sigma() -> Any:
    """The package pySigma, with its modules loaded.

    Raises:
        DeviceError: it is not installed.
    """
    try:
        for name in _MODULES:
            importlib.import_module(name)
        return importlib.import_module("sigma")
    except ImportError as error:
        raise DeviceError(
            "compiling rules needs pySigma, which a device does not carry: on the operator's "
            "machine run `pip install 'vedette[operator]'`"
        ) from error


def _is_plain(value: Any) -> bool:
    """Whether a selection is keywords: one value or a list of them."""
    values = value if isinstance(value, list) else [value]
    return not any(isinstance(item, (dict, list)) for item in values)


def _flat(kind: type[AllOf | AnyOf], parts: Iterable[Condition]) -> list[Condition]:
    flat: list[Condition] = []
    for part in parts:
        flat.extend(part.parts if isinstance(part, kind) else (part,))
    return flat


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


def _message(error: Exception) -> str:
    text = str(error).split(" in {", 1)[0].split(" in /", 1)[0]
    return f"expected a Sigma rule: {text}"
