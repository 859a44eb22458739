"""Starts the uplink process: gives up all privileges first, then serves.

Rule 1: as root it opens the DNS socket (if asked), becomes its own user without capabilities, and
runs itself anew, so that nothing root had in memory is left.
Rule 2: where that user cannot read the interpreter (a checkout in root's home), it loads all it
needs, then drops, and goes on in the same memory; it says so.
Rule 3: settings come on an inherited descriptor, never in argv, and are read once.
Rule 4: this is the only place that changes what the uplink's imports load.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from vedette.daemon import bare_code, late_logging, lean

if TYPE_CHECKING:
    from vedette.daemon.notify import Notifier
    from vedette.uplink.process import Bridge
    from vedette.uplink.settings import UplinkSettings

EXIT_FAILED = 2

LATER = (*lean.UNUSED, "urllib.parse", "urllib.request", "uuid")
"""paho imports these three for WebSockets and for clients without a name: 2 MB."""

WANTED = ("inspect", "ipaddress", "logging", "urllib.parse")
"""What of all that something may use: asyncio in what it logs, our connector, pathlib."""

_MODULE = "vedette.daemon.uplink_main"
"""This module; `__name__` is "__main__" when it was started by its name."""


def main(arguments: Sequence[str]) -> int:
    """Run the uplink until SIGTERM.

    Args:
        arguments: the descriptor of the settings, and that of the DNS socket when it was opened
            before.

    Returns:
        The exit code; what is wrong is said in one line on stderr.
    """
    keep_lean()
    from vedette.errors import VedetteError  # noqa: PLC0415 (after the line above, as all others)
    from vedette.uplink.settings import from_json  # noqa: PLC0415

    settings_fd, *dns_fd = (int(argument) for argument in arguments)
    try:
        settings = from_json(_read_settings(settings_fd))
        return _run(settings, dns_fd[0] if dns_fd else None)
    except VedetteError as error:
        _say(str(error))
        return EXIT_FAILED


def keep_lean() -> None:
    """Before anything imports asyncio, dataclasses or paho; for good."""
    lean.give_back()
    bare_code.forget_descriptions()
    late_logging.put_off()
    lean.later(*LATER)
    lean.partly("subprocess", PIPE=-1)  # asyncio names it in signatures


def settings_descriptor(settings: UplinkSettings) -> int:
    """An inheritable descriptor that holds settings, for the command line of a child process.

    A pipe, since its bytes lie ready for whoever reads first and no file is made for them.

    Raises:
        ConfigError: they are longer than a pipe holds.
    """
    from vedette.errors import ConfigError  # noqa: PLC0415
    from vedette.uplink.settings import to_json  # noqa: PLC0415

    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    data = to_json(settings)
    try:
        written = os.write(writing, data)
    finally:
        os.close(writing)
    if written != len(data):
        raise ConfigError(
            f"[uplink]: expected settings of at most {written} bytes, got {len(data)}"
        )
    os.set_inheritable(reading, True)
    return reading


def _run(settings: UplinkSettings, dns_fd: int | None) -> int:
    from vedette.daemon import privileges  # noqa: PLC0415

    must_become = settings.user and os.geteuid() == 0
    if dns_fd is None and settings.watches_dns:
        dns_fd = _open_dns()
    if must_become and _can_read_us(settings.user):
        privileges.become(settings.user)
        _run_anew(settings, dns_fd)
    from vedette.daemon import signals  # noqa: PLC0415
    from vedette.uplink import process  # noqa: PLC0415 (paho and ssl)

    context = process.make_context(settings)
    lean.settle()
    if must_become:
        _load_what_comes_late()
        _say(f"user {settings.user} cannot read {sys.prefix}: going on in root's memory, dropped")
    privileges.become(settings.user)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signals.run(_serve(process.make_bridge(settings, context, dns_fd)))
    return 0


async def _serve(bridge: Bridge) -> None:
    """Until SIGTERM. SIGINT is left to the parent: Ctrl-C reaches the whole group at once.

    A service manager that started us hears that the loop turns; the keeper gives us no such socket,
    since the sentinel asks us itself.
    """
    import asyncio  # noqa: PLC0415

    from vedette.daemon.notify import Notifier  # noqa: PLC0415
    from vedette.daemon.signals import heard  # noqa: PLC0415

    notifier = Notifier()
    with heard({signal.SIGTERM: bridge.stop}):
        notifier.allow(2 * notifier.watchdog_period_s)  # the start had more: cli/uplink.py
        notifier.ready("waiting for the sentinel")
        async with asyncio.TaskGroup() as group:
            telling = group.create_task(_tell_we_live(notifier))
            await bridge.run()
            notifier.stopping()
            telling.cancel()


async def _tell_we_live(notifier: Notifier) -> None:
    import asyncio  # noqa: PLC0415

    while notifier.watchdog_period_s > 0:
        notifier.watchdog()
        await asyncio.sleep(notifier.watchdog_period_s)


def _run_anew(settings: UplinkSettings, dns_fd: int | None) -> None:
    command = [sys.executable, "-P", "-m", _MODULE, str(settings_descriptor(settings))]
    if dns_fd is not None:
        os.set_inheritable(dns_fd, True)
        command.append(str(dns_fd))
    os.execv(sys.executable, command)  # noqa: S606 (no shell is wanted)


def _can_read_us(user: str) -> bool:
    """Whether that user could start this program: asked of the kernel, in a child that is it."""
    from vedette.daemon import privileges  # noqa: PLC0415

    child = os.fork()
    if child == 0:
        code = 1
        try:
            privileges.become(user)
            packages = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))  # noqa: PTH120
            seen = all(os.access(path, os.R_OK | os.X_OK) for path in (packages, sys.executable))
            code = 0 if seen and os.access(os.__file__, os.R_OK) else 1
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status) == 0


def _open_dns() -> int | None:
    from vedette.errors import SensorError  # noqa: PLC0415
    from vedette.uplink import dns_opener  # noqa: PLC0415

    try:
        return dns_opener.open_dns_socket().detach()
    except SensorError as error:
        _say(str(error))
        return None


def _load_what_comes_late() -> None:
    """Use once what Python loads only when it is used: later the files are out of reach."""
    import asyncio  # noqa: PLC0415
    import traceback  # noqa: F401, PLC0415

    lean.now(*WANTED)
    "broker.example".encode("idna")
    asyncio.run(_look_up_ourselves())  # its thread has ended when this returns: it had privileges


async def _look_up_ourselves() -> None:
    import asyncio  # noqa: PLC0415

    with contextlib.suppress(OSError):
        await asyncio.get_running_loop().getaddrinfo("localhost", 0)


def _read_settings(descriptor: int) -> bytes:
    from vedette.uplink.settings import MAX_SETTINGS_BYTES  # noqa: PLC0415

    with os.fdopen(descriptor, "rb") as stream:
        return stream.read(MAX_SETTINGS_BYTES + 1)


def _say(text: str) -> None:
    sys.stderr.write(f"vedette uplink: {text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
