"""Deletes the file of a program while it runs, so that there is nothing to look at.

ATT&CK T1070.004.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from vedette_dev.stage import LINGER_S, Stage

TECHNIQUE = "T1070.004"
EXPECTS = ("attack.t1070",)


def act(stage: Stage) -> str:
    name = stage.word()
    program = stage.copy(Path(shutil.which("sleep") or "/bin/sleep"), stage.watched_folder() / name)
    stage.start([program, str(LINGER_S)])
    stage.await_image(program)
    stage.begin()
    program.unlink()
    return name
