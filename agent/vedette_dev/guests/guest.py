"""A device in QEMU: a copy of an image, booted as often as a test wants, with a deadline on all.

Rule 1: the image is copied, never booted itself; everything of a device is in its folder.
Rule 2: every failure is a DeviceError with the console's path and its last lines.
Rule 3: whatever happens, QEMU is ended by its pid when the context ends, its socats with it.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import NoReturn, Self

from vedette.codec.text import escape
from vedette.errors import DeviceError
from vedette_dev.children import as_nice_as_we, mortal
from vedette_dev.guests import monitor, standstill
from vedette_dev.guests.console import Console
from vedette_dev.guests.machine import Wiring, argv
from vedette_dev.guests.root_shell import Ended, NoAnswerError, RootShell
from vedette_dev.guests.settings import GuestSettings
from vedette_dev.guests.standstill import StandsStillError
from vedette_dev.guests.stillness import Stillness
from vedette_dev.images import Image, build, disk, tools

BOOT_S = 240.0
"""Measured on two cores with five others at work: 50 s (arm64), 90 s (amd64), 106 s (armhf)."""
END_S = 90.0
"""A service manager gives each of its services some seconds to end."""
_LOOK_S = 0.1
_ASK_S = 1.0
"""Between two questions to a device: each takes its processor from what is waited for."""
_SLICE_S = 10.0


class Guest:
    """One device; a context manager that makes its disk and ends whatever it started.

    Attributes:
        folder: of all that is its own.
        disk: its disk; not to be written to while it runs.
        console: what it said on its serial port, over all its boots.
        boots: how often it was started.
    """

    def __init__(self, image: Image, folder: Path, settings: GuestSettings | None = None) -> None:
        """Nothing happens yet.

        Args:
            image: what it is a copy of.
            folder: made where it is missing.
            settings: what differs.
        """
        self.image, self.folder = image, folder
        self.settings = settings or GuestSettings()
        self.disk, self.console = folder / "disk.img", Console(folder / "console.log")
        self.boots = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._shell: RootShell | None = None
        self._sockets: Path | None = None

    def __enter__(self) -> Self:
        for program in (self.image.target.emulator, "socat"):
            tools.find(program)
        bios = self.image.bios
        if bios is not None and not bios.exists():
            raise DeviceError(f"{bios} is missing: apt-get install u-boot-qemu")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self.console.clear()
            # Sockets have short names (unix(7): 107 bytes), folders of tests have not.
            self._sockets = Path(tempfile.mkdtemp(prefix="vedette-qemu-"))
            self._make_disk()
        except OSError as error:
            self._leave()
            raise DeviceError(f"{error.filename or self.folder}: {error.strerror}") from error
        except BaseException:
            self._leave()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._leave()

    @property
    def is_running(self) -> bool:
        """Whether QEMU runs."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """QEMU's pid.

        Raises:
            DeviceError: it does not run.
        """
        if self._process is None or not self.is_running:
            self._fail("the device was expected to run, it does not")
        return self._process.pid

    def launch(self) -> None:
        """Start QEMU, as a power supply would, and wait for nothing.

        Raises:
            DeviceError: it runs already, or cannot be started.
        """
        if self.is_running:
            self._fail("the device was expected to be off, it runs")
        self._end()
        self.console.begin()
        self.boots += 1
        with (self.folder / "qemu.log").open("ab") as log:
            self._process = subprocess.Popen(
                mortal(self._argv()),
                stdin=None if self.settings.is_interactive else subprocess.DEVNULL,
                stdout=None if self.settings.is_interactive else log,
                stderr=log,
                start_new_session=not self.settings.is_interactive,
            )
        if not self.settings.is_interactive:
            as_nice_as_we(self._process.pid)
        self._shell = RootShell(self._socket("shell"), lambda: self.is_running)

    def boot(self, deadline_s: float = BOOT_S) -> None:
        """Start it and wait until its root shell answers.

        Raises:
            DeviceError: it does not in this time.
        """
        self.launch()
        self.await_shell(deadline_s)

    def await_shell(self, deadline_s: float = BOOT_S) -> None:
        """Wait until the root shell of a started device answers.

        Raises:
            DeviceError: it does not in this time.
        """
        try:
            self._running_shell().await_ready(deadline_s)
        except NoAnswerError as error:
            self._fail(f"it did not start: {error}")

    def await_life(self, deadline_s: float, still_s: float) -> None:
        """As `await_shell`; a device that stands still is given up before.

        Args:
            deadline_s: for all of it.
            still_s: for how long neither its console nor its disk may move.

        Raises:
            StandsStillError: it stands still; where it is, is kept in the guest's folder.
            DeviceError: it does not answer in this time, or QEMU ended.
        """
        end_s = time.monotonic() + deadline_s
        stillness = Stillness(still_s)
        while True:
            try:
                self._running_shell().await_ready(min(_SLICE_S, deadline_s))
            except NoAnswerError as error:
                now_s = time.monotonic()
                if now_s > end_s or not self.is_running:
                    self._fail(f"it did not start: {error}")
                size_bytes = self.console.size_bytes
                if stillness.look(now_s, size_bytes, self._asked("info blockstats")):
                    self._stands_still(still_s)
            else:
                return

    def _stands_still(self, still_s: float) -> NoReturn:
        place = standstill.keep(self.folder, self.console, self._asked)
        what = (
            f"it stands still: neither its console nor its disk moved for {still_s:.0f} s; "
            f"where its processors are: {place}"
        )
        raise StandsStillError(self._told(what), place)

    def _asked(self, command: str) -> str:
        """What the monitor says, "" where it does not answer."""
        try:
            return self.monitor(command)
        except DeviceError:
            return ""

    def run(self, command: str, deadline_s: float = 30.0) -> Ended:
        """Run a command of sh(1) as root in the device; how it ended is not judged.

        Raises:
            DeviceError: the device does not answer.
        """
        try:
            return self._running_shell().run(command, deadline_s)
        except NoAnswerError as error:
            self._fail(f"{command[:120]!a}: {error}")

    def check(self, command: str, deadline_s: float = 30.0) -> str:
        """Run a command that must end with 0; returns what it said.

        Raises:
            DeviceError: it does not, or the device does not answer.
        """
        ended = self.run(command, deadline_s)
        if ended.code:
            said = escape(ended.output.strip())[-600:] or "it says nothing"
            self._fail(f"{command[:120]!a} left with {ended.code}: {said}")
        return ended.output

    def await_true(self, command: str, deadline_s: float = 60.0) -> str:
        """Wait until a command ends with 0; returns what it said then.

        Raises:
            DeviceError: it does not in this time.
        """
        end_s = time.monotonic() + deadline_s
        while True:
            ended = self.run(command)
            if ended.code == 0:
                return ended.output
            if time.monotonic() > end_s:
                said = escape(ended.output.strip())[-600:]
                self._fail(
                    f"{command[:120]!a} never ended with 0 within {deadline_s:.0f} s: {said}"
                )
            time.sleep(_ASK_S)

    def await_line(self, pattern: str, deadline_s: float = 60.0) -> str:
        """Wait for a line on the console that this expression finds, said since the last start.

        Raises:
            DeviceError: it does not come in this time, or QEMU ends without it.
        """
        wanted = re.compile(pattern)
        found = self._await(lambda: self.console.line(wanted), deadline_s, needs_running=True)
        if found is None:
            self._fail(f"no line with {pattern!a} on the console within {deadline_s:.0f} s")
        return found

    def await_reset(self, deadline_s: float = END_S) -> None:
        """Wait until the device resets or powers itself off: QEMU ends by itself.

        Raises:
            DeviceError: it does not in this time.
        """
        if self._await(lambda: None if self.is_running else "off", deadline_s) is None:
            self._fail(f"it did not end by itself within {deadline_s:.0f} s")
        self._end()

    def reboot(self, deadline_s: float = BOOT_S) -> None:
        """Have the device reboot in good order, and wait for its root shell again.

        Raises:
            DeviceError: it does not go down or come up in time.
        """
        self.shut_down("reboot")
        self.boot(deadline_s)

    def shut_down(self, how: str = "poweroff") -> None:
        """Have the device end in good order ("poweroff", "reboot"); it stays off.

        Raises:
            DeviceError: it does not in time.
        """
        try:
            self._running_shell().tell(f"systemctl --no-block {how}")
        except NoAnswerError as error:
            self._fail(f"it cannot be told to end: {error}")
        self.await_reset()

    def power_off(self) -> None:
        """End QEMU at once (SIGKILL). What the device wrote is in the host's cache, hence kept."""
        self._end()

    def cut_power(self) -> None:
        """As `power_off`, from any thread, while another one waits for the device."""
        process = self._process
        if process is not None:
            process.kill()

    def slot(self) -> str:
        """The slot that runs, as the boot script told the kernel."""
        found = re.search(r"\bslot=(\w+)", self.check("cat /proc/cmdline"))
        return found.group(1) if found else ""

    def monitor(self, command: str) -> str:
        """Give QEMU's monitor a command, such as "set_link n0 off"; returns what it says.

        Raises:
            DeviceError: QEMU does not run, or does not take it.
        """
        _ = self.pid
        try:
            return monitor.ask(self._socket("monitor"), command)
        except OSError as error:
            self._fail(f"QEMU's monitor did not take {command!a}: {error}")

    def wait(self) -> None:
        """Wait until QEMU ends, whoever ends it."""
        if self._process is not None:
            self._process.wait()
            self._end()

    def _make_disk(self) -> None:
        build.copy(self.image.disk, self.disk)
        if self.settings.data is not None:
            log, data = self.folder / "disk.log", self.folder / "data.img"
            size = self.image.layout.data.size_bytes
            disk.make_ext4(data, self.settings.data, size, "data", log)
            disk.put(self.disk, self.image.layout.data, data)
            data.unlink()

    def _argv(self) -> list[str]:
        wiring = Wiring(
            disk=self.disk,
            shell=self._socket("shell"),
            monitor=self._socket("monitor"),
            console=self.console.path,
            bios=self.image.bios,
            settings=self.settings,
        )
        return argv(
            self.image.target, tools.find(self.image.target.emulator), tools.find("socat"), wiring
        )

    def _socket(self, name: str) -> Path:
        if self._sockets is None:
            raise DeviceError("a guest is used as a context manager: `with Guest(…) as guest:`")
        return self._sockets / name

    def _running_shell(self) -> RootShell:
        if self._shell is None or not self.is_running:
            self._fail("the device was expected to run, it does not")
        return self._shell

    def _await(
        self, look: Callable[[], str | None], deadline_s: float, *, needs_running: bool = False
    ) -> str | None:
        end_s = time.monotonic() + deadline_s
        while time.monotonic() < end_s:
            is_last = needs_running and not self.is_running
            found = look()
            if found is not None or is_last:
                return found
            time.sleep(_LOOK_S)
        return look()

    def _fail(self, what: str) -> NoReturn:
        raise DeviceError(self._told(what))

    def _told(self, what: str) -> str:
        """What went wrong, with all that QEMU and the device said last."""
        state = "it runs" if self.is_running else "it is off"
        log = self.folder / "qemu.log"
        complaint = log.read_text("utf-8", "replace").strip()[-400:] if log.exists() else ""
        more = f"\n  {log}: {escape(complaint)}" if complaint else ""
        return (
            f"{self.image.arch} device, boot {self.boots} ({state}): {what}{more}\n"
            f"  {self.console} ends with:\n{self.console.tail()}"
        )

    def _end(self) -> None:
        if self._shell is not None:
            self._shell.close()
        process, self._process, self._shell = self._process, None, None
        if process is not None:
            process.kill()
            process.wait()
        if self._sockets is not None:
            for name in ("shell", "monitor"):
                (self._sockets / name).unlink(missing_ok=True)

    def _leave(self) -> None:
        self._end()
        if self._sockets is not None:
            shutil.rmtree(self._sockets, ignore_errors=True)
        with contextlib.suppress(OSError):
            (self.folder / "data.img").unlink(missing_ok=True)
