"""`python -m vedette_dev run`: guards this machine and prints incidents until Ctrl-C.

Rule 1: the first Ctrl-C (or SIGTERM) stops everything in order; further ones are told that it is
being done, since a stop cut short could leave the kernel as it is while watched.
Rule 2: what is printed came over MQTT with a good signature, as an operator would see it.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

from vedette.codec.strict_json import Json
from vedette.daemon import config
from vedette.daemon.control_client import ask
from vedette.errors import VedetteError
from vedette_dev.interrupts import one_interrupt
from vedette_dev.reader import Reader
from vedette_dev.session import Session
from vedette_dev.terminal import BOLD, GREY, YELLOW, columns, paint, say

EXIT_INTERRUPTED = 130
STOPPING = "still stopping: the agent is given 20 s to put everything back"


def run(repository: Path, folder: Path, *, seconds: float | None) -> int:
    """Guard this machine.

    Args:
        repository: the clone, whose rules are built.
        folder: the workbench's.
        seconds: stop after so long; None waits for Ctrl-C.

    Returns:
        0 after a stop in good order, 130 when interrupted before it was ready.

    Raises:
        VedetteError: it could not be started; the message says why and where the log is.
    """
    is_watching = False
    with one_interrupt(STOPPING):
        try:
            with Session(folder, say, rules=repository / "rules") as session:
                with Reader(session.running, lambda *_: None, say) as reader:
                    _tell_tiers(session)
                    reader.await_device()
                    say(paint(_invitation(session, seconds), BOLD))
                    is_watching = True
                    _watch(session, seconds)
                return 0
        except KeyboardInterrupt:
            return 0 if is_watching else EXIT_INTERRUPTED


def _watch(session: Session, seconds: float | None) -> None:
    """Wait; an agent that ends by itself is an error."""
    ended = threading.Event()

    def wait() -> None:
        session.agent.wait()
        ended.set()

    threading.Thread(target=wait, daemon=True).start()
    if ended.wait(seconds):
        raise session.agent.failure()


def _invitation(session: Session, seconds: float | None) -> str:
    until = f"for {seconds:g} s" if seconds else "until Ctrl-C"
    return (
        f"watching  after {session.started_in_s:.1f} s, {until}; in a second terminal: make attack"
    )


def _tell_tiers(session: Session) -> None:
    """Print which source watches each class and what it cannot see."""
    given = config.load(session.running.config)
    try:
        tiers = ask(given.control_socket, "doctor").get("tiers")
    except VedetteError as error:
        say(paint(f"tiers     unknown: {error}", YELLOW))
        return
    rows = [("watched", "by", "what")]
    blind = [("unseen", "")]
    for tier in tiers if isinstance(tiers, list) else []:
        if isinstance(tier, dict):
            name = str(tier["class"])
            rows.append((name, str(tier["tier"] or "nothing"), str(tier["sees"])))
            blind += [(name, line) for line in _unseen(tier)]
    if os.geteuid() != 0:
        say(paint("sources   without root: the better ones need it", YELLOW))
    for line in columns(rows):
        say(f"          {line}")
    for line in columns(blind):
        say(paint(f"          {line}", GREY))


def _unseen(tier: dict[str, Json]) -> Iterator[str]:
    misses, failures = tier["misses"], tier["failures"]
    for line in misses if isinstance(misses, list) else []:
        yield str(line)
    for failure in failures if isinstance(failures, list) else []:
        if isinstance(failure, dict):
            yield f"not by {failure['tier']}: {failure['reason']}"
