"""`python -m vedette_dev attack --mode enforce`: plays the attacks while the agent enforces.

Rule 1: an attack is contained when a response against what it made was carried out, as the journal
of the agent has it; time runs from the act itself to that outcome.
Rule 2: afterwards every response is undone and must say so; a kill has nothing to undo.
Rule 3: one that was over before anybody could act is named so; one whose finding gives no response
anything to act on, no process, no file and no peer, is a miss; unless this host's sources are known
not to know who did it, and the attack says so (ANSWER_NEEDS_TIER).
"""

from __future__ import annotations

import random
import string
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from vedette.codec.strict_json import Json
from vedette.errors import DeviceError
from vedette.model.rule import Rule
from vedette_dev.player import Attack, attacks, watching_instead
from vedette_dev.responses import BELOW, Responses
from vedette_dev.stage import PACE, NoEnclosureError, Pace, Stage
from vedette_dev.terminal import BOLD, GREEN, GREY, RED, YELLOW, paint, say

EARLY_S = 0.1
"""An act in a throwaway root has begun a little before the player hears of it; what was told longer
before was its scenery."""
HEAD = ("attack", "technique", "outcome", "after", "by", "undone")
_WIDTHS = (21, 9, 11, 9, 24, 0)
_CARRIED_OUT = frozenset({"done", "partly"})


@dataclass(frozen=True, slots=True)
class Contained:
    """What became of one attack.

    Attributes:
        after_s: from the act to the first response that was carried out; 0.0 where none was.
        by: the responders that acted, in their order.
        undone: how the undo of each response that has one ended.
        reason: why nothing was contained, or "".
        is_missed: whether something should have been contained and was not.
    """

    attack: Attack
    after_s: float
    by: tuple[str, ...]
    undone: tuple[str, ...]
    reason: str
    is_missed: bool


def run(
    repository: Path,
    folder: Path,
    only: Sequence[str],
    rules: Sequence[Rule],
    tiers: Mapping[str, str],
) -> int:
    """Play them all.

    Args:
        repository: the clone, whose tests/attacks is listed.
        folder: the workbench's.
        only: names to play; empty for all.
        rules: those of the run, for what attacks draw from them.
        tiers: the agent's, by class.

    Returns:
        0, or 1 when one was not contained or not undone.
    """
    # Late: who plays in a guest needs neither keys nor a workbench.
    from vedette_dev.enforcement import Enforcement  # noqa: PLC0415
    from vedette_dev.session import read_running  # noqa: PLC0415

    running = read_running(folder)
    wanted = {name.replace("_", " ").replace("-", " ") for name in only}
    chosen = [one for one in attacks(repository) if not wanted or one.name in wanted]
    word = _word()
    say(
        f"{len(chosen)} harmless attacks on {running.device} while it enforces, against what holds "
        f"{word} and nothing else; each is undone afterwards"
    )
    found: list[Contained] = []
    with Enforcement(running, word) as enforcement:
        say(paint(_row(HEAD), BOLD))
        for attack in chosen:
            found.append(play(attack, enforcement, running.root, rules, tiers))
            say(_line(found[-1]))
    return _conclude(found)


def play(
    attack: Attack,
    responses: Responses,
    root: Path,
    rules: Sequence[Rule],
    tiers: Mapping[str, str],
    pace: Pace = PACE,
) -> Contained:
    """Play one attack, see it contained, and undo that.

    Args:
        attack: which.
        responses: of the agent that enforces.
        root: the watched throwaway tree.
        rules: for what attacks draw from them.
        tiers: the agent's, by class.
        pace: of this machine.
    """
    with Stage(rules, root, prefix=responses.word, pace=pace) as stage:
        began_wall_s, problem = time.time(), ""
        try:
            attack.act(stage)
        except NoEnclosureError as error:
            return Contained(attack, 0.0, (), (), str(error), is_missed=False)
        except (OSError, DeviceError, subprocess.SubprocessError) as error:
            problem = str(error)  # what was contained in the middle cannot be played to its end
        act_wall_s = stage.began_s + time.time() - time.monotonic() if stage.began_s else 0.0
        since_wall_s = max(began_wall_s, act_wall_s - EARLY_S)
        outcomes = _await(responses, since_wall_s, stage.words, pace)
        undone = tuple(str(one.get("status")) for one in responses.undo_all())
        found = _judge(attack, outcomes, undone, act_wall_s or began_wall_s, problem, pace)
        return _excused(found, tiers) if found.is_missed and not problem else found


