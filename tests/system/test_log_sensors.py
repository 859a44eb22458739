from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import subprocess
import sys
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from tests.simulators.collected import Collected

from vedette.errors import SensorError
from vedette.model.event import Event, EventsLost, LogLine
from vedette.sensors import _log_probe, journald
from vedette.sensors.journald import JournaldSensor
from vedette.sensors.log_file import LogFileSensor

STAMP = b"Nov 21 12:00:00 cam "


def lines(events: list[Event]) -> list[tuple[str, str, int]]:
    return [(e.service, e.message, e.pid) for e in events if isinstance(e, LogLine)]


def append(path: Path, data: bytes) -> None:
    with path.open("ab") as log:
        log.write(data)


@pytest.fixture(autouse=True)
def nobody_at_dev_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_log_probe, "DEV_LOG", tmp_path / "dev-log")


class Files:
    """A LogFileSensor on two log files of its own."""

    def __init__(self, folder: Path) -> None:
        (folder / "run").mkdir()
        self.syslog, self.auth = folder / "syslog", folder / "auth.log"
        append(self.syslog, STAMP + b"old: line\n")
        paths = f"{self.syslog}, {self.auth}"
        self.collected = Collected(folder / "run", options={"paths": paths})
        self.sensor = LogFileSensor(self.collected.context)

    async def until(self, message: str) -> list[tuple[str, str, int]]:
        def has_it(events: list[Event]) -> bool:
            return any(line[1] == message for line in lines(events))

        return lines(await self.collected.until(has_it))


def test_appended_lines_are_told_through_rotation(tmp_path: Path) -> None:
    files = Files(tmp_path)

    async def story() -> None:
        async with AsyncExitStack() as stack:
            stack.push_async_callback(files.sensor.close)
            await files.sensor.open()
            append(files.syslog, STAMP + b"sshd[7]: one\n  continued\n")
            await files.until("  continued")
            append(files.syslog, STAMP + b"sshd[7]: two\n")
            files.syslog.rename(tmp_path / "syslog.1")
            append(files.syslog, STAMP + b"sshd[7]: three\n")
            await files.until("three")
            append(files.auth, STAMP + b"sudo: four\n")
            await files.until("four")
            append(files.syslog, STAMP + b"sshd[7]: five\n")
            assert await files.until("five") == [
                ("sshd", "one", 7),
                ("", "  continued", 0),
                ("sshd", "two", 7),
                ("sshd", "three", 7),
                ("sudo", "four", 0),
                ("sshd", "five", 7),
            ]

    asyncio.run(story())


def test_a_file_shortened_in_place_is_a_loss(tmp_path: Path) -> None:
    files = Files(tmp_path)

    async def story() -> None:
        async with AsyncExitStack() as stack:
            stack.push_async_callback(files.sensor.close)
            await files.sensor.open()
            os.truncate(files.syslog, 0)
            events = await files.collected.until(bool)
            assert [e.reason for e in events if isinstance(e, EventsLost)] == [
                "a log file was shortened in place"
            ]

    asyncio.run(story())


def test_without_a_logger_it_proves_the_reading(tmp_path: Path) -> None:
    files = Files(tmp_path)

    async def story() -> None:
        await files.sensor.open()
        for token in ("abcdefghij", "klmnopqrst"):
            await files.sensor.prove(token)
        await files.sensor.close()
        assert files.collected.events == []

    asyncio.run(story())
    assert list((tmp_path / "run").iterdir()) == []


