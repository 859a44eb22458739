"""Ends the services that let others in, and rivals, the way a worm keeps a device to itself.

Programs of such names run in the throwaway root, drawn from what the rules know.
ATT&CK T1489. Cleanup: the throwaway root is removed.
"""

from __future__ import annotations

from vedette_dev.stage import LINGER_S, Drawn, Stage, wanted

TECHNIQUE = "T1489"
EXPECTS = ("attack.t1489",)
NEEDS_ROOT = "programs that end at once are seen by the sources that root has"


def act(stage: Stage) -> str:
    rival = stage.draw(
        "process_creation", "CommandLine", operators=("contains",), where=_is_rival
    ).match.value
    return stage.type(
        f"cp /bin/sleep /opt/{rival}\n/opt/{rival} {LINGER_S} &\nbusybox killall -9 {rival}"
    )


def _is_rival(drawn: Drawn) -> bool:
    """A name, in a rule about the tool that is used here: others list words of a firewall."""
    is_of_killall = any(match.value == "/killall" for match in wanted(drawn.rule.condition))
    return is_of_killall and "attack.t1489" in drawn.rule.tags and drawn.match.value.isalpha()
