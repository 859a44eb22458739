"""Texts that a regular expression matches, as far as they are easily told, from its parsed tree.

The tree is that of Python's own parser: private, but the only one that agrees with the engine.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from typing import Any

MAX_CHARS = 2048
"""Ours: a{1000}{1000} is not written out."""

ENDLESS = 16
"""Ours: a repetition that may run this often counts as endless."""

_MAX_BRANCHES = 8
_REPEATS = frozenset(("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"))
_CHARACTERS = frozenset(("LITERAL", "NOT_LITERAL", "ANY", "IN"))
_CATEGORIES = {"CATEGORY_DIGIT": "0", "CATEGORY_SPACE": " ", "CATEGORY_WORD": "x"}
_LAST_ASCII = 127


def parse(text: str) -> Any:
    """The tree of a pattern.

    Raises:
        ValueError: Python cannot parse it.
    """
    try:
        return importlib.import_module("re._parser").parse(text, re.ASCII)
    except (re.error, RecursionError, OverflowError) as error:
        raise ValueError(f"expected a pattern of Python's re: {error}") from error


def sample(tree: Any) -> str:
    """A short text that a tree matches; anchors and what looks around are passed over."""
    text = ""
    for operation, argument in tree:
        text += _one(str(operation), argument)
        if len(text) > MAX_CHARS:
            return text[:MAX_CHARS]
    return text


def branches(tree: Any) -> list[str]:
    """Samples of a tree, one for each alternative at its top, at most 8."""
    found = [sample(tree)]
    for operation, argument in tree:
        name = str(operation)
        inner = argument[1] if name == "BRANCH" else []
        if name == "SUBPATTERN":
            found += branches(argument[3])
        found += [sample(branch) for branch in inner]
    return list(dict.fromkeys(found))[:_MAX_BRANCHES]


def children(name: str, argument: Any) -> list[Any]:
    """The trees below one operation."""
    if name in _REPEATS:
        return [argument[2]]
    match name:
        case "SUBPATTERN":
            return [argument[3]]
        case "BRANCH":
            return list(argument[1])
        case "ATOMIC_GROUP":
            return [argument]
        case "ASSERT" | "ASSERT_NOT":
            return [argument[1]]
        case _:
            return []


def is_endless(name: str, argument: Any) -> bool:
    """Whether an operation repeats something more often than any reader would count."""
    return name in _REPEATS and int(argument[1]) >= ENDLESS


def demand(tree: Any) -> int:
    """How many characters the most demanding way through a tree asks for."""
    return sum(_demand(str(operation), argument) for operation, argument in tree)


def _demand(name: str, argument: Any) -> int:
    if name in _CHARACTERS:
        return 1
    most = max((demand(child) for child in children(name, argument)), default=0)
    return most * max(int(argument[0]), 1) if name in _REPEATS else most


def _one(name: str, argument: Any) -> str:
    match name:
        case "LITERAL":
            return chr(argument)
        case "NOT_LITERAL":
            return "x" if argument != ord("x") else "y"
        case "ANY":
            return "x"
        case "IN":
            return _of_set(argument)
        case "SUBPATTERN" | "ATOMIC_GROUP":
            return sample(children(name, argument)[0])
        case "BRANCH":
            return sample(argument[1][0])
        case _ if name in _REPEATS:
            inner = sample(argument[2])
            return inner * min(int(argument[0]), MAX_CHARS // max(len(inner), 1))
        case _:
            return ""


def _of_set(members: Any) -> str:
    name, value = str(members[0][0]), members[0][1]
    match name:
        case "NEGATE":
            taken = {char for member in members[1:] for char in _members(*member)}
            return next((char for char in "xy0 -/" if char not in taken), "~")
        case "RANGE":
            return chr(value[0])
        case "LITERAL":
            return chr(value)
        case _:
            return _CATEGORIES.get(str(value), "x")


def _members(operation: Any, value: Any) -> Iterator[str]:
    match str(operation):
        case "LITERAL":
            yield chr(value)
        case "RANGE":
            yield from map(chr, range(value[0], min(value[1], _LAST_ASCII) + 1))
        case _:
            yield from {"CATEGORY_DIGIT": "0", "CATEGORY_SPACE": " ", "CATEGORY_WORD": "xy0"}.get(
                str(value), ""
            )
