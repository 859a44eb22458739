"""Hands an interpreter a program in base64, so that the command line shows nothing.

The program is a comment and a sleep. ATT&CK T1027.010, T1059.006.
"""

from __future__ import annotations

import base64
import sys

from vedette_dev.stage import LINGER_S, Stage

TECHNIQUE = "T1027.010"
EXPECTS = ("attack.t1027", "attack.t1140")


def act(stage: Stage) -> str:
    program = f"# {stage.word()}\nimport time; time.sleep({LINGER_S})"
    encoded = base64.b64encode(program.encode()).decode()
    stage.begin()
    command = f"import base64;exec(base64.b64decode('{encoded}'))"
    stage.start([sys.executable, "-c", command, stage.word()])
    return encoded