@pytest.mark.parametrize("logger_writes", ["the file", "nothing"])
def test_with_a_logger_it_proves_that_its_lines_arrive(
    tmp_path: Path,
    logger_writes: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    files = Files(tmp_path)
    writes = logger_writes == "the file"
    monkeypatch.setattr(LogFileSensor, "proof_timeout_s", 5.0 if writes else 0.3)

    async def story(logger: socket.socket) -> None:
        async with AsyncExitStack() as stack:
            stack.push_async_callback(files.sensor.close)
            await files.sensor.open()
            if writes:
                asyncio.get_running_loop().add_reader(
                    logger, lambda: append(files.syslog, STAMP + logger.recv(500)[4:] + b"\n")
                )
                await files.sensor.prove("abcdefghij")
            else:
                with pytest.raises(SensorError, match="saw none"):
                    await files.sensor.prove("abcdefghij")
            assert files.collected.events == []

    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as logger:
        logger.bind(os.fspath(_log_probe.DEV_LOG))
        asyncio.run(story(logger))


def test_no_log_file_is_a_reason(tmp_path: Path) -> None:
    collected = Collected(tmp_path, options={"paths": str(tmp_path / "nothing")})
    with pytest.raises(SensorError, match="option `paths`"):
        asyncio.run(LogFileSensor(collected.context).open())


# A real journald in a mount namespace of its own: its /run and /var/log are empty file systems.
IN_NAMESPACE = """
set -e
mount -t tmpfs none /run; mount -t tmpfs none /var/log
mkdir -p /run/systemd/journal /run/systemd/journald.conf.d /run/vedette
printf '[Journal]\\nStorage=volatile\\nAudit=\\nReadKMsg=no\\nForwardToWall=no\\n' \
    >/run/systemd/journald.conf.d/test.conf
/lib/systemd/systemd-journald >/dev/null 2>&1 &
journald=$!
trap 'kill $journald' EXIT
"$@"
"""

STORY = """
import asyncio, json, os, socket, sys
from pathlib import Path
from tests.simulators.collected import Collected
from tests.system.test_log_sensors import lines
from vedette.errors import SensorError
from vedette.model.event import EventsLost
from vedette.sensors import _log_probe
from vedette.sensors.journald import JournaldSensor

_log_probe.DEV_LOG = Path("/run/systemd/journal/dev-log")

def log(data):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.sendto(data, os.fspath(_log_probe.DEV_LOG))

async def story():
    collected = Collected(Path("/run/vedette"))
    sensor = JournaldSensor(collected.context)
    async with asyncio.timeout(10):
        while not _log_probe.DEV_LOG.is_socket():
            await asyncio.sleep(0.01)  # the one thing here that tells nobody when it is ready
    await sensor.open()
    await sensor.prove("abcdefghij")
    log(b"<38>sshd[7]: Failed password for root")
    log(b"<38>sshd[7]: two\\nlines")
    await collected.until(lambda seen: len(lines(seen)) >= 2)
    child = sensor._child.pid
    os.kill(child, 9)
    await collected.until(lambda seen: any(isinstance(e, EventsLost) for e in seen))
    try:
        await sensor.prove("klmnopqrst")
        said = "proved"
    except SensorError as error:
        said = str(error)
    await sensor.close()
    print(json.dumps({"lines": lines(collected.events), "said": said, "pid": os.getpid(),
                      "zombie": os.path.exists(f"/proc/{child}")}))

asyncio.run(story())
"""


def test_a_real_journal_is_followed(as_root: None) -> None:
    if not Path("/lib/systemd/systemd-journald").exists() or shutil.which("journalctl") is None:
        pytest.skip("needs systemd-journald and journalctl: apt-get install systemd")
    argv = ["unshare", "-m", "sh", "-c", IN_NAMESPACE, "sh", sys.executable, "-c", STORY]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        argv, check=False, capture_output=True, text=True, timeout=60, env=environment
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["lines"] == [
        ["sshd", "Failed password for root", result["pid"]],
        ["sshd", "two\nlines", result["pid"]],
    ]
    assert result["said"] == "journald: journalctl ended"
    assert result["zombie"] is False


def test_without_journald_it_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journald, "SOCKET", tmp_path / "socket")
    with pytest.raises(SensorError, match=r"not running|found none"):
        asyncio.run(JournaldSensor(Collected(tmp_path).context).open())
