"""What a recording says the agent saw of commands that ran in enclosures, each taken alone.

Rule 1: a process belongs to an enclosure when its launcher's name is the enclosure's word, or its
parent does.
Rule 2: a process whose parent no source has named (a subshell that never executed anything) belongs
to the one enclosure that was open then; while several were, to none.
Rule 3: what the agent would tell of one enclosure is asked of a core that is given its events and
nothing else: on a running agent equal findings of one tree are joined, and one tells for many.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping

from vedette.core.agent import Agent, AgentSettings
from vedette.core.commands import Append
from vedette.core.inputs import Input, LookedUp, Observed, RulesLoaded, Seeded, Stopping
from vedette.errors import DeviceError
from vedette.model.event import (
    ConnectionOpened,
    Event,
    FileChanged,
    KernelActivity,
    ListenerOpened,
    ProcessExited,
    ProcessForked,
    ProcessStarted,
)
from vedette.model.finding import Finding

OWN = "vedette:"
"""Begins the ids of what the agent says about itself."""


@dataclasses.dataclass(slots=True)
class Seen:
    """Of one enclosure.

    Attributes:
        inputs: what the agent was told of it, in order.
        pids: its processes, the launcher too.
        programs: how often it executed a program, its launcher left out and its shell counted.
        changes: of files below its root, by it or by nobody known.
        others: connections, listeners and guarded calls of its processes.
    """

    inputs: list[Input] = dataclasses.field(default_factory=list)
    pids: set[int] = dataclasses.field(default_factory=set)
    programs: int = 0
    changes: int = 0
    others: int = 0

    @property
    def is_anything(self) -> bool:
        """Whether anything but its shell was seen."""
        return self.programs > 1 or self.changes + self.others > 0


def seen_by_word(
    inputs: Iterable[Input], spans: Mapping[str, tuple[float, float]]
) -> tuple[dict[str, Seen], RulesLoaded]:
    """Sort a recording by enclosures.

    Args:
        inputs: of the recording, in order.
        spans: by word, when its command began and ended, CLOCK_BOOTTIME in seconds.

    Returns:
        What was seen by word, and the rules that the agent ran.

    Raises:
        DeviceError: the agent recorded no rules.
    """
    sorter = _Sorter(spans)
    rules: RulesLoaded | None = None
    for given in inputs:
        match given:
            case Seeded() | LookedUp():
                for process in given.processes:
                    sorter.know(process, given)
            case Observed():
                for event in given.events:
                    sorter.take(event, given)
            case RulesLoaded():
                rules = given
            case _:
                pass
    if rules is None:
        raise DeviceError("expected a recording with rules, got one without: did the agent start?")
    return sorter.found, rules


def findings_alone(settings: AgentSettings, rules: RulesLoaded, seen: Seen) -> list[Finding]:
    """What the core finds when nothing else happened: each rule once, in order."""
    agent = Agent(settings)
    agent.handle(rules)
    at_s = rules.at_s
    found: dict[str, Finding] = {}
    for given in (*seen.inputs, None):
        if given is None:
            commands = agent.handle(Stopping(at_s, at_s))
        else:
            at_s = given.at_s
            commands = agent.handle(given)
        for command in commands:
            if isinstance(command, Append) and command.incident is not None:
                finding = command.incident.finding
                found.setdefault(finding.rule_id, finding)
    return [finding for finding in found.values() if not finding.rule_id.startswith(OWN)]


class _Sorter:
    def __init__(self, spans: Mapping[str, tuple[float, float]]) -> None:
        self.found = {word: Seen() for word in spans}
        self._spans = spans
        self._word_of: dict[int, str] = {}
        self._known: set[int] = set()

    def know(self, process: ProcessStarted, given: Seeded | LookedUp) -> None:
        """A process that was looked up: its parent tells whose it is."""
        self._known.add(process.pid)
        if word := self._word_of.get(process.ppid, ""):
            self._join(process.pid, word)
            self.found[word].inputs.append(LookedUp(given.at_s, given.wall_s, (process,)))

    def take(self, event: Event, given: Observed) -> None:
        """Something that a source told."""
        word = self._word(event)
        if word:
            self.found[word].inputs.append(Observed(given.at_s, given.wall_s, (event,)))

    def _word(self, event: Event) -> str:
        match event:
            case ProcessStarted():
                return self._started(event)
            case ProcessForked():
                return self._forked(event)
            case FileChanged():
                return self._changed(event)
            case ConnectionOpened() | ListenerOpened() | KernelActivity():
                word = self._word_of.get(event.pid, "")
                if word:
                    self.found[word].others += 1
                return word
            case ProcessExited():
                return self._word_of.get(event.pid, "")
            case _:
                return ""

    def _forked(self, event: ProcessForked) -> str:
        self._known.add(event.pid)
        word = self._word_of.get(event.ppid, "")
        if word:
            self._join(event.pid, word)
        else:
            self._word_of.pop(event.pid, None)
        return word

    def _started(self, event: ProcessStarted) -> str:
        launcher = event.image.rpartition("/")[2]
        is_ours = self._word_of.get(event.pid, "")
        if launcher in self.found:
            self._join(event.pid, launcher)
        elif word := is_ours or self._word_of.get(event.ppid, "") or self._only_open(event):
            self._join(event.pid, word)
            self.found[word].programs += 1
        else:
            self._word_of.pop(event.pid, None)
        self._known.add(event.pid)
        return self._word_of.get(event.pid, "")

    def _only_open(self, event: ProcessStarted) -> str:
        if event.ppid in self._known:
            return ""
        open_now = [
            word for word, (began_s, ended_s) in self._spans.items()
            if began_s <= event.at_s <= ended_s and self.found[word].pids
        ]  # fmt: skip
        return open_now[0] if len(open_now) == 1 else ""

    def _changed(self, event: FileChanged) -> str:
        word = self._word_of.get(event.pid, "")
        if not word and event.pid not in self._known:
            word = next((word for word in self.found if f"/{word}/" in event.path), "")
            began_s, ended_s = self._spans.get(word, (0.0, 0.0))
            if not began_s <= event.at_s <= ended_s:
                return ""
        if word:
            self.found[word].changes += 1
        return word

    def _join(self, pid: int, word: str) -> None:
        self._word_of[pid] = word
        self.found[word].pids.add(pid)
