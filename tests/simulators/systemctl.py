"""A systemctl over a file: units as JSON, changed by the same words as systemd's.

For what a real systemd can't be asked to do on demand: to be absent, to hang, to answer nonsense.
tests/system/test_units.py runs the same responders on a real systemd.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TypedDict

PROGRAM = f"""#!{sys.executable} -IS
import json, os, sys, time
folder = os.path.dirname(os.path.abspath(__file__))
path = os.path.join(folder, "units.json")
with open(path) as stream:
    world = json.load(stream)
words = [word for word in sys.argv[1:] if not word.startswith("--no-")]
with open(os.path.join(folder, "calls"), "a") as stream:
    stream.write(" ".join(words) + "\\n")
if words[0] in world["hangs"]:
    time.sleep(60)
if words[0] == "is-system-running":
    print(world["state"])
    sys.exit(world["state"] != "running")
if words[0] == "show":
    unit = world["units"].get(words[-1])
    shown = dict(world["blank"], Id=words[-1]) if unit is None else unit["shown"]
    print("".join(f"{{key}}={{value}}\\n" for key, value in shown.items()), end="")
    sys.exit(0)
for name in words[2:]:
    unit = world["units"].get(name)
    if unit is None:
        print(f"Failed to {{words[0]}} {{name}}: Unit {{name}} not found.", file=sys.stderr)
        sys.exit(5)
    if words[0] in unit["refuses"]:
        print(f"Job for {{name}} failed.", file=sys.stderr)
        sys.exit(1)
    if words[0] in ("stop", "restart"):
        unit["shown"].update(ActiveState="inactive", SubState="dead", MainPID="0")
    if words[0] in ("start", "restart"):
        world["number"] += 1
        unit["shown"].update(ActiveState="active", SubState="running")
        unit["shown"].update(InvocationID=f"{{world['number']:032x}}", MainPID="77")
with open(path + ".new", "w") as stream:
    json.dump(world, stream)
os.replace(path + ".new", path)
"""

BLANK = {
    "Id": "", "LoadState": "not-found", "ActiveState": "inactive", "SubState": "dead",
    "InvocationID": "", "MainPID": "0", "ControlGroup": "", "TriggeredBy": "",
    "CanStart": "no", "CanStop": "yes",
}  # fmt: skip


class Unit(TypedDict):
    """One unit: what `show` says, and the words it refuses."""

    shown: dict[str, str]
    refuses: list[str]


class World(TypedDict):
    """All that the program knows."""

    state: str
    hangs: list[str]
    units: dict[str, Unit]
    number: int
    blank: dict[str, str]


class Systemctl:
    """The program and its units, in a folder of the test."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self.program = folder / "systemctl"
        self.program.write_text(PROGRAM)
        self.program.chmod(0o755)
        self._write(World(state="running", hangs=[], units={}, number=1, blank=BLANK))

    def add(self, name: str, *, refuses: tuple[str, ...] = (), **shown: str) -> None:
        """A unit that runs, unless `shown` says otherwise."""
        running = {
            "Id": name, "LoadState": "loaded", "ActiveState": "active", "SubState": "running",
            "InvocationID": "1" * 32, "MainPID": "77",
            "ControlGroup": f"/system.slice/{name}", "CanStart": "yes",
        }  # fmt: skip
        world = self._read()
        world["units"][name] = Unit(shown={**BLANK, **running, **shown}, refuses=list(refuses))
        self._write(world)

    def answer(self, state: str) -> None:
        """What is-system-running says from now on."""
        self._write({**self._read(), "state": state})

    def hang(self, *words: str) -> None:
        """Never end when asked one of these words."""
        self._write({**self._read(), "hangs": list(words)})

    def is_up(self, name: str) -> bool:
        return bool(self._read()["units"][name]["shown"]["ActiveState"] == "active")

    def changes(self) -> list[str]:
        """What it was asked to do, without the questions."""
        calls = (self._folder / "calls").read_text().splitlines()
        return [call for call in calls if call.split()[0] in {"start", "stop", "restart"}]

    def _read(self) -> World:
        found: World = json.loads((self._folder / "units.json").read_text())
        return found

    def _write(self, world: World) -> None:
        (self._folder / "units.json").write_text(json.dumps(world))
