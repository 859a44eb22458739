"""Whether a model answered as it should: number by number within its tolerance, all else equal."""

from __future__ import annotations

from typing import TypeGuard

from vedette.codec.strict_json import Json
from vedette.codec.text import quoted

_SHOWN = 5


def difference(
    expected: Json, got: Json, *, absolute: float, relative: float, path: str = "answer"
) -> str:
    """The first place where an answer is wrong, "" where it is right.

    Args:
        expected: what was signed.
        got: what was answered; both without NaN and infinities (codec.strict_json).
        absolute, relative: a number is right within absolute + relative * |expected|.
        path: where in the answer they stand.
    """
    if _is_number(expected) and _is_number(got):
        if got == expected or _is_near(expected, got, absolute, relative):
            return ""
        return f"{path}: expected {quoted(expected)}, got {quoted(got)}"
    if isinstance(expected, list) and isinstance(got, list):
        if len(expected) != len(got):
            return f"{path}: expected {len(expected)} values, got {len(got)}"
        places = ((f"{path}[{index}]", *pair) for index, pair in enumerate(zip(expected, got)))  # noqa: B905 (as long)
    elif isinstance(expected, dict) and isinstance(got, dict):
        if expected.keys() != got.keys():
            odd = sorted(expected.keys() ^ got.keys())[:_SHOWN]
            return f"{path}: missing or unexpected names {quoted(', '.join(odd))}"
        places = ((f"{path}.{name}", expected[name], got[name]) for name in sorted(expected))
    else:
        is_equal = type(expected) is type(got) and expected == got
        return "" if is_equal else f"{path}: expected {_shown(expected)}, got {_shown(got)}"
    for place, one, other in places:
        found = difference(one, other, absolute=absolute, relative=relative, path=place)
        if found:
            return found
    return ""


def _is_near(expected: float, got: float, absolute: float, relative: float) -> bool:
    try:
        return abs(got - expected) <= absolute + relative * abs(expected)
    except OverflowError:  # whole numbers of hundreds of digits, which no float holds
        return False


def _is_number(value: Json) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _shown(value: Json) -> str:
    return type(value).__name__ if isinstance(value, list | dict) else quoted(value)
