"""The tables below [models]: programs that run models, and processes that use them.

Rule: apart from daemon/model_options.py, since the sentinel reads the configuration too and most
devices have neither.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import cast

from vedette.codec.text import escape
from vedette.core.runner_argv import PARAMETER, PLACEHOLDER, PLACES
from vedette.daemon.essential_options import Command, Unit
from vedette.daemon.schema import (
    AbsolutePath,
    Choice,
    Kind,
    Many,
    Mistake,
    Number,
    UserName,
    WrongValueError,
    read_table,
)
from vedette.model.model_use import Allowed, ModelUse, Runner

MAX_RUNNERS = 16
MAX_USES = 32
_MAX_PARAMETERS = 16
LONGEST_SOCKET = 107
"""unix(7)."""

_RUNNER = re.compile(r"[a-z][a-z0-9-]{0,31}")
_MODEL = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
_PARAMETER = re.compile(
    r"([a-z][a-z0-9_]{0,31})="
    r"(?:(0|[1-9][0-9]{0,8})\.\.(0|[1-9][0-9]{0,8})|([A-Za-z0-9._:+-]+(?:\|[A-Za-z0-9._:+-]+)*))"
)


class Parameter(Kind[str]):
    """What a release may choose: "threads=1..4" or "precision=fp32|fp16"."""

    def read(self, value: object) -> str:
        """Accept one parameter with its range or words."""
        if isinstance(value, str) and _PARAMETER.fullmatch(value):
            low, high = _parameter(value)[1][1:]
            if low > high:
                raise WrongValueError(f"{low} to be at most {high}", value)
            return value
        raise WrongValueError('a parameter such as "threads=1..4" or "precision=fp32|fp16"', value)


RUNNER: Mapping[str, Kind[object]] = {
    "argv": Command(),
    "parameters": Many(Parameter(), 0, _MAX_PARAMETERS),
}
USE: Mapping[str, Kind[object]] = {
    "hook": Choice(("restart", "signal", "socket", "none")),
    "unit": Unit(),
    "signal": Choice(("HUP", "USR1", "USR2")),
    "pid_file": AbsolutePath(),
    "socket": AbsolutePath(longest=LONGEST_SOCKET),
    "health": AbsolutePath(longest=LONGEST_SOCKET),
    "silence_s": Number(1, 3600),
    "command": Command(),
    "user": UserName(),
    "trial_s": Number(0, 3600),
}


def read_runners(value: object, mistakes: list[Mistake]) -> dict[str, Runner]:
    """Read [models.runners.NAME]; what is wrong is added to `mistakes` and left out."""
    tables = _tables(value, ("models", "runners"), MAX_RUNNERS, _RUNNER, mistakes)
    return {name: _runner(name, one, mistakes) for name, one in tables.items()}


def read_uses(value: object, mistakes: list[Mistake]) -> dict[str, ModelUse]:
    """Read [models.uses.NAME]; what is wrong is added to `mistakes` and left out."""
    tables = _tables(value, ("models", "uses"), MAX_USES, _MODEL, mistakes)
    return {name: _use(name, one, mistakes) for name, one in tables.items()}


def _tables(
    value: object,
    path: tuple[str, ...],
    most: int,
    pattern: re.Pattern[str],
    mistakes: list[Mistake],
) -> dict[str, object]:
    if not isinstance(value, dict) or len(value) > most:
        mistakes.append(Mistake(path, f"expected at most {most} tables below it"))
        return {}
    for name in value:
        if not pattern.fullmatch(name):
            words = f'"{escape(name)[:60]}": expected a name of small letters, digits and hyphens'
            mistakes.append(Mistake((*path, name), words))
    return {name: one for name, one in value.items() if pattern.fullmatch(name)}


def _runner(name: str, table: object, mistakes: list[Mistake]) -> Runner:
    path = ("models", "runners", name)
    read = read_table(table, path, RUNNER, mistakes)
    argv = cast("tuple[str, ...]", read.get("argv", ()))
    parameters = dict(
        _parameter(text) for text in cast("tuple[str, ...]", read.get("parameters", ()))
    )
    if len(parameters) < len(cast("tuple[str, ...]", read.get("parameters", ()))):
        mistakes.append(Mistake((*path, "parameters"), "parameters: expected each name once"))
    if isinstance(table, dict) and "argv" not in table:
        mistakes.append(Mistake(path, "expected argv, the program that runs models"))
    for index, word in enumerate(argv):
        for place in PLACEHOLDER.findall(word):
            problem = _placeholder(place, index, parameters)
            if problem:
                mistakes.append(Mistake((*path, "argv", index), f"argv: {problem}"))
    return Runner(name, argv, parameters)


def _placeholder(place: str, index: int, parameters: Mapping[str, Allowed]) -> str:
    """What is wrong with it, or ""."""
    shown = "{" + escape(place)[:60] + "}"
    if index == 0:
        return f"{shown}: expected a program of this device, no release chooses it"
    if place in PLACES:
        return ""
    if place.startswith(PARAMETER):
        is_known = place.removeprefix(PARAMETER) in parameters
        return "" if is_known else f"{shown}: expected it in parameters, with what is allowed"
    known = ", ".join(sorted("{" + one + "}" for one in (*PLACES, "parameters.NAME")))
    return f"{shown}: expected one of {known}"


def _parameter(text: str) -> tuple[str, Allowed]:
    name, low, high, words = _PARAMETER.fullmatch(text).groups()  # type: ignore[union-attr]
    if words is not None:
        return name, Allowed(words=tuple(words.split("|")))
    return name, Allowed(low=int(low), high=int(high))


def _use(name: str, table: object, mistakes: list[Mistake]) -> ModelUse:
    path = ("models", "uses", name)
    read = read_table(table, path, USE, mistakes)
    use = ModelUse(name, **read)  # type: ignore[arg-type] # each was read by its kind
    problem = _incomplete(use)
    if problem:
        mistakes.append(Mistake(path, problem))
    return use


def _incomplete(use: ModelUse) -> str:
    """What the hook still needs, or ""."""
    match use.hook:
        case "restart":
            return "" if use.unit else "expected the unit that is to be restarted"
        case "signal":
            return "" if use.unit or use.pid_file else "expected unit or pid_file to be signalled"
        case "socket":
            return "" if use.socket else "expected the socket to be told over"
        case "none":
            return ""
