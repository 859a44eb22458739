"""Has the shell write what is typed to nowhere.

ATT&CK T1070.003. Cleanup: the throwaway root is removed.
"""

from __future__ import annotations

from vedette_dev.stage import Stage

TECHNIQUE = "T1070.003"
EXPECTS = ("attack.t1070.003",)
NEEDS_ROOT = "programs that end at once are seen by the sources that root has"


def act(stage: Stage) -> str:
    history = stage.random.choice((".ash_history", ".bash_history", ".sh_history"))
    way = stage.random.choice(("ln -sf /dev/null /root/{}", "rm -f /root/{}"))
    if way.startswith("rm"):  # a response may bring it back, and the link would be in its place
        stage.enclosure().write(f"/root/{history}", stage.word())
    return stage.type(way.format(history))
