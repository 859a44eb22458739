"""Another host on a cable to this one: a network namespace, for attacks that come from outside.

Rule 1: the cable is a veth pair with two addresses of RFC 2544's benchmark network, which no real
network routes; nothing else of this host's network is changed.
Rule 2: the namespace lives as long as one process of ours: with it the cable is gone, whatever
became of us.
"""

from __future__ import annotations

import os
import random
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from vedette.errors import DeviceError
from vedette_dev.calls import call

TIMEOUT_S = 5.0
LIVES_S = 300
"""Longer than any attack; ends the namespace should nobody else do it."""
_POLL_S = 0.01
_INSIDE = "street"
_PATH = {"PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"}


class Neighbour:
    """A context manager; needs root.

    Attributes:
        address: its IPv4 address.
        door: this host's address on the cable.
    """

    def __init__(self, name: str) -> None:
        """Lay the cable.

        Args:
            name: of the interface on this host; its first 15 characters count.

        Raises:
            DeviceError: this host does not allow it, or has no iproute2.
        """
        draw = random.SystemRandom()
        network = f"198.{draw.choice((18, 19))}.{draw.randint(0, 255)}.{4 * draw.randint(0, 63)}"
        stem, _, last = network.rpartition(".")
        self.door, self.address = (f"{stem}.{int(last) + end}" for end in (1, 2))
        self._keeper = _start(["unshare", "--net", "--", "sleep", str(LIVES_S)])
        try:
            self._lay(name[:15])
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the namespace: the cable goes with it, and what runs there has no network."""
        self._keeper.kill()
        self._keeper.wait(TIMEOUT_S)

    def command(self, argv: Sequence[str]) -> list[str]:
        """The command that runs this one on the other host."""
        return ["nsenter", f"--net=/proc/{self._keeper.pid}/ns/net", "--", *argv]

    def _lay(self, name: str) -> None:
        self._await_namespace()
        peer = ("peer", "name", _INSIDE, "netns", str(self._keeper.pid))
        _run(["ip", "link", "add", name, "type", "veth", *peer])
        _run(["ip", "address", "add", f"{self.door}/30", "dev", name])
        _run(["ip", "link", "set", name, "up"])
        _run(self.command(["ip", "address", "add", f"{self.address}/30", "dev", _INSIDE]))
        _run(self.command(["ip", "link", "set", _INSIDE, "up"]))

    def _await_namespace(self) -> None:
        ours, theirs = Path("/proc/self/ns/net"), Path(f"/proc/{self._keeper.pid}/ns/net")
        ends_s = time.monotonic() + TIMEOUT_S
        while ours.readlink() == theirs.readlink():
            if self._keeper.poll() is not None or time.monotonic() > ends_s:
                raise DeviceError("expected a network namespace, unshare gave none: is this root?")
            time.sleep(_POLL_S)


def _start(argv: Sequence[str]) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
    except FileNotFoundError as error:
        raise DeviceError(f"{argv[0]} is missing: sudo apt-get install util-linux") from error


def _run(argv: Sequence[str]) -> None:
    try:
        done = call(argv, TIMEOUT_S, _PATH)
    except FileNotFoundError as error:
        raise DeviceError(f"{argv[0]} is missing: sudo apt-get install iproute2") from error
    if done.returncode:
        raise DeviceError(f"{' '.join(argv)}: {done.stderr.strip() or done.returncode}")
