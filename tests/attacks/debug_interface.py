"""Opens a debugger's server, by which anybody who reaches it may run what they like.

The server is a shell of such a name that sleeps and listens to nobody.
ATT&CK T1133, T1021. Cleanup: the throwaway root is removed.
"""

from __future__ import annotations

from vedette_dev.stage import LINGER_S, Stage

TECHNIQUE = "T1133"
EXPECTS = ("attack.t1133", "attack.t1021")


def act(stage: Stage) -> str:
    server = stage.random.choice(("gdbserver", "adbd"))
    stays = f"{server} -c 'sleep {LINGER_S}; :' :{stage.free_port()}"
    return stage.type(f"cp /bin/sh /opt/{server}\n/opt/{stays} &")
