"""A device on which the package was just installed: its configuration, an empty state, no owner."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self, TypeVar

from tests.simulators.station import UPLINK_UID
from tests.system._live import QUIET
from tests.system._proc import end

from vedette.daemon import control_client
from vedette.errors import DeviceError
from vedette_dev.readiness import Readiness

PACKAGED = Path(__file__).parents[2] / "packaging" / "vedette.toml"
DEADLINE_S = 60.0
T = TypeVar("T")


class Fresh:
    """A device on which the package was just installed, below a folder.

    Its configuration is the package's, with other places for what is in /etc, /var and /run, one
    watched tree, and without the sources of which a machine has only one.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.etc, self.state = folder, folder / "etc", folder / "state"
        self.watched = folder / "watched"
        for made in (self.etc, self.watched):
            made.mkdir()
        self.config, self.log = self.etc / "vedette.toml", folder / "agent.log"
        places = {
            "/var/lib/vedette": self.state,
            "/etc/vedette": self.etc,
            "/run/vedette": folder / "run",
        }
        text = PACKAGED.read_text()
        for place, ours in places.items():
            text = text.replace(f'"{place}', f'"{ours}')
        text = re.sub(r"(?ms)^watch = \[.*?^\]", f'watch = ["{self.watched}"]', text)
        text = text.replace('"vedette-uplink"', f'"{UPLINK_UID}"')
        text = re.sub(r"(?m)^\[sensors\]\n#.*\ndisable = \[\]$", QUIET, text)
        self.config.write_text(text)
        self.keeper: subprocess.Popen[bytes] | None = None

    def vedette(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "vedette.cli", *map(str, words), "--config", str(self.config)],
            capture_output=True, text=True, check=False, timeout=100,
        )  # fmt: skip

    def enroll(self, *words: str | Path) -> dict[str, Any]:
        done = self.vedette("enroll", *words, "--json")
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:  # `with` leaves nothing whose beginning failed
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        with Readiness(self.folder / "ready.sock") as readiness, self.log.open("ab") as log:
            self.keeper = subprocess.Popen(
                [sys.executable, "-m", "vedette.cli", "run", "--config", str(self.config)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                env={**os.environ, **readiness.environment},
            )  # fmt: skip
            readiness.wait(DEADLINE_S, self._ended, lambda _: None)

    def stop(self) -> None:
        keeper, self.keeper = self.keeper, None
        if keeper is not None and keeper.poll() is None:
            assert end(keeper, DEADLINE_S) == 0, self.log.read_text()[-3000:]

    def reload(self) -> None:
        assert self.keeper is not None
        self.keeper.send_signal(signal.SIGHUP)

    def ask(self, do: str, **params: Any) -> dict[str, Any]:
        return dict(control_client.ask(self.folder / "run" / "control.sock", do, params))

    def incident(self, rule_id: str) -> dict[str, Any] | None:
        for found in self.ask("incidents.list", limit=1000)["incidents"]:
            if found["finding_info"]["analytic"]["uid"] == rule_id:
                return dict(found)
        return None

    def until(self, look: Callable[[], T | None], what: str) -> T:
        ends_s = time.monotonic() + DEADLINE_S
        while time.monotonic() < ends_s:
            try:
                found = look()
            except DeviceError:
                found = None
            if found:
                return found
            time.sleep(0.05)
        raise AssertionError(f"waited for {what}; the log ends:\n{self.log.read_text()[-3000:]}")

    def _ended(self) -> str:
        if self.keeper is None or self.keeper.poll() is None:
            return ""
        return self.log.read_text("utf-8", "replace")[-3000:]


@contextlib.contextmanager
def fresh() -> Iterator[Fresh]:
    """A device that has not been started; ended and removed afterwards."""
    # Not pytest's folder: the uplink's own user has to reach its certificate.
    folder = Path(tempfile.mkdtemp(prefix="vedette-fresh-"))
    folder.chmod(0o755)
    made = Fresh(folder)
    try:
        yield made
    finally:
        made.stop()
        shutil.rmtree(folder, ignore_errors=True)
