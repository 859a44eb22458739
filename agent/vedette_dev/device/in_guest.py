"""`python3 -m vedette_dev.device.in_guest`: plays the attacks on the device that it runs on.

Rule 1: one process plays all, since each start of Python takes seconds under emulation.
Rule 2: it prints one JSON line for each attack; whether the incident left the device with a good
signature is for whoever reads the broker to say, by the words in that line.
Rule 3: it holds no key: what enforces was signed elsewhere, and is offered here as a release is.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from vedette.codec import bundle as bundle_codec
from vedette.codec import dsse
from vedette.daemon import config
from vedette.daemon.control_client import ask, follow
from vedette.errors import DeviceError, VedetteError
from vedette.model.rule import Rule
from vedette_dev import containment
from vedette_dev.containment import Contained
from vedette_dev.player import Arrivals, Attack, Outcome, attacks, play
from vedette_dev.responses import Responses
from vedette_dev.stage import Pace
from vedette_dev.tiers import tiers_in_use

DEADLINE_S = 40.0
"""Emulation is ten to thirty times slower than the machine."""
RELOAD_TIMEOUT_S = 120.0
_PACE = Pace(stay_s=4.0, patience_s=DEADLINE_S, settle_s=1.5, look_s=0.5)
BUNDLE, PLAYBOOKS, WORD = "rules.bundle", "playbooks.signed", "word"
"""Files of a prepared folder."""

HERE = Path(__file__).resolve().parents[2]


def main(arguments: list[str] | None = None) -> int:
    """Play them; the exit code says only whether all could be played."""
    options = _options(arguments)
    chosen = [one for one in attacks(HERE) if not options.only or one.name in options.only]
    if options.prepared is not None:
        play_one = _enforcing(options.config, options.root, options.prepared)
    else:
        play_one = _observing(options.config, options.root)
    for attack in chosen:
        began_s = time.monotonic()
        line = play_one(attack)
        line["took_s"] = round(time.monotonic() - began_s, 2)
        print(json.dumps({"attack": attack.name, **line}), flush=True)
    return 0


def _observing(file: Path, root: Path) -> Callable[[Attack], dict[str, Any]]:
    given = config.load(file)
    rules, tiers = _rules(Path(given.rules.bundle)), tiers_in_use(file)
    arrivals = Arrivals()
    threading.Thread(target=_follow, args=(given.control_socket, arrivals), daemon=True).start()

    def play_one(attack: Attack) -> dict[str, Any]:
        outcome = play(attack, arrivals, rules=rules, root=root, tiers=tiers, timeout_s=DEADLINE_S)
        return _told(outcome)

    return play_one


def _told(outcome: Outcome) -> dict[str, Any]:
    return {
        "is_found": outcome.arrival is not None,
        "is_excused": outcome.is_excused,
        "reason": outcome.reason,
        "words": outcome.words,
        "after_s": round(outcome.delay_s, 3),
    }


def _enforcing(file: Path, root: Path, prepared: Path) -> Callable[[Attack], dict[str, Any]]:
    given = config.load(file)
    word = (prepared / WORD).read_text().strip()
    rules, tiers = _rules(prepared / BUNDLE), tiers_in_use(file)
    for name, offered in ((BUNDLE, given.rules.bundle), (PLAYBOOKS, given.response.playbooks)):
        shutil.copyfile(prepared / name, offered)
    ask(given.control_socket, "reload", timeout_s=RELOAD_TIMEOUT_S)
    responses = Responses(given.control_socket, word)
    responses.expect_enforcing(1)

    def play_one(attack: Attack) -> dict[str, Any]:
        return _contained(containment.play(attack, responses, root, rules, tiers, _PACE))

    return play_one


def _contained(found: Contained) -> dict[str, Any]:
    return {
        "by": found.by,
        "undone": found.undone,
        "reason": found.reason,
        "is_missed": found.is_missed,
        "after_s": round(found.after_s, 3),
    }


def _follow(socket: Path, arrivals: Arrivals) -> None:
    with contextlib.suppress(VedetteError):
        for document in _incidents(follow(socket, "incidents.follow")):
            arrivals.add(document, time.monotonic())


def _incidents(items: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for item in items:
        if isinstance(found := item.get("incident"), dict):
            yield found


def _rules(bundle: Path) -> tuple[Rule, ...]:
    try:
        return bundle_codec.decode(dsse.decode(bundle.read_bytes()).payload).rules
    except (OSError, VedetteError) as error:
        raise DeviceError(f"{bundle}: {error}") from error


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, default=Path("/etc/vedette/vedette.toml"))
    parser.add_argument("--root", type=Path, required=True, help="a watched throwaway tree")
    parser.add_argument("--only", action="append", default=[], metavar="NAME")
    parser.add_argument("--prepared", type=Path, metavar="DIR", help="what enforces, signed")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
