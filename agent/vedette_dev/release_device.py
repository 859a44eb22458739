"""The device of a release demo: this machine's agent, and what stands for the rest of a camera.

Rule 1: agent, updater, installer and worker are the real ones; so are broker and signatures.
Rule 2: only the hardware is played: two files are its slots, a boot loader in Python starts them
(slots/directory.py), a program of ten lines of awk runs its models.
"""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from vedette.errors import DeviceError
from vedette.model.update import Cause, Step, UpdateReport
from vedette.ports.slot_backend import SlotContext
from vedette.slots.directory import DirectoryBackend
from vedette.store import durable
from vedette_dev.release_desk import Desk
from vedette_dev.workbench import UPLINK_UID

UPDATE_UID, WORKER_UID = UPLINK_UID + 1, UPLINK_UID + 2
HARDWARE = "demo-camera"
PATIENCE_S = 40.0
RUNNER = """\
# A linear model: the dot product of its weights with a JSON list of numbers.
FNR == NR { for (i = 1; i <= NF; i++) weight[i] = $i; next }
{ gsub(/[^0-9.,-]/, ""); n = split($0, x, ","); for (i = 1; i <= n; i++) sum += weight[i] * x[i] }
END { printf "[%.6f]\\n", sum }
"""


class Hardware:
    """Slots, their boot loader, and what runs models; below a folder that others may read."""

    def __init__(self, folder: Path) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        for inner in (folder, folder / "slots"):
            inner.mkdir(mode=0o755)
        self._folder = folder
        self.slots = folder / "slots"
        self.backend = DirectoryBackend(
            SlotContext(folder, durable.write, {"folder": str(self.slots)})
        )
        (folder / "runner.awk").write_text(RUNNER)
        self.backend.place("a").write_bytes(image("1.0", is_good=True))
        self.boot()

    def boot(self) -> str:
        """Start the device: the boot loader chooses a slot; what is in it says how it does."""
        slot = self.backend.boot()
        first = self.backend.place(slot).read_bytes().split(b"\n", 2)
        (self._folder / "camera-service").write_bytes(first[1] + b"\n")
        return slot

    def version(self) -> str:
        """Of the firmware that runs."""
        return self.backend.place(self.backend.booted()).read_bytes().split(b"\n", 1)[0].decode()

    def tables(self, desk: Desk) -> dict[str, Mapping[str, object]]:
        """The device's configuration, beside what every agent of development has."""
        awk = shutil.which("awk")
        if awk is None:
            raise DeviceError("awk is needed to run the demo's models: apt-get install mawk")
        return {
            "updates": {
                "source": str(desk.served), "root": str(desk.root), "hardware": [HARDWARE],
                "every_m": 0, "user": str(UPDATE_UID), "worker": str(WORKER_UID),
            },
            "drill": {"every_m": 0},
            "firmware": {"backend": "directory", "settle_s": 1, "trial_s": 10, "look_s": 1},
            "firmware.slots": {"folder": str(self.slots)},
            "firmware.health.camera": {
                "command": ["/bin/grep", "-q", "service=up", str(self._folder / "camera-service")],
                "user": str(WORKER_UID), "timeout_s": 5,
            },
            "models": {"folder": str(self._folder / "models")},
            "models.runners.linear": {
                "argv": [awk, "-f", str(self._folder / "runner.awk"), "{entry}", "{input}"],
            },
        }  # fmt: skip


def image(version: str, *, is_good: bool) -> bytes:
    """A firmware of 1 MB; what it says of its service is what the health probe will find."""
    head = f"{version}\nservice={'up' if is_good else 'down'}\n".encode()
    return head + bytes(range(256)) * 4096


class Steps:
    """What the fleet hears: verified steps of updates, in their order.

    Args:
        patience_s: how long something may take to come.
    """

    def __init__(self, patience_s: float = PATIENCE_S) -> None:
        self._patience_s = patience_s
        self._heard: list[UpdateReport] = []
        self._incidents: list[Mapping[str, Any]] = []
        self._changed = threading.Condition()

    def hear(self, report: UpdateReport) -> None:
        """Take a step; in the reader's thread."""
        with self._changed:
            self._heard.append(report)
            self._changed.notify_all()

    def hear_incident(self, document: Mapping[str, Any], _came_s: float) -> None:
        """Take an incident; in the reader's thread."""
        with self._changed:
            self._incidents.append(document)
            self._changed.notify_all()

    def await_step(self, step: Step, kind: str, cause: Cause | None = None) -> list[UpdateReport]:
        """Wait for a step of a kind ("" for metadata); returns what was heard since the last wait.

        Raises:
            DeviceError: it does not come.
        """

        def is_there() -> bool:
            return any(
                one.step is step and str(one.kind or "") == kind and cause in {None, one.cause}
                for one in self._heard
            )

        self._await(is_there, f"the step {step} of {kind or 'metadata'}")
        with self._changed:
            heard, self._heard = self._heard, []
        return heard

    def await_incident(self, rule_id: str, word: str = "") -> Mapping[str, Any]:
        """Wait for an incident of a rule, with this text somewhere in it.

        Raises:
            DeviceError: it does not come.
        """

        def found() -> list[Mapping[str, Any]]:
            ours = (one for one in self._incidents if _rule_of(one) == rule_id)
            return [one for one in ours if word in json.dumps(one)]

        self._await(lambda: bool(found()), f"an incident of {rule_id} {word}".rstrip())
        return found()[0]

    def has_incident(self, rule_id: str) -> bool:
        """Whether one came so far."""
        with self._changed:
            return any(_rule_of(one) == rule_id for one in self._incidents)

    def _await(self, is_there: Callable[[], bool], what: str) -> None:
        ends_s = time.monotonic() + self._patience_s
        with self._changed:
            while not is_there():
                if not self._changed.wait(max(0.0, ends_s - time.monotonic())):
                    heard = ", ".join(f"{one.step} {one.title}" for one in self._heard) or "nothing"
                    raise DeviceError(
                        f"expected {what} within {self._patience_s:g} s, heard {heard}"
                    )


def _rule_of(document: Mapping[str, Any]) -> str:
    info = document.get("finding_info")
    analytic = info.get("analytic") if isinstance(info, dict) else None
    return str(analytic.get("uid")) if isinstance(analytic, dict) else ""
