"""The command line of QEMU for one device; pure.

Rule 1: software emulation, always: a /dev/kvm that opens may still not run a stock kernel.
Rule 2: a reset ends QEMU, and whoever started it starts it again: a warm reset under emulation took
up to two minutes, a new process takes two seconds. Only a device for a person restarts by itself.
Rule 3: no network but what is forwarded: each connection is a socat of its own (`cmd:` of
guestfwd), since a plain guestfwd shares one connection among all.
Rule 4: the harness has one virtio port of its own (SHELL_PORT); all else a device might have.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from vedette.errors import RequestError
from vedette_dev.guests.settings import GuestSettings
from vedette_dev.images.target import Target

SHELL_PORT = "vedette.shell"
"""qemu-images/root: vedette-test-shell.service."""
_DISK = "disk"
_TRANSLATED_MB = 128
"""Of translated code, then QEMU begins anew. It drops a page's pieces of it one by one, searching
all of them for each: with its own limit of 1 GB, and thousands of programs that each map their
libraries elsewhere, QEMU 7.2 stood in one page for many seconds, and the watchdog ended the device.
"""


@dataclass(frozen=True, slots=True)
class Wiring:
    """What a device is connected to.

    Attributes:
        disk: its disk, raw, written to.
        shell: socket of the root shell.
        monitor: socket of QEMU's monitor.
        console: the file of its serial port; a person's device has the terminal instead.
        bios: what QEMU starts: U-Boot; None for the machine's own.
        settings: all else.
    """

    disk: Path
    shell: Path
    monitor: Path
    console: Path
    bios: Path | None
    settings: GuestSettings


def argv(target: Target, emulator: str, socat: str, wiring: Wiring) -> list[str]:
    """The words that start the device.

    Args:
        target: which architecture.
        emulator: path of QEMU's program.
        socat: path of socat(1), for forwards.
        wiring: its disk, sockets and settings.

    Raises:
        RequestError: a forward is not "ADDRESS:PORT" -> port.
    """
    settings = wiring.settings
    words = [
        emulator, *target.machine, "-accel", f"tcg,thread=multi,tb-size={_TRANSLATED_MB}",
        "-smp", str(settings.processors), "-m", str(settings.memory_mb),
        *(["-bios", str(wiring.bios)] if wiring.bios else []), "-nodefaults", "-display", "none",
        *_console(wiring),
        "-chardev", f"socket,id=monitor,path={wiring.monitor},server=on,wait=off",
        "-mon", "chardev=monitor,mode=readline",
        *_disks(wiring),
        "-device", "virtio-serial-pci",
        "-chardev", f"socket,id=shell,path={wiring.shell},server=on,wait=off",
        "-device", f"virtserialport,chardev=shell,name={SHELL_PORT}",
        "-device", "virtio-rng-pci",
        "-netdev", _network(socat, settings.forwards),
        "-device", "virtio-net-pci,netdev=n0,romfile=",
    ]  # fmt: skip
    if not settings.is_interactive:
        words.append("-no-reboot")
    if target.has_pci_watchdog:
        words += ["-device", "i6300esb", "-action", "watchdog=reset"]
    if settings.rtc:
        words += ["-rtc", f"base={settings.rtc}"]
    return words


def _console(wiring: Wiring) -> list[str]:
    if wiring.settings.is_interactive:
        return ["-serial", "mon:stdio"]
    file = f"file,id=console,path={wiring.console},append=on"
    return ["-serial", "chardev:console", "-chardev", file]


def _disks(wiring: Wiring) -> list[str]:
    settings = wiring.settings
    # The disk comes first: it is U-Boot's "virtio 0".
    if settings.disk_url:
        words = ["-drive", f"file={settings.disk_url},format=raw,if=none,id={_DISK}"]
    elif settings.record is not None:
        words = [
            "-blockdev", f"driver=file,filename={wiring.disk},node-name=file",
            "-blockdev", f"driver=file,filename={settings.record},node-name=log",
            "-blockdev", (f"driver=blklogwrites,node-name={_DISK},file=file,log=log,"
            "log-super-update-interval=1"),
        ]  # fmt: skip
    else:
        words = ["-drive", f"file={wiring.disk},format=raw,if=none,id={_DISK}"]
    words += ["-device", f"virtio-blk-pci,drive={_DISK}"]
    for number, path in enumerate(settings.drives):
        words += [
            "-drive", f"file={path},format=raw,if=none,readonly=on,id=more{number}",
            "-device", f"virtio-blk-pci,drive=more{number}",
        ]  # fmt: skip
    return words


def _network(socat: str, forwards: Mapping[str, int]) -> str:
    parts = ["user,id=n0,restrict=on,ipv6=off"]
    for place, port in forwards.items():
        address, _, inner = place.rpartition(":")
        if not address or not inner.isdecimal() or not 0 < port < 1 << 16:
            raise RequestError(
                f'forwards: expected "ADDRESS:PORT" and a port, got {place!a}: {port}'
            )
        command = f"{shlex.quote(socat)} - TCP\\:127.0.0.1\\:{port}"
        parts.append(f"guestfwd=tcp:{address}:{inner}-cmd:{command}")
    return ",".join(parts)
