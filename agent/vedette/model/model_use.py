"""What a device does with models: which programs run them, and who uses the one in force."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple, TypeAlias

HookKind: TypeAlias = Literal["restart", "signal", "socket", "none"]
"""How the inference process hears of another model: its unit is restarted, it gets a signal, it is
told over a socket, or it looks by itself."""


class Allowed(NamedTuple):
    """Which values a release may give a parameter: whole numbers of a range, or some words.

    Attributes:
        words: () for a range.
        low, high: both included.
    """

    words: tuple[str, ...] = ()
    low: int = 0
    high: int = 0


class Runner(NamedTuple):
    """A program of this device that runs models of one format.

    Attributes:
        name: by which releases name it.
        argv: the program first; `{model}`, `{entry}`, `{input}` and `{parameters.NAME}` stand for
            the model's directory, the file to load, the golden input, and what a release chose.
        parameters: which a release may choose, and among what.
    """

    name: str
    argv: tuple[str, ...]
    parameters: Mapping[str, Allowed]


class ModelUse(NamedTuple):
    """The inference process that uses a model.

    Attributes:
        model: by its name.
        hook: how it hears of another one.
        unit: of the service manager, for "restart", for "signal", and as a probe; "" for none.
        signal: name without SIG.
        pid_file: for "signal" where there is no unit.
        socket: path, for "socket": it gets one line of JSON and must answer "ok".
        health: path of the datagram socket on which it says that it is alive; "" for none.
        silence_s: that it may be silent on it.
        command: a probe that must end with 0; () for none.
        user: name or uid of the inference process: who may speak on `health`, and whom the probe
            runs as.
        trial_s: seconds that a new model is watched for before it is committed.
    """

    model: str
    hook: HookKind = "none"
    unit: str = ""
    signal: str = "HUP"
    pid_file: str = ""
    socket: str = ""
    health: str = ""
    silence_s: int = 10
    command: tuple[str, ...] = ()
    user: str = "nobody"
    trial_s: int = 30


class ModelPointers(NamedTuple):
    """Which contents of a model are in use, by digest; "" for none.

    Attributes:
        current: what the inference process opens.
        last_good: what a rollback returns to.
        is_trial: `current` is not committed.
    """

    current: str
    last_good: str
    is_trial: bool
