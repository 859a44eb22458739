"""The real RAUC: its service on a private bus, in mounts of its own, with GRUB's environment.

RAUC's contributed grub.cfg is played: the first slot of ORDER that is OK and was not tried is
tried, and marked so; a slot that was tried and never marked good is not started again.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

from tests.contract.boot_loaders.boot_loader import BootLoader
from tests.contract.boot_loaders.directory import refuse_to_write

from vedette.ports.slot_backend import SlotContext
from vedette.slots.rauc import RaucBackend
from vedette.store import durable

START_S = 20.0
_TOOLS = ("rauc", "dbus-daemon", "grub-editenv", "unshare", "openssl", "mksquashfs")
_BUS = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>session</type><listen>unix:path={folder}/bus</listen><policy context="default">
<allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/></policy>
</busconfig>
"""
_SYSTEM = """[system]
compatible=vedette-test
bootloader=grub
grubenv={folder}/grubenv
mountprefix={folder}/mnt
statusfile={folder}/rauc.status
activate-installed=false
[keyring]
path={folder}/cert.pem
allow-partial-chain=true
[slot.rootfs.0]
device={folder}/slot-0
type=raw
bootname=A
[slot.rootfs.1]
device={folder}/slot-1
type=raw
bootname=B
"""


class Rauc(BootLoader):
    """A device whose boot loader is RAUC's."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._write = durable.write
        for name in ("slot-0", "slot-1"):
            (folder / name).write_bytes(bytes(1 << 20))
        (folder / "bus.conf").write_text(_BUS.format(folder=folder))
        (folder / "system.conf").write_text(_SYSTEM.format(folder=folder))
        _run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
             "-nodes", "-keyout", folder / "key.pem", "-out", folder / "cert.pem",
             "-days", "30", "-subj", "/CN=test")  # fmt: skip
        self._edit("create")
        self._edit("set", "ORDER=A B", "A_OK=1", "A_TRY=0", "B_OK=1", "B_TRY=0")
        self._rauc = _script(
            folder / "rauc.sh",
            f'export {self._address()}; exec rauc --conf={folder}/system.conf "$@"',
        )
        self._bus = subprocess.Popen(
            ["dbus-daemon", f"--config-file={folder}/bus.conf", "--nofork"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self._service: subprocess.Popen[bytes] | None = None
        _until((folder / "bus").exists)
        self.boot()

    @classmethod
    def refusal(cls) -> str:
        if os.geteuid() != 0:
            return "needs root: RAUC mounts its bundles"
        missing = [tool for tool in _TOOLS if not shutil.which(tool)]
        return f"needs {', '.join(missing)}" if missing else ""

    def backend(self) -> RaucBackend:
        return RaucBackend(SlotContext(self.folder, self._write, {"rauc": str(self._rauc)}))

    def boot(self) -> None:
        values = self._listed()
        chosen = ""
        for name in values["ORDER"].split():
            if not chosen and values[f"{name}_OK"] == "1" and values[f"{name}_TRY"] == "0":
                chosen = name
        self._edit("set", f"{chosen}_TRY=1")
        self._start_service(chosen)
        if chosen == self.backend().plan().committed:  # RAUC's rauc-mark-good.service
            _run(self._rauc, "status", "mark-good", "booted")

    def bundle(self, image: bytes) -> Path:
        """A bundle that holds an image, signed with the device's key."""
        source, made = self.folder / "content", self.folder / "made.raucb"
        source.mkdir()
        (source / "image.img").write_bytes(image)
        (source / "manifest.raucm").write_text(
            "[update]\ncompatible=vedette-test\nversion=2\n[bundle]\nformat=plain\n"
            "[image.rootfs]\nfilename=image.img\n"
        )
        _run("rauc", "bundle", f"--cert={self.folder}/cert.pem", f"--key={self.folder}/key.pem",
             source, made)  # fmt: skip
        return made

    def damage(self) -> bool:
        return False  # RAUC answers for its own state

    def refuse(self) -> None:
        self._write = refuse_to_write
        self._end_service()

    def allow(self) -> None:
        self._write = durable.write
        self._start_service("A")

    def lie(self) -> bool:
        body = f'case "$2" in mark-*) exit 0;; esac; exec {self._rauc} "$@"'
        self._rauc = _script(self.folder / "liar", body)
        return True

    def close(self) -> None:
        self._end_service()
        self._bus.terminate()
        self._bus.wait(10)

    def _address(self) -> str:
        place = f"unix:path={self.folder}/bus"
        return (
            f"DBUS_SESSION_BUS_ADDRESS={place} DBUS_STARTER_ADDRESS={place} "
            "DBUS_STARTER_BUS_TYPE=session"
        )

    def _start_service(self, booted: str) -> None:
        self._end_service()
        self._service = subprocess.Popen(
            ["unshare", "-m", str(self._rauc), "service", f"--override-boot-slot={booted}"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        _until(lambda: _answers(self._rauc))

    def _end_service(self) -> None:
        if self._service is not None:
            self._service.terminate()
            self._service.wait(10)
            self._service = None

    def _listed(self) -> dict[str, str]:
        pairs = (line.partition("=") for line in self._edit("list").splitlines())
        return {name: value for name, _, value in pairs}

    def _edit(self, *words: str) -> str:
        return _run("grub-editenv", self.folder / "grubenv", *words)


def _run(*argv: str | Path) -> str:
    done = subprocess.run([str(word) for word in argv], check=False, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{argv}: {done.stderr}")
    return done.stdout


def _answers(rauc: Path) -> bool:
    return subprocess.run([rauc, "status"], check=False, capture_output=True).returncode == 0


def _until(is_so: object) -> None:
    ends_s = time.monotonic() + START_S
    while not is_so():  # type: ignore[operator]
        if time.monotonic() > ends_s:
            raise TimeoutError(f"{is_so} did not come within {START_S:g} s")


def _script(path: Path, body: str) -> Path:
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


boot_loaders = (Rauc,)
