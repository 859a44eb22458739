"""A whole development run: broker, identity, rules, agent and a verifying reader.

Rule 1: what is started is stopped in reverse order, and nothing else is; audit and nftables are
left as the agent found them, which is the agent's own doing.
Rule 2: each step that may take longer than two seconds is told before it begins.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from vedette.cli.fleet import add_device
from vedette.codec.registry import Registered
from vedette.daemon.config import WATCHED
from vedette.errors import DeviceError
from vedette_dev import identity, settings
from vedette_dev.broker import Broker, BrokerSettings
from vedette_dev.certificates import KeyPair
from vedette_dev.children import Child, mortal
from vedette_dev.readiness import Readiness
from vedette_dev.rules import build_rules
from vedette_dev.workbench import UPLINK_UID, Workbench, only_one, open_workbench

READY_TIMEOUT_S = 60.0
"""A polling source proves itself within its period; a slow machine compiles bytecode first."""

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Running:
    """What a second terminal has to know.

    Attributes:
        operator: of the certificate that may read the whole fleet.
        root: the watched throwaway tree.
    """

    pid: int
    device: str
    tenant: str
    port: int
    ca: Path
    operator: KeyPair
    registry: Path
    config: Path
    bundle: Path
    trust: Path
    root: Path


class Session:
    """A development run as a context manager: it is ready when it is entered.

    Attributes:
        running: where everything is, once it is ready.
        agent: the agent's first process, once it is started.
        started_in_s: from the agent's start to its "ready".
    """

    def __init__(
        self,
        folder: Path,
        say: Say,
        *,
        rules: Path,
        record: Path | None = None,
        disabled: Sequence[str] = (),
        watch: Sequence[str] = WATCHED,
        prepare: Callable[[Workbench], None] | None = None,
        tables: Mapping[str, Mapping[str, object]] | None = None,
    ) -> None:
        """Nothing happens yet.

        Args:
            folder: the workbench's.
            say: takes one line for people for each step.
            rules: the folder of Sigma rules to build.
            record: where the agent writes what it is told, or None.
            disabled: sensors that may not be used.
            watch: trees that are watched beside the throwaway one.
            prepare: puts trust document and rules in their places, instead of development's own.
            tables: of the configuration, beside those that every run has.
        """
        self._prepare, self._tables = prepare, dict(tables or {})
        self._disabled, self._watch = tuple(disabled), tuple(watch)
        self._folder, self._say, self._rules, self._record = folder, say, rules, record
        self._exit = contextlib.ExitStack()
        self.started_in_s = 0.0
        self._is_orderly = True

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self._exit.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._exit.close()

    def _start(self) -> None:
        bench = open_workbench(self._folder)
        self._exit.enter_context(only_one(bench))
        self._exit.callback(self._tidy, bench)
        self._say(f"identity  keys and trust document in {bench.folder}")
        if self._prepare is None:
            identity.make_trust(bench)
            build_rules(bench, self._rules, self._say)
        else:
            self._prepare(bench)
        _enroll(bench, settings.device_name())
        bench.playbooks.unlink(missing_ok=True)  # a run before this one may have been cut short
        broker = self._start_broker(bench)
        place_certificates(bench, broker, settings.device_name())
        bench.device_log.write_text("")
        settings.write(
            bench, port=broker.port, disabled=self._disabled, watch=self._watch, more=self._tables
        )
        self.running = _describe(bench, broker)
        self._start_agent(bench)
        _tell(bench.running, self.running)
        self._exit.callback(bench.running.unlink, missing_ok=True)

    def _start_broker(self, bench: Workbench) -> Broker:
        try:
            wanted = BrokerSettings(folder=bench.broker, devices=(settings.device_name(),))
            broker = self._exit.enter_context(Broker(wanted))
        except (OSError, RuntimeError) as error:
            raise DeviceError(f"the broker did not start: {error}") from error
        self._say(f"broker    mosquitto on 127.0.0.1:{broker.port}, TLS, client certificates")
        return broker

    def _start_agent(self, bench: Workbench) -> None:
        with Readiness(bench.passing / "ready.sock") as readiness:
            began_s = time.monotonic()
            argv = [sys.executable, "-I", "-m", "vedette.cli", "run", "--config", str(bench.config)]
            if self._record is not None:
                argv += ["--record", str(self._record)]
            with _uninterrupted():
                # Where we are killed it puts the kernel back as it was, which takes a moment.
                self.agent = Child(
                    "the agent", mortal(argv, "TERM"), bench.agent_log, readiness.environment
                )
                self._exit.callback(self._stop_agent)
            self._say(f"agent     pid {self.agent.pid}, log in {bench.agent_log}")
            try:
                readiness.wait(
                    READY_TIMEOUT_S, self.agent.ended, lambda line: self._say(f"          {line}")
                )
            except DeviceError as error:
                if self.agent.ended():
                    raise
                raise DeviceError(
                    f"{error}; {bench.agent_log} ends with:\n{self.agent.tail()}"
                ) from error
            self.started_in_s = time.monotonic() - began_s

    def _stop_agent(self) -> None:
        self._say("stopping  the agent writes and sends what it holds")
        if not self.agent.stop():
            self._is_orderly = False
            self._say(f"stopping  it had to be killed; its log is {self.agent.log}")

    def _tidy(self, bench: Workbench) -> None:
        # After a kill the run folder holds what the next start needs to put the kernel back.
        if self._is_orderly:
            shutil.rmtree(bench.passing, ignore_errors=True)


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    """Hold Ctrl-C back: between a start and its registration it would leave the process behind."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: came.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if came:
        raise KeyboardInterrupt


