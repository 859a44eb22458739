"""Whatever an attack may draw from the shipped rules is told: each draw is played without a kernel.

Rule 1: the attack's own code runs, with each value in its turn; what it would start is an event of
the fields that the agent makes of it, and what it writes is one of the file that is there.
Rule 2: the engine decides: some rule that it finds has one of the tags that the attack expects.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

import pytest
from tests.simulators.shipped import shipped_bundle

from vedette.core.engine import Engine
from vedette.core.process_table import alias_of
from vedette.model.rule import Rule
from vedette_dev.player import Attack, attacks
from vedette_dev.stage import Drawn, Stage

ROOT = Path(__file__).parents[3]
BUSYBOX = "/bin/busybox"
SHELL = "/bin/sh"

Event = tuple[str, Mapping[str, str]]


class OverError(Exception):
    """All that the attack needed is known: what follows would ask the kernel."""


class Rehearsal(Stage):
    """Gives the values in their order, and starts nothing."""

    def __init__(self, rules: Sequence[Rule], root: Path, number: int) -> None:
        super().__init__(rules, root)
        self.number, self.count = number, 0
        self.events: list[Event] = []

    def choose(self, found: Sequence[Drawn]) -> Drawn:
        self.count, self.chosen = len(found), found[self.number]
        return self.chosen

    def listen(self, address: str, port: int = 0) -> socket.socket:
        if self.chosen.match.field == "DestinationHostname":
            raise OverError
        return super().listen(address, port)

    def busybox(self) -> Path:
        return Path(BUSYBOX)

    def copy(self, program: Path, target: Path) -> Path:  # noqa: ARG002
        return target

    def await_listener(self, address: str, port: int) -> None:
        """Nobody was started who would listen."""

    def start(self, argv: Sequence[str | Path], **given: object) -> NoReturn:
        words = [os.fspath(word) for word in argv]
        program = given.get("program")
        image = os.path.realpath(words[0]) if program is None else str(program)
        self.events.append(execution(image, words, SHELL))
        script = "/cgi-bin/run"  # of a web server: who started it asks for this
        self.events.append(execution(SHELL, [SHELL, script], image))
        raise OverError

    def type(self, commands: str, *, has_own_network: bool = False) -> str:  # noqa: ARG002
        for line in commands.splitlines():
            words = line.removesuffix(" &").split()
            image = words[0] if words[0].startswith("/") else f"/bin/{words[0]}"
            self.events.append(execution(image, words, SHELL))
        return ""


def execution(image: str, words: Sequence[str], parent: str) -> Event:
    line = " ".join(words)
    fields = {
        "Image": image, "CommandLine": line, "Argv0": words[0], "ParentImage": parent,
        "ImageAlias": alias_of(image, words[0], line), "User": "root",
    }  # fmt: skip
    return "process_creation", fields


def played(attack: Attack, stage: Rehearsal) -> None:
    try:
        attack.act(stage)
    except OverError:
        return


def named(stage: Rehearsal) -> Iterator[Event]:
    """A connection to an address that the drawn name, or one below it, had resolved to."""
    drawn = stage.chosen.match
    name = drawn.value.strip(".")
    name = name if drawn.operator == "equals" else f"word.{name}"
    yield "network_connection", {"DestinationHostname": name, "Initiated": "true"}


def written(stage: Rehearsal) -> Iterator[Event]:
    """The file that the attack left."""
    for path in stage.root.rglob("*"):
        if path.is_file():
            yield "file_event", {"TargetFilename": str(path), "Action": "modified"}


TOLD: Mapping[str, Callable[[Rehearsal], Iterable[Event]]] = {
    "busybox applet": lambda stage: stage.events[:1],
    "shell from service": lambda stage: stage.events[1:],
    "miner": lambda stage: stage.events,
    "rivals ended": lambda stage: stage.events[-1:],
    "config change": written,
    "listed name": named,
}
"""By the attack that draws, the events of what it does."""


@pytest.mark.thorough
@pytest.mark.parametrize("name", TOLD)
def test_whatever_is_drawn_is_told(name: str, tmp_path: Path) -> None:
    attack = next(one for one in attacks(ROOT) if one.name == name)
    bundle, number, count = shipped_bundle(), 0, 1
    engine = Engine(bundle)
    while number < count:
        root = tmp_path / str(number)
        root.mkdir()
        with Rehearsal(bundle.rules, root, number) as stage:
            played(attack, stage)
            found = [rule for event in TOLD[name](stage) for rule in engine.match(*event)]
        count, number = stage.count, number + 1
        tags = [tag for rule in found for tag in rule.tags]
        for expected in attack.steps:
            assert any(tag.startswith(expected) for tag in tags), (stage.drawn, tags)
    assert count > 1, "nothing was drawn by chance"
