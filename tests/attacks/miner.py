"""Runs a program with the arguments of a miner; it is a shell that sleeps and mines nothing.

ATT&CK T1496. Cleanup: the throwaway root is removed.
"""

from __future__ import annotations

from vedette_dev.stage import LINGER_S, Drawn, Stage

TECHNIQUE = "T1496"
EXPECTS = ("attack.t1496",)


def act(stage: Stage) -> str:
    pool = stage.draw(
        "process_creation", "CommandLine", operators=("contains",), where=_is_scheme
    ).match.value
    program = f"/opt/{stage.word()}"
    stays = f"{program} -c 'sleep {LINGER_S}; :' -o {pool}{stage.loopback()}:3333"
    return stage.type(f"cp /bin/sh {program}\n{stays} &")


def _is_scheme(drawn: Drawn) -> bool:
    return drawn.match.value.endswith("://") and "attack.t1496" in drawn.rule.tags
