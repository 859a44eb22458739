"""Sets the setuid bit on a program, for whoever comes back later.

The program is a copy of `true` in the watched throwaway tree, owned by who plays this.
ATT&CK T1548.001.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from vedette_dev.stage import Stage

TECHNIQUE = "T1548.001"
EXPECTS = ("attack.t1548",)


def act(stage: Stage) -> str:
    name = stage.word()
    program = stage.copy(Path(shutil.which("true") or "/bin/true"), stage.watched_folder() / name)
    stage.begin()
    program.chmod(0o4755)
    return name
