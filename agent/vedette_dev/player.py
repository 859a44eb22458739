"""Plays attacks one by one and says what came of each over MQTT.

Rule 1: an attack is recognised by a random word of its own run in the incident's text, together
with an ATT&CK tag it expects; never by the id of a rule.
Rule 2: time runs from the act itself to the arrival of the verified message at the subscriber.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from vedette.errors import DeviceError
from vedette.model.rule import Rule
from vedette_dev.stage import NoEnclosureError, Stage

DEADLINE_S = 8.0
POLLED_DEADLINE_S = 40.0
"""Without root processes are polled and trees scanned, every few seconds."""


class Attack(NamedTuple):
    """One file of tests/attacks.

    Attributes:
        technique: of ATT&CK, such as "T1053.003".
        steps: for each thing that must be told, prefixes of Sigma tags, one of which its incident
            carries; most attacks have one step.
        needs_root: why an ordinary user cannot see it, or "".
        needs_tier: a class and the tiers of which one must watch it, or it cannot be seen; or ().
        answer_needs_tier: the same, without which it is told and yet nobody is known to answer.
        act: plays it on a stage and returns the random word that names this run.
    """

    name: str
    technique: str
    steps: tuple[tuple[str, ...], ...]
    needs_root: str
    act: Callable[[Stage], str]
    needs_tier: tuple[str, ...] = ()
    answer_needs_tier: tuple[str, ...] = ()


class Arrival(NamedTuple):
    """A verified incident as the subscriber got it; `at_s` is monotonic."""

    at_s: float
    incident: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one attack; exactly one of `arrival` and `reason` tells.

    Attributes:
        words: that name this run, in the incident of whoever else looks for it.
    """

    attack: Attack
    arrival: Arrival | None
    delay_s: float
    reason: str
    is_excused: bool
    words: tuple[str, ...] = ()

    @property
    def is_missed(self) -> bool:
        """Whether the agent should have seen it and did not."""
        return self.arrival is None and not self.is_excused