def _await(
    responses: Responses, since_wall_s: float, words: Sequence[str], pace: Pace
) -> list[Mapping[str, Json]]:
    """The outcomes of one attack: until none came for a while, a longer one where none was good."""
    ends_s = time.monotonic() + pace.patience_s
    settled_s = float("inf")
    found: list[Mapping[str, Json]] = []
    while time.monotonic() < min(ends_s, settled_s):
        told = responses.outcomes(since_wall_s)
        now_found = [one for one in told if _is_of(one, words, responses.word)]
        if len(now_found) > len(found):
            found = now_found
            is_done = any(one.get("status") in _CARRIED_OUT for one in found)
            more_s = pace.settle_s if is_done else pace.patience_s / 4
            settled_s = time.monotonic() + more_s
        time.sleep(pace.look_s)
    return found


def _is_of(outcome: Mapping[str, Json], words: Sequence[str], run: str) -> bool:
    """Whether it is about this attack: a file with an earlier one's word may be told of late.

    Args:
        outcome: an entry of the journal.
        words: of the attack.
        run: what all words of the run begin with; the name of a file such as /etc/passwd has none.
    """
    target = outcome.get("target")
    path = str(target.get("path", "")) if isinstance(target, dict) else ""
    return run not in path or any(word in path for word in words)


def _by(outcome: Mapping[str, Json]) -> str:
    """Who acted, and whether on the shell that gave the command."""
    is_shell = str(outcome.get("cause")).endswith(BELOW)
    return f"{outcome.get('responder')}{' its shell' if is_shell else ''}"


def _judge(
    attack: Attack,
    outcomes: Sequence[Mapping[str, Json]],
    undone: tuple[str, ...],
    act_wall_s: float,
    problem: str,
    pace: Pace = PACE,
) -> Contained:
    done = [one for one in outcomes if one.get("status") in _CARRIED_OUT]
    if done:
        by = tuple(dict.fromkeys(map(_by, done)))
        first_s = min(float(str(one.get("wall_s"))) for one in done)
        return Contained(attack, max(0.0, first_s - act_wall_s), by, undone, "", is_missed=False)
    if outcomes:
        reason = f"over before: {outcomes[0].get('detail')}"
        return Contained(attack, 0.0, (), undone, reason, is_missed=False)
    if problem:
        return Contained(attack, 0.0, (), undone, f"not played: {problem}", is_missed=True)
    reason = (
        f"no response was tried within {pace.patience_s:.0f} s: "
        "its finding was late, or names nothing"
    )
    return Contained(attack, 0.0, (), undone, reason, is_missed=True)


def _excused(missed: Contained, tiers: Mapping[str, str]) -> Contained:
    """The same, not held against an agent whose source does not tell who did it."""
    needed = missed.attack.answer_needs_tier
    if not (watching := watching_instead(needed, tiers)):
        return missed
    who = " or ".join(needed[1:])
    reason = f"nobody to answer: {needed[0]} is watched by {watching} here, {who} tells who"
    return replace(missed, reason=reason, is_missed=False)


def _word() -> str:
    """Common to all words of the run, and unlike anything else on this machine."""
    return "".join(random.SystemRandom().choices(string.ascii_lowercase, k=8))


def _line(found: Contained) -> str:
    attack = found.attack
    if found.by:
        undone = ", ".join(found.undone) or "nothing to undo"
        after = f"{found.after_s * 1000:.0f} ms"
        cells = (attack.name, attack.technique, "contained", after, ", ".join(found.by), undone)
        is_bad = any(status != "undone" for status in found.undone)
        return paint(_row(cells), RED if is_bad else GREEN)
    word = "MISSED" if found.is_missed else "-"
    colour = RED if found.is_missed else YELLOW if "over before" in found.reason else GREY
    return paint(_row((attack.name, attack.technique, word, "", "", found.reason)), colour)


def _row(cells: Sequence[str]) -> str:
    padded = [cell.ljust(wide) for cell, wide in zip(cells, _WIDTHS, strict=True)]
    return "  ".join(padded).rstrip()


def _conclude(found: Sequence[Contained]) -> int:
    contained = [one for one in found if one.by]
    stuck = [one.attack.name for one in found if any(word != "undone" for word in one.undone)]
    missed = [one.attack.name for one in found if one.is_missed]
    words = [f"{len(contained)} of {len(found)} contained"]
    others = len(found) - len(contained) - len(missed)
    if others:
        words.append(f"{others} were over before, or nobody is known to answer")
    if stuck:
        words.append(f"NOT UNDONE: {', '.join(stuck)}")
    if missed:
        words.append(f"MISSED: {', '.join(missed)}; see the agent's log")
    say(paint("; ".join(words), RED if missed or stuck else GREEN))
    return 1 if missed or stuck else 0
