"""The [models] table: what an example says, and every mistake with its place."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Final

import pytest

from vedette.daemon.config import parse
from vedette.daemon.model_tables import RUNNER, USE
from vedette.errors import ConfigError
from vedette.model.model_use import Allowed, ModelUse

EXAMPLE: Final = Path(__file__).parents[3] / "packaging/vedette.toml"
GOOD: Final = """
[models.runners.onnx]
argv = ["/usr/bin/onnx", "{entry}", "{input}", "{model}", "--p={parameters.precision}"]
parameters = ["threads=1..4", "precision=fp16|fp32"]
[models.uses.person]
hook = "socket"
socket = "/run/person.sock"
trial_s = 5
"""


def test_runners_and_uses_are_read() -> None:
    models = parse(GOOD, "v.toml").models
    runner = models.runners["onnx"]
    assert runner.argv[0] == "/usr/bin/onnx"
    wanted = {"threads": Allowed(low=1, high=4), "precision": Allowed(words=("fp16", "fp32"))}
    assert runner.parameters == wanted
    person = ModelUse("person", "socket", socket="/run/person.sock", trial_s=5)
    assert models.uses == {"person": person}


@pytest.mark.parametrize(("table", "keys"), [("runners.onnx", RUNNER), ("uses.person", USE)])
def test_the_examples_name_every_key(table: str, keys: dict[str, object]) -> None:
    _, _, rest = EXAMPLE.read_text().partition(f"\n# [models.{table}]\n")
    text = re.sub(r"^# ", "", rest.split("\n\n")[0], flags=re.MULTILINE)
    assert tomllib.loads(text).keys() == keys.keys()
    models = parse(f"[models.{table}]\n{text}", "v.toml").models
    assert len(models.runners) + len(models.uses) == 1


MISTAKES: Final = {
    "a program chosen by a release": (
        '[models.runners.x]\nargv = ["/usr/bin/{entry}"]',
        "no release chooses it",
    ),
    "a relative program": ('[models.runners.x]\nargv = ["onnx"]', "argv: expected an absolute"),
    "no program": ("[models.runners.x]\n", "expected argv"),
    "a command line": ('[models.runners.x]\nargv = "/x {entry}"', "a list of 1 to 64 texts"),
    "an unknown placeholder": (
        '[models.runners.x]\nargv = ["/x", "{output}"]',
        "{output}: expected one of {entry}",
    ),
    "a parameter without bounds": (
        '[models.runners.x]\nargv = ["/x", "{parameters.a}"]',
        "expected it in parameters",
    ),
    "bounds of nothing": (
        '[models.runners.x]\nargv = ["/x"]\nparameters = ["a"]',
        'such as "threads=1..4"',
    ),
    "a range upside down": (
        '[models.runners.x]\nargv = ["/x"]\nparameters = ["a=4..1"]',
        "expected 4 to be at most 1",
    ),
    "a parameter twice": (
        '[models.runners.x]\nargv = ["/x"]\nparameters = ["a=1..4", "a=b"]',
        "once",
    ),
    "a runner's name in capitals": ('[models.runners.X]\nargv = ["/x"]', "small letters"),
    "runners that are no tables": ("[models]\nrunners = 5", "expected at most 16 tables"),
    "a runner that is no table": ("[models.runners]\nx = 5", "expected a table"),
    "a restart without a unit": ('[models.uses.p]\nhook = "restart"', "expected the unit"),
    "a signal to nobody": ('[models.uses.p]\nhook = "signal"', "expected unit or pid_file"),
    "a message to nobody": ('[models.uses.p]\nhook = "socket"', "expected the socket"),
    "a signal that kills": (
        '[models.uses.p]\nhook = "signal"\nunit = "p.service"\nsignal = "KILL"',
        'one of "HUP"',
    ),
    "a socket too long": (
        f'[models.uses.p]\nhook = "socket"\nsocket = "/{"s" * 107}"',
        "at most 107 bytes",
    ),
    "an unknown key": ("[models]\nquota = 3", 'unknown key "quota"'),
    "no table at all": ("models = 3", '"models"|expected a table'),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_a_mistake_is_told_with_its_line(case: str) -> None:
    text, words = MISTAKES[case]
    with pytest.raises(ConfigError, match=r"v\.toml:\d+:\d+: ") as caught:
        parse(text, "v.toml")
    assert re.search(words, str(caught.value)) or words in str(caught.value)
