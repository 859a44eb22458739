"""Model values to plain lists, maps and scalars (for msgpack) and back, by their annotations.

Rule 1: a NamedTuple or dataclass becomes a list of its fields in order; a union of them is told
apart by the class name in front.
Rule 2: reading checks every element against its annotation: a value comes out whole, or a
ParseError names the path that is wrong.
"""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Mapping
from enum import Enum
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from vedette.errors import ParseError

_SCALARS = frozenset({bool, int, float, str, type(None)})
MAX_ITEMS = 100_000
"""Of one list or map: a seed of all processes is the largest we write."""


def to_plain(value: Any) -> Any:
    """A value of the model as msgpack takes it; unions keep their class name."""
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return [type(value).__name__, *map(to_plain, value)]
    if dataclasses.is_dataclass(value):
        parts = [getattr(value, field.name) for field in dataclasses.fields(value)]
        return [type(value).__name__, *map(to_plain, parts)]
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, tuple | list):
        return [to_plain(item) for item in value]
    if isinstance(value, frozenset):
        return sorted(to_plain(item) for item in value)
    if isinstance(value, Mapping):
        return {key: to_plain(item) for key, item in value.items()}
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape") if _is_foreign(value) else value
    return value


def from_plain(annotation: Any, plain: Any, path: str = "value") -> Any:
    """Read a value back.

    Args:
        annotation: the type that is expected, as typing.get_type_hints gives it.
        plain: what msgpack gave.
        path: where it stands, for the error.

    Raises:
        ParseError: the plain value does not have the annotated shape.
    """
    origin = get_origin(annotation)
    if origin in {Union, types.UnionType}:
        return _read_union(get_args(annotation), plain, path)
    if origin is Literal:
        _expect(plain in get_args(annotation), annotation, plain, path)
        return plain
    if origin is tuple:
        return _read_tuple(get_args(annotation), plain, path)
    if origin is frozenset:
        return frozenset(_read_tuple((get_args(annotation)[0], ...), plain, path))
    if origin is not None and issubclass(origin, Mapping):
        return _read_mapping(get_args(annotation), plain, path)
    if isinstance(annotation, type) and (
        hasattr(annotation, "_fields") or dataclasses.is_dataclass(annotation)
    ):
        return _read_record(annotation, plain, path)
    return _read_scalar(annotation, plain, path)


def _read_union(choices: tuple[Any, ...], plain: Any, path: str) -> Any:
    if plain is None and type(None) in choices:
        return None
    if all(choice in _SCALARS for choice in choices):
        _expect(type(plain) in choices, _names(choices), plain, path)
        return plain
    _expect(isinstance(plain, list) and bool(plain), "a tagged list", plain, path)
    for choice in choices:
        if getattr(choice, "__name__", "") == plain[0]:
            return from_plain(choice, plain, path)
    raise ParseError(f"{path}: expected one of {_names(choices)}, got {_short(plain[0])}")


def _read_tuple(shape: tuple[Any, ...], plain: Any, path: str) -> tuple[Any, ...]:
    _expect(isinstance(plain, list) and len(plain) <= MAX_ITEMS, "a list", plain, path)
    if len(shape) == 2 and shape[1] is ...:  # noqa: PLR2004 - tuple[X, ...]
        return tuple(from_plain(shape[0], x, f"{path}[{i}]") for i, x in enumerate(plain))
    _expect(len(plain) == len(shape), f"{len(shape)} elements", plain, path)
    pairs = enumerate(zip(shape, plain, strict=True))
    return tuple(from_plain(kind, x, f"{path}[{i}]") for i, (kind, x) in pairs)


def _read_mapping(shape: tuple[Any, ...], plain: Any, path: str) -> dict[Any, Any]:
    _expect(isinstance(plain, dict) and len(plain) <= MAX_ITEMS, "a map", plain, path)
    return {
        from_plain(shape[0], key, f"{path} key"): from_plain(shape[1], item, f"{path}[{key!r:.40}]")
        for key, item in plain.items()
    }


def _read_record(kind: Any, plain: Any, path: str) -> Any:
    hints = _hints(kind)
    path = f"{path}.{kind.__name__}"
    _expect(isinstance(plain, list), kind, plain, path)
    _expect(_required(kind) <= len(plain) - 1 <= len(hints), kind, plain, path)
    _expect(plain[0] == kind.__name__, kind, plain, path)
    pairs = zip(hints.items(), plain[1:], strict=False)
    return kind(*(from_plain(hint, item, f"{path}.{name}") for (name, hint), item in pairs))


def _read_scalar(annotation: Any, plain: Any, path: str) -> Any:
    if annotation is str and isinstance(plain, bytes):
        return plain.decode("utf-8", "surrogateescape")
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        try:
            return annotation(plain)
        except ValueError as error:
            raise ParseError(f"{path}: expected a known value, {error}") from error
    if annotation is float and type(plain) is int:
        return float(plain)
    _expect(type(plain) is annotation, annotation, plain, path)
    return plain


@cache
def _hints(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind)


@cache
def _required(kind: Any) -> int:
    """How many fields an older writer must have given: those without a default."""
    if dataclasses.is_dataclass(kind):
        return sum(field.default is dataclasses.MISSING for field in dataclasses.fields(kind))
    return len(kind._fields) - len(kind._field_defaults)


def _is_foreign(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def _expect(holds: bool, wanted: Any, plain: Any, path: str) -> None:  # noqa: FBT001 - reads as a sentence
    if not holds:
        name = wanted if isinstance(wanted, str) else getattr(wanted, "__name__", str(wanted))
        raise ParseError(f"{path}: expected {name}, got {_short(plain)}")


def _names(choices: tuple[Any, ...]) -> str:
    return ", ".join(getattr(choice, "__name__", str(choice)) for choice in choices)


def _short(plain: Any) -> str:
    return f"{type(plain).__name__} {plain!r:.60}"
