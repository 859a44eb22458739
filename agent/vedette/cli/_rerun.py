"""Gives recorded inputs to a core with other rules than those it was recorded with.

Rule 1: what depends on the rules is made anew: wake-ups, slices of work, answers about processes
(which come back empty); all else is told as it was.
Rule 2: memory is that of the core, whatever the length of the recording.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

from vedette.core.agent import Agent, AgentSettings
from vedette.core.commands import Append, Command, Continue, Resolve, Wake
from vedette.core.correlation import Correlator
from vedette.core.engine import Engine
from vedette.core.inputs import (
    Continued,
    Input,
    Resolved,
    RulesLoaded,
    RuleSlow,
    Stopping,
    Ticked,
)
from vedette.core.recording import CHUNK_BYTES, MAGIC, read
from vedette.model.rule import Bundle, Rule

Event: TypeAlias = tuple[str, Mapping[str, str]]
"""Sigma's category and fields."""

_OF_THE_RULES = (RulesLoaded, Resolved, Continued, RuleSlow, Ticked, Stopping)


class Rerun:
    """One core with rules of its own.

    Args:
        settings: as recorded.
        engine: the rules; the recording's are not loaded.
        correlator: their correlations.

    Attributes:
        wall_s: Unix time of the input that is being told.
    """

    def __init__(self, settings: AgentSettings, engine: Engine, correlator: Correlator) -> None:
        self._agent = Agent(settings)
        self._wake_s: float | None = None
        self.wall_s = 0.0
        self.replace(engine, correlator)

    def replace(self, engine: Engine, correlator: Correlator) -> None:
        """Judge by other rules from now on."""
        self._agent.detection.engine = engine
        self._agent.detection.correlator = correlator
        self._agent.detection.budgets.restart()

    def feed(self, given: Input) -> list[Append]:
        """Tell one recorded input; returns what the core had to record."""
        if isinstance(given, _OF_THE_RULES):
            return []
        self.wall_s = given.wall_s
        told: list[Append] = []
        if self._wake_s is not None and self._wake_s <= given.at_s:
            # Once, and at this input's time: at its own, rounding may say "not yet" for ever.
            self._wake_s = None
            ticked = Ticked(given.at_s, given.wall_s)
            told += self._obey(self._agent.handle(ticked), given)
        return told + self._obey(self._agent.handle(given), given)

    def _obey(self, commands: Sequence[Command], given: Input) -> list[Append]:
        told: list[Append] = []
        waiting = list(commands)
        while waiting:
            command = waiting.pop(0)
            match command:
                case Append():
                    told.append(command)
                case Wake():
                    self._wake_s = command.at_s
                case Resolve():
                    answer = Resolved(given.at_s, given.wall_s, command.ticket, ())
                    waiting += self._agent.handle(answer)
                case Continue():
                    waiting += self._agent.handle(Continued(given.at_s, given.wall_s))
                case _:
                    continue
        return told


def chunks(file: Path) -> Iterator[bytes]:
    """A file a piece at a time."""
    with file.open("rb") as stream:
        while chunk := stream.read(CHUNK_BYTES):
            yield chunk


def is_recording(file: Path) -> bool:
    """Whether a file begins as a recording does."""
    with file.open("rb") as stream:
        return stream.read(len(MAGIC)) == MAGIC


def recorded_events(file: Path) -> Iterator[Event]:
    """The events of a recording as rules see them.

    Raises:
        ParseError: it is no recording, or is damaged; what came before was given.
    """
    settings, inputs = read(chunks(file))
    tap = _Tap()
    rerun = Rerun(settings, tap, Correlator())
    for given in inputs:
        rerun.feed(given)
        yield from tap.seen
        tap.seen.clear()


class _Tap(Engine):
    """Matches nothing and keeps what it was asked."""

    def __init__(self) -> None:
        super().__init__(Bundle("tap", 0, 0, 0, (), (), ""), memo=0)
        self.seen: list[Event] = []

    def match(self, category: str, fields: Mapping[str, str]) -> tuple[Rule, ...]:
        self.seen.append((category, dict(fields)))
        return ()