class Arrivals:
    """What the subscriber received; filled by its thread, searched by the player's."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._arrived: list[Arrival] = []

    def add(self, incident: Mapping[str, Any], at_s: float) -> None:
        """Take a verified incident and when it came."""
        arrival = Arrival(at_s, incident)
        with self._changed:
            self._arrived.append(arrival)
            self._changed.notify_all()

    def __len__(self) -> int:
        return len(self._arrived)

    def all(self) -> list[Arrival]:
        """What came until now, in order."""
        with self._changed:
            return self._arrived.copy()

    def wait_for(
        self, fits: Callable[[Arrival], bool], timeout_s: float, *, since: int = 0
    ) -> Arrival | None:
        """The first arrival that fits, also one that came before.

        Args:
            fits: whether it is the one.
            timeout_s: how long to wait.
            since: how many of the earliest arrivals are not looked at.

        Returns:
            None after the timeout.
        """
        ends_s = time.monotonic() + timeout_s
        seen = since
        with self._changed:
            while True:
                for arrival in self._arrived[seen:]:
                    if fits(arrival):
                        return arrival
                seen = len(self._arrived)
                if not self._changed.wait(ends_s - time.monotonic()) and seen == len(self._arrived):
                    return None


def attacks(repository: Path) -> list[Attack]:
    """The attacks of tests/attacks, in the order of their names."""
    folder = repository / "tests" / "attacks"
    if str(repository) not in sys.path:
        sys.path.insert(0, str(repository))
    names = sorted(info.name for info in pkgutil.iter_modules([str(folder)]))
    return [_load(name) for name in names if not name.startswith("_")]


def _load(name: str) -> Attack:
    module = importlib.import_module(f"tests.attacks.{name}")
    return Attack(
        name=name.replace("_", " "),
        technique=module.TECHNIQUE,
        steps=tuple(map(tuple, getattr(module, "STEPS", ()))) or (tuple(module.EXPECTS),),
        needs_root=getattr(module, "NEEDS_ROOT", ""),
        act=module.act,
        needs_tier=getattr(module, "NEEDS_TIER", ()),
        answer_needs_tier=getattr(module, "ANSWER_NEEDS_TIER", ()),
    )


def play(
    attack: Attack,
    arrivals: Arrivals,
    *,
    rules: Sequence[Rule],
    root: Path,
    tiers: Mapping[str, str],
    timeout_s: float | None = None,
) -> Outcome:
    """Play one attack and wait for its incidents; the last of them is the outcome's.

    Args:
        attack: which.
        arrivals: where incidents come in.
        rules: those that the agent runs.
        root: the watched throwaway tree.
        tiers: the agent's, by class.
        timeout_s: how long to wait; by default as long as the tiers of this user need.
    """
    is_root = os.geteuid() == 0
    if excuse := _excuse(attack, tiers, is_root=is_root):
        return Outcome(attack, None, 0.0, excuse, is_excused=True)
    wait_s = timeout_s or (DEADLINE_S if is_root else POLLED_DEADLINE_S)
    since = len(arrivals)
    with Stage(rules, root) as stage:
        try:
            token = attack.act(stage)
        except NoEnclosureError as error:
            return Outcome(attack, None, 0.0, str(error), is_excused=not is_root)
        except (OSError, DeviceError) as error:
            return Outcome(attack, None, 0.0, f"could not be played: {error}", is_excused=False)
        tokens = (token, *stage.words)
        return _await_steps(attack, arrivals, stage, tokens, wait_s, since=since)


def _excuse(attack: Attack, tiers: Mapping[str, str], *, is_root: bool) -> str:
    """Why this agent cannot see this attack, or ""."""
    if attack.needs_root and not is_root:
        return f"not visible without root: {attack.needs_root}"
    if watching := watching_instead(attack.needs_tier, tiers):
        event_class, tier = attack.needs_tier[0], " or ".join(attack.needs_tier[1:])
        return f"not visible: {event_class} is watched by {watching} here, it plays for {tier}"
    return ""


def watching_instead(needed: tuple[str, ...], tiers: Mapping[str, str]) -> str:
    """What watches a class where another tier is needed; "" where none is, or it is one of them."""
    event_class, *enough = needed or ("",)
    watching = tiers.get(event_class, "") or "nothing"
    return watching if event_class and watching not in enough else ""


def _await_steps(
    attack: Attack,
    arrivals: Arrivals,
    stage: Stage,
    tokens: tuple[str, ...],
    wait_s: float,
    *,
    since: int,
) -> Outcome:
    last: Arrival | None = None
    for number, expected in enumerate(attack.steps, 1):
        arrival = arrivals.wait_for(partial(_fits, expected, tokens), wait_s, since=since)
        if arrival is None:
            drawn = f" (drew {', '.join(stage.drawn)})" if stage.drawn else ""
            step = f" for step {number} of {len(attack.steps)}" if len(attack.steps) > 1 else ""
            wanted = " or ".join(expected)
            reason = f"no incident with {tokens[0]} and {wanted}{step} within {wait_s:g} s{drawn}"
            return Outcome(attack, None, 0.0, reason, is_excused=False, words=tokens)
        last = arrival if last is None or arrival.at_s > last.at_s else last
    delay_s = last.at_s - stage.began_s if last else 0.0
    return Outcome(attack, last, delay_s, "", is_excused=False, words=tokens)


def _fits(expected: tuple[str, ...], tokens: tuple[str, ...], arrival: Arrival) -> bool:
    return is_of(arrival.incident, expected, tokens)


def is_of(incident: Mapping[str, Any], expected: tuple[str, ...], tokens: Sequence[str]) -> bool:
    """Whether an incident holds one of these words of a run and carries one of these tags."""
    found = list(texts(incident))
    is_tagged = any(text.startswith(expected) for text in found)
    return is_tagged and any(token in text for text in found for token in tokens)


def texts(value: object) -> Iterator[str]:
    """Every text of a document, its names left out."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from texts(part)
    elif isinstance(value, Sequence) and not isinstance(value, bytes):
        for part in value:
            yield from texts(part)
