"""Starts the uplink process: gives up all privileges first, then serves.

Rule 1: as root it opens the DNS socket (if asked), becomes its own user without capabilities, and
runs itself anew, so that nothing root had in memory is left.
Rule 2: where that user cannot read the interpreter (a checkout in root's home), it loads all it
needs, then drops, and goes on in the same memory; it says so.
Rule 3: settings come on an inherited descriptor, never in argv, and are read once.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import resource
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vedette.daemon import privileges
from vedette.daemon.build import BUILD_S
from vedette.errors import ConfigError, SensorError, VedetteError
from vedette.uplink.settings import MAX_SETTINGS_BYTES, UplinkSettings, from_json, to_json

if TYPE_CHECKING:
    from vedette.daemon.config import Config  # 2 MB that the process that stays does not need

EXIT_FAILED = 2

_MODULE = "vedette.daemon.uplink_main"
"""This module; `__name__` is "__main__" when it was started by its name."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the uplink until SIGTERM.

    Args:
        arguments: `--settings-fd N`, and `--dns-fd N` when a socket was opened before.

    Returns:
        The exit code; what is wrong is said in one line on stderr.
    """
    parser = argparse.ArgumentParser(prog="vedette uplink", allow_abbrev=False)
    parser.add_argument("--settings-fd", type=int, required=True)
    parser.add_argument("--dns-fd", type=int)
    args = parser.parse_args(arguments)
    try:
        settings = from_json(_read_settings(args.settings_fd))
        return _run(settings, args.dns_fd)
    except VedetteError as error:
        _say(str(error))
        return EXIT_FAILED


def start(config: Config) -> int:
    """Run the uplink of a configuration until SIGTERM; returns the exit code.

    Raises:
        ConfigError: the configuration names no broker.
    """
    if not config.uplink.enabled:
        raise ConfigError("[uplink] host: expected the broker's name, got none; nothing to send to")
    return _run(settings_of(config), None)


def settings_of(config: Config) -> UplinkSettings:
    """What the uplink has to know of the configuration."""
    return UplinkSettings(
        socket=str(config.uplink_socket),
        host=config.uplink.host,
        port=config.uplink.port,
        tls_ca=config.uplink.ca,
        tls_cert=config.uplink.certificate,
        tls_key=config.uplink.key,
        client_id=config.device.id,
        keepalive_s=config.uplink.keepalive_s,
        earliest_s=BUILD_S,
        user=config.uplink.user if os.geteuid() == 0 else "",
        watches_dns=os.geteuid() == 0,
    )


def settings_descriptor(settings: UplinkSettings) -> int:
    """An inheritable descriptor that holds settings, for `--settings-fd` of a child process."""
    descriptor = os.memfd_create("uplink-settings", 0)
    os.write(descriptor, to_json(settings))
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def _run(settings: UplinkSettings, dns_fd: int | None) -> int:
    must_become = settings.user and os.geteuid() == 0
    if dns_fd is None and settings.watches_dns:
        dns_fd = _open_dns()
    if must_become and _can_read_us(settings.user):
        privileges.become(settings.user)
        _run_anew(settings, dns_fd)
    from vedette.uplink import process  # noqa: PLC0415 (loads paho and ssl, once, where they stay)

    context = process.make_context(settings)
    if must_become:
        _load_what_comes_late()
        _say(f"user {settings.user} cannot read {sys.prefix}: going on in root's memory, dropped")
    privileges.become(settings.user)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    asyncio.run(process.serve(settings, context, dns_fd))
    return 0


def _run_anew(settings: UplinkSettings, dns_fd: int | None) -> None:
    command = [sys.executable, "-P", "-m", _MODULE]
    command += ["--settings-fd", str(settings_descriptor(settings))]
    if dns_fd is not None:
        os.set_inheritable(dns_fd, True)
        command += ["--dns-fd", str(dns_fd)]
    os.execv(sys.executable, command)  # noqa: S606 (no shell is wanted)


def _can_read_us(user: str) -> bool:
    """Whether that user could start this program: asked of the kernel, in a child that is it."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            privileges.become(user)
            packages = Path(__file__).resolve().parent.parent
            seen = all(os.access(path, os.R_OK | os.X_OK) for path in (packages, sys.executable))
            code = 0 if seen and os.access(os.__file__, os.R_OK) else 1
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status) == 0


def _open_dns() -> int | None:
    from vedette.uplink import dns_opener  # noqa: PLC0415 (ctypes: gone with the exec)

    try:
        return dns_opener.open_dns_socket().detach()
    except SensorError as error:
        _say(str(error))
        return None


def _load_what_comes_late() -> None:
    """Use once what Python loads only when it is used: later the files are out of reach."""
    import traceback  # noqa: F401, PLC0415

    "broker.example".encode("idna")
    asyncio.run(_look_up_ourselves())  # its thread has ended when this returns: it had privileges


async def _look_up_ourselves() -> None:
    with contextlib.suppress(OSError):
        await asyncio.get_running_loop().getaddrinfo("localhost", 0)


def _read_settings(descriptor: int) -> bytes:
    with os.fdopen(descriptor, "rb") as stream:
        return stream.read(MAX_SETTINGS_BYTES + 1)


def _say(text: str) -> None:
    sys.stderr.write(f"vedette uplink: {text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
