"""Reads a corpus of attack commands: JSON with `source` and `tests`, as shared/corpora has it.

Rule: anything else is a DeviceError that says what was expected and where; unknown keys do not
matter.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

from vedette.errors import DeviceError

_MAX_BYTES = 64 << 20
_FOLDER = "PathToAtomicsFolder"
INSIDE = "/tmp/AtomicRedTeam/atomics"  # noqa: S108 (inside of a throwaway root)
"""What the corpus's placeholder stands for."""


class Command(NamedTuple):
    """One test of a corpus.

    Attributes:
        number: its place in the file, from 0.
        technique: of ATT&CK.
        shell: that runs it, "sh" or "bash".
        text: the commands.
    """

    number: int
    technique: str
    name: str
    shell: str
    text: str


def read_corpus(path: Path) -> list[Command]:
    """The commands of a corpus.

    Raises:
        DeviceError: it cannot be read, or is none.
    """
    try:
        with path.open("rb") as stream:
            found = json.loads(stream.read(_MAX_BYTES))
    except OSError as error:
        raise DeviceError(
            f"{path}: {error.strerror}: name a corpus with --corpus FILE (JSON with a list `tests`)"
        ) from error
    except ValueError as error:
        raise DeviceError(f"{path}: expected JSON: {error}") from error
    tests = found.get("tests") if isinstance(found, dict) else None
    if not isinstance(tests, list) or not tests:
        raise DeviceError(f"{path}: expected an object with a list `tests`, got none")
    return [_command(path, number, test) for number, test in enumerate(tests)]


def _command(path: Path, number: int, test: object) -> Command:
    place = f"{path}: tests[{number}]"
    if not isinstance(test, dict):
        raise DeviceError(f"{place}: expected an object, got {type(test).__name__}")
    texts: dict[str, str] = {}
    for name in ("technique", "command"):
        value = test.get(name)
        if not isinstance(value, str) or not value.strip():
            raise DeviceError(f"{place}: expected a text `{name}`, got {value!r:.40}")
        texts[name] = value
    shell = test.get("executor", "sh")
    if shell not in {"sh", "bash"}:
        raise DeviceError(f"{place}: expected executor sh or bash, got {shell!r:.40}")
    text = texts["command"].replace("$" + _FOLDER, INSIDE).replace(_FOLDER, INSIDE)
    return Command(number, texts["technique"], str(test.get("name", "")), shell, text)
