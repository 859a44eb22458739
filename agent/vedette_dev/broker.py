"""Starts a real mosquitto on loopback, with TLS and client certificates.

Rule 1: everything it needs is in one folder; the port is free when it is chosen; it is ended by its
pid, and nothing else is.
Rule 2: a device writes below its own name only: the common name of its certificate. What is for
groups all may read: commands are signed, and secret from nobody.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from vedette_dev.certificates import Authority, KeyPair
from vedette_dev.children import mortal

READY_TIMEOUT_S = 10.0
STOP_TIMEOUT_S = 5.0
OPERATOR = "operator"
ACCESS = f"""user {OPERATOR}
topic readwrite fleet/#
pattern write fleet/v1/+/%u/#
pattern read fleet/v1/+/%u/down/#
pattern read fleet/v1/+/_group/+/down/#
"""
INSTALL_HINT = "no mosquitto found; install it with: apt-get install mosquitto"

_RETRY_S = 0.02


@dataclass(frozen=True, slots=True)
class BrokerSettings:
    """What differs between brokers.

    Attributes:
        folder: for configuration, certificates and log.
        devices: names that get a client certificate.
        access: mosquitto.conf(5) acl_file content.
        options: further lines of mosquitto.conf(5), such as {"max_packet_size": "2000"}.
        has_tls: without it the broker takes anyone on loopback, and there are no certificates.
        address: another one that it listens on and has a certificate for, beside loopback.
        port: 0 chooses a free one.
        names: further names and addresses of its certificate, where something leads here.
        is_kept: its authority is that of the broker before in this folder, whose clients it trusts.
    """

    folder: Path
    devices: tuple[str, ...] = ("device-1",)
    access: str = ACCESS
    options: Mapping[str, str] = field(default_factory=dict)
    has_tls: bool = True
    address: str = ""
    port: int = 0
    names: tuple[str, ...] = ()
    is_kept: bool = False


class Broker:
    """A mosquitto of our own; a context manager that starts and ends it.

    Attributes:
        port: where it listens on 127.0.0.1; stays the same over `restart`.
        authority: signs further certificates that it trusts.
    """

    def __init__(self, settings: BrokerSettings) -> None:
        self._settings = settings
        self._program = find_mosquitto()
        self._process: subprocess.Popen[bytes] | None = None
        self.port = settings.port or free_port()
        settings.folder.mkdir(parents=True, exist_ok=True)
        self.authority = Authority(settings.folder, is_kept=settings.is_kept)
        others = [settings.address] if settings.address else []
        self._server = self.authority.server("localhost", "127.0.0.1", *others, *settings.names)
        self.clients: dict[str, KeyPair] = {
            name: self.authority.client(name) for name in (*settings.devices, OPERATOR)
        }
        self.log = settings.folder / "mosquitto.log"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """The broker's process.

        Raises:
            RuntimeError: it does not run.
        """
        if self._process is None:
            raise RuntimeError("the broker does not run; start it first")
        return self._process.pid

    def start(self) -> None:
        """Start it and wait until it takes connections and signals.

        Raises:
            RuntimeError: it ended at once, or does not listen in time; its log is in the message.
        """
        config = self._write_config()
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                mortal([self._program, "-c", str(config)]),
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is ours to hear: the agent flushes to it first
            )
        deadline_s = time.monotonic() + READY_TIMEOUT_S
        while not (_takes_connections(self.port) and _handles(self._process.pid, signal.SIGHUP)):
            if self._process.poll() is not None or time.monotonic() > deadline_s:
                self.stop()
                raise RuntimeError(f"mosquitto did not start:\n{self.log.read_text()[-2000:]}")
            time.sleep(_RETRY_S)

    def stop(self) -> None:
        """End it; clients see the connection close."""
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGCONT)
            process.terminate()
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def kill(self) -> None:
        """End it without warning (SIGKILL): what it held in memory is gone."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()

    def freeze(self) -> None:
        """Stop it where it is: connections stay open and nothing answers."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen broker go on."""
        os.kill(self.pid, signal.SIGCONT)

    def change_access(self, access: str) -> None:
        """Replace who may write what, at once (SIGHUP)."""
        self._access_file.write_text(access, encoding="utf-8")
        os.kill(self.pid, signal.SIGHUP)

    @property
    def _access_file(self) -> Path:
        return self._settings.folder / "access"

    def _write_config(self) -> Path:
        settings = self._settings
        lines = [
            f"listener {self.port}" if settings.address else f"listener {self.port} 127.0.0.1",
            "persistence false",
            "log_dest stdout",
            "log_type all",
            "max_queued_messages 100000",  # 1,000 by default: above it mosquitto drops in silence
            f"user {pwd.getpwuid(os.geteuid()).pw_name}",
        ]
        if settings.has_tls:
            if not self._access_file.exists():
                self._access_file.write_text(settings.access, encoding="utf-8")
            lines += [
                f"cafile {self.authority.file}",
                f"certfile {self._server.certificate}",
                f"keyfile {self._server.key}",
                "require_certificate true",
                "use_identity_as_username true",
                f"acl_file {self._access_file}",
            ]
        else:
            lines.append("allow_anonymous true")
        lines += [f"{name} {value}" for name, value in settings.options.items()]
        config = settings.folder / "mosquitto.conf"
        config.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return config


def find_mosquitto() -> str:
    """The path of mosquitto.

    Raises:
        FileNotFoundError: it is not installed; the message says how to.
    """
    path = f"{os.environ.get('PATH', '')}{os.pathsep}/usr/sbin{os.pathsep}/usr/local/sbin"
    found = shutil.which("mosquitto", path=path)
    if found is None:
        raise FileNotFoundError(INSTALL_HINT)
    return found


def free_port() -> int:
    """A TCP port of loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _takes_connections(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1.0):
            return True
    except OSError:
        return False


def _handles(pid: int, number: signal.Signals) -> bool:
    """Whether a process has a handler for a signal (proc(5), SigCgt).

    mosquitto listens before it has one for SIGHUP, which would end it until then.
    """
    status = Path(f"/proc/{pid}/status").read_text("ascii", "replace")
    mask = status.partition("SigCgt:")[2].partition("\n")[0].strip()
    return bool(int(mask or "0", 16) >> (number - 1) & 1)
