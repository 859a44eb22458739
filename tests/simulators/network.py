"""Network namespaces of our own: a place where a test may add rules, routes and packet storms."""

from __future__ import annotations

import ctypes
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

CLONE_NEWNET = 0x40000000

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int) -> None:
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


class Namespace:
    """An empty network namespace with loopback up; gone when closed, or when this process ends."""

    def __init__(self) -> None:
        home = os.open("/proc/self/ns/net", os.O_RDONLY)
        try:
            _check(_libc.unshare(CLONE_NEWNET))
            self.fd = os.open("/proc/self/ns/net", os.O_RDONLY)
            # It reads a pipe of ours: the namespace has a pid for as long as we live.
            self._holder = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
        finally:
            _check(_libc.setns(home, CLONE_NEWNET))
            os.close(home)
        self.run("ip", "link", "set", "lo", "up")

    @property
    def pid(self) -> int:
        return self._holder.pid

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Have the main thread, its new sockets, /proc/net and children in this namespace."""
        home = os.open("/proc/self/ns/net", os.O_RDONLY)
        _check(_libc.setns(self.fd, CLONE_NEWNET))
        try:
            yield
        finally:
            _check(_libc.setns(home, CLONE_NEWNET))
            os.close(home)

    def run(self, *argv: str) -> str:
        """Run a command inside and give its output; it must succeed."""
        with self.entered():
            done = subprocess.run(argv, check=False, capture_output=True, text=True)
        assert done.returncode == 0, f"{argv}: {done.stderr}"
        return done.stdout

    def close(self) -> None:
        self._holder.communicate()
        os.close(self.fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def enter(fd: int) -> None:
    """Have the main thread in this network namespace from now on."""
    _check(_libc.setns(fd, CLONE_NEWNET))


def join(left: Namespace, left_name: str, right: Namespace, right_name: str) -> None:
    """Lay a cable (veth pair) between two namespaces, both ends up."""
    left.run(
        "ip", "link", "add", left_name, "type", "veth",
        "peer", "name", right_name, "netns", str(right.pid),
    )  # fmt: skip
    left.run("ip", "link", "set", left_name, "up")
    right.run("ip", "link", "set", right_name, "up")


def give_address(namespace: Namespace, device: str, address: str) -> None:
    """Add an address with its prefix length; IPv6 skips duplicate address detection."""
    extra = ("nodad",) if ":" in address else ()
    namespace.run("ip", "address", "add", address, "dev", device, *extra)
