"""The [models] table: where models lie, who may sign them, what runs them and who uses them.

Rule 1: [models.runners.NAME] is a program of this device; releases only choose among what its
`parameters` allow.
Rule 2: [models.uses.NAME] is the inference process that uses the model NAME; a model without one is
put into use, and nobody is told.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import Literal, cast

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
    describe,
    kinds,
    read_table,
    setting,
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


@dataclasses.dataclass(frozen=True, slots=True)
class Models:
    """The checked table.

    Attributes:
        folder: of the store; others may read it.
        max_mb: what all models may take together.
        signature: "required" refuses models without an OpenSSF signature.
        signature_keys: ECDSA public keys in PEM whose model signatures count.
        golden: "required" refuses models without golden cases.
        memory_mb, time_s: the most that one golden run may have, whatever its release says.
    """

    folder: str = setting(AbsolutePath(), "/var/lib/vedette-models")
    max_mb: int = setting(Number(1, 1 << 20), 512)
    signature: Literal["when-present", "required"] = cast(
        "Literal['when-present', 'required']",
        setting(Choice(("when-present", "required")), "when-present"),
    )
    signature_keys: tuple[str, ...] = setting(Many(AbsolutePath(), 0, 8), ())
    golden: Literal["when-present", "required"] = cast(
        "Literal['when-present', 'required']",
        setting(Choice(("when-present", "required")), "required"),
    )
    memory_mb: int = setting(Number(16, 1 << 20), 2048)
    time_s: int = setting(Number(1, 600), 60)
    runners: Mapping[str, Runner] = dataclasses.field(default_factory=dict)
    uses: Mapping[str, ModelUse] = dataclasses.field(default_factory=dict)


NO_MODELS = Models()


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


def read_models(table: object, mistakes: list[Mistake]) -> Models:
    """Read the table; what is wrong is added to `mistakes` and left out."""
    if not isinstance(table, dict):
        mistakes.append(Mistake(("models",), f"expected a table, got {describe(table)}"))
        return NO_MODELS
    below = {"runners": (MAX_RUNNERS, _RUNNER), "uses": (MAX_USES, _MODEL)}
    plain = {name: value for name, value in table.items() if name not in below}
    read = read_table(plain, ("models",), kinds(Models), mistakes)
    tables = {
        name: _tables(table.get(name, {}), ("models", name), most, pattern, mistakes)
        for name, (most, pattern) in below.items()
    }
    runners = {name: _runner(name, one, mistakes) for name, one in tables["runners"].items()}
    uses = {name: _use(name, one, mistakes) for name, one in tables["uses"].items()}
    return Models(**read, runners=runners, uses=uses)  # type: ignore[arg-type] # read by kinds


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
