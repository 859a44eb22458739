"""Changes what checks passwords, so that one more is right.

ATT&CK T1556.003. Cleanup: the throwaway root is removed.
"""

from __future__ import annotations

from vedette_dev.stage import Stage

TECHNIQUE = "T1556.003"
EXPECTS = ("attack.t1556",)


def act(stage: Stage) -> str:
    module = f"pam_{stage.word()}.so"
    return stage.type(f"echo 'auth sufficient {module}' >/etc/pam.d/{stage.word()}")
