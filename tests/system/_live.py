"""A whole agent beside a real broker: keeper, sentinel and uplink as `vedette run` starts them."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from tests.simulators.station import UPLINK_UID
from tests.system._proc import children, end
from tests.system._site import Site

from vedette.errors import DeviceError
from vedette_dev.broker import Broker, BrokerSettings
from vedette_dev.readiness import Readiness

DEVICE = "site"
DEADLINE_S = 40.0
QUIET = '[sensors]\ndisable = ["ebpf", "audit", "proc_connector", "conntrack", "journald"]'
"""Sources of which a machine has only one stay out of these tests."""

T = TypeVar("T")


class Live:
    """One device and its agent; the broker is the test's.

    Attributes:
        site: its folders, keys and control socket.
        log: what keeper, sentinel and uplink print.
        host: where it reaches the broker; takes effect with the next `configure`.
    """

    def __init__(self, site: Site, broker: Broker, tls: Path) -> None:
        self.site = site
        self.log = site.folder / "agent.log"
        self.host = "127.0.0.1"
        self._broker, self._tls = broker, tls
        self.keeper: subprocess.Popen[bytes] | None = None

    def configure(self, **uplink: object) -> None:
        """Write the configuration; `uplink` are further keys of that section."""
        user = UPLINK_UID if os.geteuid() == 0 else os.geteuid()
        more = "".join(f"{name} = {value}\n" for name, value in uplink.items())
        self.site.write_config(
            f'[uplink]\nhost = "{self.host}"\nport = {self._broker.port}\nuser = "{user}"\n'
            f'ca = "{self._tls}/ca.pem"\ncertificate = "{self._tls}/device.pem"\n'
            f'key = "{self._tls}/device.key"\n{more}'
        )

    def start(
        self, command: Sequence[str] = (), *, environment: Mapping[str, str] | None = None
    ) -> None:
        """Start the agent and wait until it is ready; `command` stands in for `vedette run`."""
        config = str(self.site.config)
        argv = command or (sys.executable, "-I", "-m", "vedette.cli", "run", "--config", config)
        with Readiness(self.site.folder / "ready.sock") as readiness, self.log.open("ab") as log:
            self.keeper = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **readiness.environment, **(environment or {})},
                start_new_session=True,
            )
            readiness.wait(DEADLINE_S, self._ended, lambda _: None)

    def stop(self) -> int:
        """End the agent in order; returns its exit code."""
        keeper, self.keeper = self.keeper, None
        if keeper is None:
            raise RuntimeError("the agent does not run; start it first")
        return end(keeper, DEADLINE_S)

    def close(self) -> None:
        """Leave no process and no socket behind, whatever the test did."""
        keeper, self.keeper = self.keeper, None
        if keeper is not None and keeper.poll() is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                end(keeper, DEADLINE_S)
        shutil.rmtree(self.site.run, ignore_errors=True)

    def pid(self, part: str) -> int:
        """The process of "sentinel" or "uplink"; waits while it is being started."""
        return self.until(lambda: self._find(part), f"a running {part}")

    def kill(self, part: str, number: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal to a part; for SIGKILL, wait until the keeper has another one."""
        before = self.pid(part)
        os.kill(before, number)
        if number is signal.SIGKILL:
            self.until(lambda: self._find(part) not in {0, before}, f"another {part}")

    def until(self, look: Callable[[], T | None], what: str, deadline_s: float = DEADLINE_S) -> T:
        """Look again until there is something; an agent that is starting counts as nothing."""
        ends_s = time.monotonic() + deadline_s
        while time.monotonic() < ends_s:
            with contextlib.suppress(DeviceError, OSError):
                if found := look():
                    return found
            time.sleep(0.02)
        raise AssertionError(f"waited {deadline_s:g} s for {what}; the log ends:\n{self.tail()}")

    def tail(self) -> str:
        """The end of the log."""
        return self.log.read_text("utf-8", "replace")[-3000:] if self.log.exists() else ""

    def _find(self, part: str) -> int:
        words = {"sentinel": ("vedette.cli sentinel", "sentinel_main"),
                 "uplink": ("uplink_main", "vedette.cli uplink")}[part]  # fmt: skip
        if self.keeper is None:
            return 0
        for pid, line in children(self.keeper.pid).items():
            if any(word in line for word in words):
                return pid
        return 0

    def _ended(self) -> str:
        if self.keeper is None or self.keeper.poll() is None:
            return ""
        return f"the agent ended with {self.keeper.returncode}:\n{self.tail()}"


@contextlib.contextmanager
def live(
    folder: Path,
    *,
    options: Mapping[str, str] | None = None,
    sensors: str = QUIET,
    address: str = "",
) -> Iterator[tuple[Live, Broker]]:
    """A device with offered rules still to come, and a broker that has not been started.

    `address` is one of the broker's beside loopback.
    """
    folder.mkdir(exist_ok=True)
    wanted = BrokerSettings(
        folder / "broker", devices=(DEVICE,), options=options or {}, address=address
    )
    broker = Broker(wanted)
    # Not pytest's folder: the uplink's own user has to reach its certificates.
    with tempfile.TemporaryDirectory(prefix="vedette-tls-") as name:
        device = Live(Site(folder, sensors=sensors), broker, Path(name))
        place_certificates(Path(name), broker)
        device.configure()
        try:
            yield device, broker
        finally:
            device.close()
            broker.stop()


def place_certificates(tls: Path, broker: Broker) -> None:
    pair = broker.clients[DEVICE]
    tls.chmod(0o711)
    for source, name in (
        (broker.authority.file, "ca.pem"),
        (pair.certificate, "device.pem"),
        (pair.key, "device.key"),
    ):
        (tls / name).write_bytes(source.read_bytes())
        if os.geteuid() == 0:
            os.chown(tls / name, UPLINK_UID, -1)
