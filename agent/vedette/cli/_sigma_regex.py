"""Regular expressions of rules: what may pass to a device, and what a value must hold to be asked.

Rule 1: a pattern must mean the same to RE2 and to Python's re: RE2's syntax has no look-around and
no back-reference, so that an engine without backtracking can take its place.
Rule 2: a repetition without end must not hold another one: (a+)+ takes 17 s on 29 characters.
Rule 3: every pattern is timed against hostile lines (_pattern_trial.py) before it may pass.
"""

from __future__ import annotations

import functools
import importlib
import re
import warnings
from collections.abc import Iterable
from typing import Any, NamedTuple

from vedette.cli._pattern_sample import children
from vedette.cli._pattern_trial import MAX_SEARCH_S, slowest
from vedette.errors import DeviceError, RuleError

_ENDLESS = 32
"""Ours: a repetition that may run this often counts as endless."""

MIN_GATE_CHARS = 3
"""Ours: shorter texts are in nearly every command line."""


class Pattern(NamedTuple):
    """A checked pattern and its gate: lower-case ASCII in every text it matches, "" for none."""

    text: str
    gate: str


@functools.lru_cache(maxsize=1024)
def check(text: str) -> Pattern:
    """Let a pattern pass to devices; the answer is remembered, for its trial takes a while.

    Raises:
        RuleError: RE2 or Python refuses it, or it may take time that grows out of bounds.
        DeviceError: google-re2 is not installed.
    """
    _check_re2(text)
    _check_python(text)
    tree = _parse(text)
    _refuse_nested(text, tree, is_inside=False)
    runs = _runs(tree)
    _time(text, [*_literals(tree), *runs])
    gate = max(runs, key=len, default="").lower()
    return Pattern(text, gate if len(gate) >= MIN_GATE_CHARS else "")


def _check_re2(text: str) -> None:
    try:
        re2 = importlib.import_module("re2")
    except ImportError as error:
        raise DeviceError(
            "checking regular expressions needs google-re2: on the operator's machine run "
            "`pip install 'vedette[operator]'`"
        ) from error
    options = re2.Options()
    options.log_errors = False
    try:
        re2.compile(text, options)
    except re2.error as error:
        reason = error.args[0] if error.args else error
        reason = reason.decode("utf-8", "replace") if isinstance(reason, bytes) else reason
        raise RuleError(f"expected a regular expression that RE2 accepts: {reason}") from error


def _check_python(text: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            re.compile(text, re.ASCII)
        except (re.error, Warning, ValueError, OverflowError, RecursionError) as error:
            raise RuleError(
                f"expected a regular expression that means the same to Python: {error}"
            ) from error


def _parse(text: str) -> Any:
    """The tree of Python's own parser; private, but the only one that agrees with the engine."""
    return importlib.import_module("re._parser").parse(text, re.ASCII)


def _refuse_nested(text: str, tree: Any, *, is_inside: bool) -> None:
    for operation, argument in tree:
        name = str(operation)
        is_endless = name in ("MAX_REPEAT", "MIN_REPEAT") and int(argument[1]) >= _ENDLESS
        if is_endless and is_inside:
            raise RuleError(
                f"expected no endless repetition inside another one, got {text!r}: a hostile line "
                "would hold the device up; repeat a set of characters instead"
            )
        for child in children(name, argument):
            _refuse_nested(text, child, is_inside=is_inside or is_endless)


def _time(text: str, literals: Iterable[str]) -> None:
    slow = slowest(text, literals)
    if slow is not None:
        raise RuleError(
            f"expected a pattern that takes less than {MAX_SEARCH_S * 1000:g} ms on any line, got "
            f"{slow.seconds * 1000:.0f} ms on {slow.chars} characters of {slow.unit!r}: {text!r}; "
            "limit its repetitions, such as {0,40}"
        )


def _literals(tree: Any) -> list[str]:
    """All runs of literals, the alternatives of a branch included."""
    found = _runs(tree)
    for operation, argument in tree:
        for child in children(str(operation), argument):
            found += _literals(child)
    return found


def _runs(tree: Any) -> list[str]:
    """Runs of ASCII literals that every match holds; anchors stand in no run's way."""
    runs = [""]
    for operation, argument in tree:
        name = str(operation)
        if name == "LITERAL" and int(argument) < 128:  # noqa: PLR2004 (ASCII)
            runs[-1] += chr(argument)
        elif name == "AT":
            continue
        elif name == "SUBPATTERN":
            _join(runs, _runs(argument[3]))
        elif name in ("MAX_REPEAT", "MIN_REPEAT") and int(argument[0]) >= 1:
            inner = _runs(argument[2])
            _join(runs, inner)
            runs.append("")
        else:
            runs.append("")
    return runs


def _join(runs: list[str], inner: Iterable[str]) -> None:
    first, *rest = inner
    runs[-1] += first
    runs.extend(rest)
