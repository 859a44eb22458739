"""Adds an account with the rights of root by writing to the account file.

ATT&CK T1136.001. Cleanup: the throwaway root is removed.
"""

from __future__ import annotations

from vedette_dev.stage import Stage

TECHNIQUE = "T1136.001"
EXPECTS = ("attack.t1136",)


def act(stage: Stage) -> str:
    return stage.type(f"echo '{stage.word()}:x:0:0::/:/bin/sh' >>/etc/passwd")
