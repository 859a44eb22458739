"""A device's argv template with what a release may choose filled in.

Rule 1: the program is the device's own, as it stands; no placeholder chooses it.
Rule 2: a release's value is taken only if the device names the parameter and allows the value.
Rule 3: one word of the template stays one word, and no shell reads it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from vedette.codec.text import quoted
from vedette.errors import InputError
from vedette.model.model_use import Allowed, Runner

if TYPE_CHECKING:  # the sentinel reads templates with its configuration, and no manifests
    from vedette.model.model_manifest import ModelManifest

PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
PARAMETER = "parameters."
PLACES = frozenset({"model", "entry", "input"})

_NUMBER = re.compile(r"0|[1-9][0-9]{0,8}")


class RunnerError(InputError):
    """A release and a device's runner do not fit together."""


def choose(manifest: ModelManifest, runners: Mapping[str, Runner]) -> Runner:
    """The runner that a release names, with which it can be run here.

    Raises:
        RunnerError: there is none, or the release gives it what this device does not allow.
    """
    runner = runners.get(manifest.runner)
    if runner is None:
        known = ", ".join(sorted(runners)) or "none"
        raise RunnerError(
            f"expected a runner of this device ({known}), the release names "
            f"{quoted(manifest.runner)}; declare it in [models.runners.{manifest.runner}]"
        )
    for name, value in sorted(manifest.parameters.items()):
        allowed = runner.parameters.get(name)
        if allowed is None:
            raise RunnerError(f"runner {runner.name} takes no parameter {quoted(name)}")
        if not is_allowed(value, allowed):
            raise RunnerError(
                f"runner {runner.name} does not allow {name} = {quoted(value)} here: expected "
                f"{words(allowed)}"
            )
    missing = sorted(_wanted(runner) - manifest.parameters.keys())
    if missing:
        raise RunnerError(f"runner {runner.name} needs the parameter {missing[0]} of the release")
    return runner


def fill(
    runner: Runner, *, model: str, entry: str, golden_input: str, parameters: Mapping[str, str]
) -> tuple[str, ...]:
    """The program with its arguments.

    Args:
        runner: that `choose` chose for the release with these parameters.
        model: the model's directory.
        entry: the file to load.
        golden_input: the file with the input.
        parameters: as the release gives them.
    """
    values = {"model": model, "entry": entry, "input": golden_input}
    values |= {PARAMETER + name: value for name, value in parameters.items()}
    return tuple(PLACEHOLDER.sub(lambda match: values[match[1]], word) for word in runner.argv)


def is_allowed(value: str, allowed: Allowed) -> bool:
    """Whether a device allows a value."""
    if allowed.words:
        return value in allowed.words
    return bool(_NUMBER.fullmatch(value)) and allowed.low <= int(value) <= allowed.high


def words(allowed: Allowed) -> str:
    """What is allowed, for people."""
    return " or ".join(allowed.words) if allowed.words else f"{allowed.low} to {allowed.high}"


def _wanted(runner: Runner) -> set[str]:
    found = {name for word in runner.argv for name in PLACEHOLDER.findall(word)}
    return {name.removeprefix(PARAMETER) for name in found if name.startswith(PARAMETER)}