def read_running(folder: Path) -> Running:
    """The run that another terminal started.

    Raises:
        DeviceError: there is none that is ready.
    """
    path = folder / "running.json"
    try:
        found = json.loads(path.read_text())
        os.kill(int(found["pid"]), 0)
    except PermissionError as error:
        raise DeviceError(
            f"{path}: cannot be read as this user: run `make attack` as who ran `make run`"
        ) from error
    except (OSError, ValueError, KeyError) as error:
        raise DeviceError(
            "no agent of this clone is ready: start it with `make run` in another terminal and "
            "wait for its 'watching'"
        ) from error
    operator = KeyPair(Path(found.pop("certificate")), Path(found.pop("key")))
    return Running(
        pid=found["pid"],
        device=found["device"],
        tenant=found["tenant"],
        port=found["port"],
        operator=operator,
        ca=Path(found["ca"]),
        registry=Path(found["registry"]),
        config=Path(found["config"]),
        bundle=Path(found["bundle"]),
        trust=Path(found["trust"]),
        root=Path(found["root"]),
    )


def place_certificates(bench: Workbench, broker: Broker, device: str) -> None:
    """Give the uplink its own copies: readable by its user alone when we are root."""
    shutil.rmtree(bench.uplink_tls, ignore_errors=True)
    bench.uplink_tls.mkdir(mode=0o700)
    pair = broker.clients[device]
    for source, name in (
        (broker.authority.file, "ca.pem"),
        (pair.certificate, "device.pem"),
        (pair.key, "device.key"),
    ):
        copy = bench.uplink_tls / name
        with os.fdopen(os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400), "wb") as stream:
            stream.write(source.read_bytes())
        if os.geteuid() == 0:
            os.chown(copy, UPLINK_UID, UPLINK_UID)
    if os.geteuid() == 0:
        os.chown(bench.uplink_tls, UPLINK_UID, UPLINK_UID)


def _enroll(bench: Workbench, device: str) -> None:
    key = identity.signer(bench.keys / identity.DEVICE).public_key
    found = Registered(settings.TENANT, device, key, "this machine, for development")
    bench.registry.unlink(missing_ok=True)  # the machine may have another name than last time
    add_device(bench.registry, found, is_replacing=True)


def _describe(bench: Workbench, broker: Broker) -> Running:
    return Running(
        pid=os.getpid(),
        device=settings.device_name(),
        tenant=settings.TENANT,
        port=broker.port,
        ca=broker.authority.file,
        operator=broker.clients["operator"],
        registry=bench.registry,
        config=bench.config,
        bundle=bench.bundle,
        trust=bench.trust,
        root=bench.watched,
    )


def _tell(path: Path, running: Running) -> None:
    document = {
        "pid": running.pid,
        "device": running.device,
        "tenant": running.tenant,
        "port": running.port,
        "ca": str(running.ca),
        "certificate": str(running.operator.certificate),
        "key": str(running.operator.key),
        "registry": str(running.registry),
        "config": str(running.config),
        "bundle": str(running.bundle),
        "trust": str(running.trust),
        "root": str(running.root),
    }
    new = path.with_suffix(".new")
    new.write_text(json.dumps(document, indent=1) + "\n")
    new.replace(path)
