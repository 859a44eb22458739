"""A device under test: a booted guest with its host's side, and what is asked of it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest

from vedette.errors import DeviceError
from vedette_dev.device import services, tests_disk
from vedette_dev.device.owners import owners_of
from vedette_dev.device.site import STAGE, Site
from vedette_dev.guests import Guest
from vedette_dev.guests.root_shell import Ended
from vedette_dev.images import Image
from vedette_dev.player import Arrival, Attack, is_of

REPOSITORY = Path(__file__).parents[2]
ARRIVAL_S = 45.0
PLAY_S = 1500.0
LOOK_S = 300.0
ARCH = os.environ.get("VEDETTE_QEMU_ARCH", "")
"""Set by `make qemu-test`."""

BEST = {
    "arm64": {"process": "ebpf", "kernel": "ebpf", "network": "ebpf", "file": "fanotify"},
    "amd64": {"process": "ebpf", "kernel": "ebpf", "network": "ebpf", "file": "fanotify"},
    "armhf": {"process": "audit", "kernel": "audit", "network": "conntrack", "file": "fanotify"},
}
"""The best source of each class: Debian's 6.1 has BTF on 64-bit machines alone."""


class Device:
    """A guest whose agent is ready, and the site that hears it."""

    def __init__(self, site: Site, guest: Guest) -> None:
        self.site, self.guest = site, guest

    def boot(self) -> None:
        """Start it and wait until the agent watches and was heard."""
        self.guest.boot()
        self.await_agent()
        self.site.reader.await_device(services.READY_S)

    def start_until_shell(self, launches: int) -> None:
        """Launch the machine again as often as it ends by itself, until somebody answers."""
        for left in reversed(range(launches)):
            try:
                self.guest.boot()
            except DeviceError:
                if not left or self.guest.is_running:
                    raise
            else:
                return

    def await_agent(self) -> None:
        """Wait until the agent's unit says that it is ready."""
        services.await_agent(self.guest)

    def await_update(self) -> None:
        """Wait until the look for releases at its start is over: there is one at a time."""
        services.await_update(self.guest)

    def look_for_releases(self, deadline_s: float = LOOK_S) -> Ended:
        """Have it look now and apply what is due; how that ended is not judged."""
        self.await_update()
        return self.guest.run("vedette update run --now", deadline_s=deadline_s)

    def vedette(self, words: str, *, deadline_s: float = 90.0) -> str:
        """What `vedette WORDS` prints; its code must be 0."""
        return self.guest.check(f"vedette {words}", deadline_s=deadline_s)

    def asked(self, words: str, *, deadline_s: float = 90.0) -> Any:
        """The document that `vedette WORDS --json` prints, whatever its code."""
        ended = self.guest.run(f"vedette {words} --json", deadline_s=deadline_s)
        line = next((line for line in ended.output.splitlines() if line.startswith(("{", "["))), "")
        assert line, f"vedette {words} left with {ended.code}:\n{ended.output}"
        return json.loads(line)

    def tiers(self) -> dict[str, str]:
        """Which source watches each class."""
        return {row["class"]: row["tier"] for row in self.asked("doctor")["classes"]}

    def mount_tests(self) -> None:
        """Show the disk with the attacks."""
        self.guest.check(f"mountpoint -q {tests_disk.PLACE} || {{ {tests_disk.MOUNT}; }}")

    def play(self, names: Sequence[str], *, is_enforced: bool = False) -> dict[str, dict[str, Any]]:
        """Play attacks in the guest; what it says of each, by name."""
        self.mount_tests()
        only = " ".join(f"--only '{name}'" for name in names)
        prepared = f"--prepared {tests_disk.PLACE}/prepared" if is_enforced else ""
        output = self.guest.check(
            f"{tests_disk.PLAYER} --root {STAGE} {prepared} {only}", deadline_s=PLAY_S
        )
        lines = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
        assert {line["attack"] for line in lines} == set(names), output
        return {line["attack"]: line for line in lines}

    def arrival(
        self, expected: Sequence[str], words: Sequence[str], timeout_s: float = ARRIVAL_S
    ) -> Arrival | None:
        """The verified incident with one of these tags and one of these words."""
        return self.site.arrivals.wait_for(partial(_fits, tuple(expected), tuple(words)), timeout_s)

    def expect_arrival(
        self, expected: Sequence[str], words: Sequence[str], timeout_s: float = ARRIVAL_S
    ) -> Arrival:
        """The same; fails where none comes."""
        found = self.arrival(expected, words, timeout_s)
        assert found is not None, (
            f"no verified incident with {words} and {expected} within {timeout_s:g} s; "
            f"there came: {[_title(one) for one in self.site.arrivals.all()[-12:]]}; "
            f"the agent said:\n{self.log()}"
        )
        return found

    def log(self, lines: int = 25) -> str:
        """The end of what agent and uplink said."""
        return self.guest.run(f"journalctl -u 'vedette*' --no-pager | tail -n {lines}").output

    def memory_kb(self) -> dict[str, int]:
        """MemTotal, MemAvailable and the rest of /proc/meminfo."""
        rows = (line.split() for line in self.guest.check("cat /proc/meminfo").splitlines())
        return {row[0].rstrip(":"): int(row[1]) for row in rows if len(row) > 1}


def chosen_attacks(request: pytest.FixtureRequest, test: Callable[..., object]) -> list[str]:
    """The attacks with which this test was asked for in this run: all are played at once."""
    return [
        cast("Attack", item.callspec.params["attack"]).name
        for item in request.session.items
        if isinstance(item, pytest.Function) and item.function is test
    ]


def data_of(
    image: Image, site: Site, tables: Mapping[str, Mapping[str, object]] | None = None
) -> Path:
    """The folder that becomes a device's data partition."""
    return site.data(owners_of(image), tables)


def _fits(expected: tuple[str, ...], words: tuple[str, ...], arrival: Arrival) -> bool:
    return is_of(arrival.incident, expected, words)


def _title(arrival: Arrival) -> str:
    info = arrival.incident.get("finding_info")
    return str(info.get("title")) if isinstance(info, dict) else "?"
