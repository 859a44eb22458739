"""Has the loader put a library into every program; the library does not exist.

ATT&CK T1574.006. Cleanup: the throwaway root is removed.
"""

from __future__ import annotations

from vedette_dev.stage import Stage

TECHNIQUE = "T1574.006"
EXPECTS = ("attack.t1574",)


def act(stage: Stage) -> str:
    return stage.type(f"echo /opt/{stage.word()}.so >/etc/ld.so.preload")
