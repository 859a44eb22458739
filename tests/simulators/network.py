"""Network namespaces of our own: a place where a test may add rules, routes and packet storms."""

from __future__ import annotations

import ctypes
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
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
    for where, name in ((left, left_name), (right, right_name)):
        # Else the link-local address is tentative for a second, and nothing is forwarded to it.
        with where.entered():
            Path(f"/proc/sys/net/ipv6/conf/{name}/accept_dad").write_text("0")
        where.run("ip", "link", "set", name, "up")


def give_address(namespace: Namespace, device: str, address: str) -> None:
    """Add an address with its prefix length; IPv6 skips duplicate address detection."""
    extra = ("nodad",) if ":" in address else ()
    namespace.run("ip", "address", "add", address, "dev", device, *extra)


def route(client: Namespace, router: Namespace, server: Namespace) -> None:
    """client 10.92.1.2 - router - 10.92.2.2 server, masqueraded towards the server."""
    join(router, "lan", client, "eth0")
    join(router, "wan", server, "eth0")
    for where, device, address in (
        (router, "lan", "10.92.1.1/24"), (router, "lan", "fd91::1/64"),
        (client, "eth0", "10.92.1.2/24"), (client, "eth0", "fd91::2/64"),
        (router, "wan", "10.92.2.1/24"), (router, "wan", "fd92::1/64"),
        (server, "eth0", "10.92.2.2/24"), (server, "eth0", "fd92::2/64"),
    ):  # fmt: skip
        give_address(where, device, address)
    client.run("ip", "route", "add", "default", "via", "10.92.1.1")
    client.run("ip", "-6", "route", "add", "default", "via", "fd91::1")
    server.run("ip", "-6", "route", "add", "default", "via", "fd92::1")
    router.run("sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward")
    router.run("sh", "-c", "echo 1 >/proc/sys/net/ipv6/conf/all/forwarding")
    router.run(
        "nft",
        "table ip nat { chain post { type nat hook postrouting priority srcnat; "
        'oifname "wan" masquerade; }; }',
    )
