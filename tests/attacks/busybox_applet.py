"""Runs a BusyBox applet under its applet's name, the way every command of a router is run.

The applet is drawn from the rules that name one; the file executed is the one BusyBox binary.
ATT&CK T1059.004, or what the drawn rule says.
"""

from __future__ import annotations

from vedette_dev.stage import Stage

TECHNIQUE = "T1105"
EXPECTS = ("attack.t1105", "attack.t1059", "attack.t1219", "attack.t1133", "attack.t1048")


def act(stage: Stage) -> str:
    folder = stage.folder()
    token = stage.word()
    applet = folder / "bin" / "tftp"
    applet.parent.mkdir()
    applet.symlink_to(stage.busybox())
    stage.begin()
    stage.start(
        [applet, "-g", "-l", folder / token, "-r", token, stage.loopback(), "6969"],
        cwd=folder,
    )
    return token
