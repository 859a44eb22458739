"""`python -m vedette_dev attack`: plays the attacks of tests/attacks against the running agent.

Rule 1: an attack counts as caught when its incident arrived over MQTT with a good signature.
Rule 2: one missed attack makes the exit code 1; one that this user's sources cannot see is named
with the reason, and is no miss.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from vedette.codec import bundle as bundle_codec
from vedette.codec import dsse
from vedette.codec.report import parse_report
from vedette.errors import DeviceError, VedetteError
from vedette.model.rule import Rule
from vedette_dev import containment
from vedette_dev.player import Arrivals, Attack, Outcome, attacks, play
from vedette_dev.reader import Reader
from vedette_dev.session import Running, read_running
from vedette_dev.terminal import BOLD, GREEN, GREY, RED, paint, say
from vedette_dev.tiers import tiers_in_use

HEAD = ("attack", "technique", "outcome", "after", "source", "rule")
_WIDTHS = (21, 9, 7, 8, 14, 0)


def run(repository: Path, folder: Path, only: Sequence[str], *, is_enforced: bool = False) -> int:
    """Play them all.

    Args:
        repository: the clone, whose tests/attacks is listed.
        folder: the workbench's.
        only: names to play; empty for all.
        is_enforced: the agent contains them (vedette_dev/containment.py).

    Returns:
        0, or 1 when one was missed.
    """
    running = read_running(folder)
    chosen = _choose(attacks(repository), only)
    rules, tiers = load_rules(running), tiers_in_use(running.config)
    if is_enforced:
        return containment.run(repository, folder, only, rules, tiers)
    arrivals = Arrivals()
    is_root = os.geteuid() == 0
    say(
        f"{len(chosen)} harmless attacks on {running.device} as {'root' if is_root else 'a user'}; "
        f"incidents are read from the broker on port {running.port} and verified"
    )
    outcomes: list[Outcome] = []
    with Reader(running, arrivals.add):
        say(paint(_row(HEAD), BOLD))
        outcomes += (_play(attack, arrivals, rules, running, tiers) for attack in chosen)
    return _conclude(outcomes)


def load_rules(running: Running) -> tuple[Rule, ...]:
    """The rules that the agent was given; it verifies them, who attacks only reads.

    Raises:
        DeviceError: the bundle cannot be read.
    """
    try:
        envelope = dsse.decode(running.bundle.read_bytes())
        return bundle_codec.decode(envelope.payload).rules
    except (OSError, VedetteError) as error:
        raise DeviceError(f"{running.bundle}: {error}: start `make run` again") from error


def _choose(found: list[Attack], only: Sequence[str]) -> list[Attack]:
    wanted = {name.replace("_", " ").replace("-", " ") for name in only}
    unknown = wanted - {attack.name for attack in found}
    if unknown:
        names = ", ".join(attack.name for attack in found)
        raise DeviceError(f"no attack {', '.join(sorted(unknown))}; there are: {names}")
    return [attack for attack in found if not wanted or attack.name in wanted]


def _play(
    attack: Attack,
    arrivals: Arrivals,
    rules: tuple[Rule, ...],
    running: Running,
    tiers: Mapping[str, str],
) -> Outcome:
    if sys.stdout.isatty():
        print(_row((attack.name, attack.technique, "…", "", "", "")), end="\r", flush=True)
    outcome = play(attack, arrivals, rules=rules, root=running.root, tiers=tiers)
    say(_line(outcome))
    return outcome


def _line(outcome: Outcome) -> str:
    attack = outcome.attack
    if outcome.arrival is not None:
        report = parse_report(dict(outcome.arrival.incident))
        line = _row(
            (
                attack.name, attack.technique, "caught", f"{outcome.delay_s * 1000:.0f} ms",
                report.tier, report.title,
            )
        )  # fmt: skip
        return paint(line, GREEN)
    word = "-" if outcome.is_excused else "MISSED"
    line = _row((attack.name, attack.technique, word, "", "", outcome.reason))
    return paint(line, GREY if outcome.is_excused else RED)


def _row(cells: Sequence[str]) -> str:
    padded = [cell.ljust(wide) for cell, wide in zip(cells, _WIDTHS, strict=True)]
    return "  ".join(padded).rstrip()


def _conclude(outcomes: list[Outcome]) -> int:
    caught = sum(outcome.arrival is not None for outcome in outcomes)
    missed = [outcome.attack.name for outcome in outcomes if outcome.is_missed]
    unseen = sum(outcome.is_excused for outcome in outcomes)
    words = [f"{caught} of {len(outcomes)} caught"]
    if unseen:
        words.append(f"{unseen} not visible here")
    if missed:
        words.append(f"MISSED: {', '.join(missed)}; see `vedette doctor` and the agent's log")
    say(paint("; ".join(words), RED if missed else GREEN))
    return 1 if missed else 0
