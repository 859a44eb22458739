"""Runs a recorded stream of inputs through the core: the same findings, bit for bit."""

from __future__ import annotations

from collections.abc import Iterator

from vedette.core.agent import Agent
from vedette.core.commands import Append, Command
from vedette.core.recording import decode
from vedette.model.finding import Incident


def replay(data: bytes) -> Iterator[tuple[Incident, bytes]]:
    """Replay a recording.

    Args:
        data: the whole file that `vedette run --record` wrote.

    Yields:
        Each incident report with its canonical JSON, as the journal had it.

    Raises:
        ParseError: it is no recording, or it is damaged from some input on; what came before was
            yielded.
    """
    settings, inputs = decode(data)
    agent = Agent(settings)
    for given in inputs:
        yield from _reports(agent.handle(given))


def _reports(commands: list[Command]) -> Iterator[tuple[Incident, bytes]]:
    for command in commands:
        if isinstance(command, Append) and command.incident is not None:
            yield command.incident, command.draft.body
