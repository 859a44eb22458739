"""A device of 128 MB outlives a storm of executions, and says what its processes take.

An x86-64 has 176 MB, of which Linux has as much as on an armhf of 128 (108 MB): Debian's kernel for
any PC and stock U-Boot keep the rest. Of 128 MB Linux had 82 there, and the device spent its time
reading programs back.
"""

from __future__ import annotations

import pytest
from tests.device._device import ARCH, REPOSITORY, Device, data_of
from tests.device._report import tell

from vedette_dev.device import suspicion, tests_disk
from vedette_dev.device.site import Site
from vedette_dev.guests import GuestSettings
from vedette_dev.images import Image

pytestmark = pytest.mark.device

STORM = "i=0; while [ $i -lt 2000 ]; do /bin/true; i=$((i+1)); done"
TABLE_LINES = 70
"""Of what the kernel says when it ends somebody: its memory, and each process with its own."""
MEMORY_MB = 176 if ARCH == "amd64" else 128

_NAMES = "grep -saH . /proc/[0-9]*/cmdline | tr '\\0' ' ' | sed 's,^/proc/,,; s,/cmdline:,=,'"
_SIZES = "grep -sH ^Pss: /proc/[0-9]*/smaps_rollup | sed 's,^/proc/,,; s,/smaps_rollup:,=,'"


@pytest.fixture(scope="module")
def settings(image: Image, site: Site) -> GuestSettings:
    return GuestSettings(
        memory_mb=MEMORY_MB,
        data=data_of(image, site),
        drives=(tests_disk.make(REPOSITORY, site.folder),),
        forwards=site.forwards,
    )


def test_nothing_is_ended_for_want_of_memory(device: Device) -> None:
    tell("before a storm", kb=device.memory_kb(), pss_kb=processes(device))
    before = device.guest.check("systemctl show -P MainPID vedette.service vedette-uplink.service")
    device.guest.check(f"sh -c '{STORM}'", deadline_s=600)
    ended = device.guest.run(f"dmesg | grep -A {TABLE_LINES} 'invoked oom-killer'").output
    assert not ended, ended
    after = device.guest.check("systemctl show -P MainPID vedette.service vedette-uplink.service")
    assert after == before
    word = suspicion.new_word()
    device.guest.check(suspicion.command(word))
    device.expect_arrival(("attack.",), (word,), timeout_s=120)
    tell(f"memory of {MEMORY_MB} MB", kb=device.memory_kb(), pss_kb=processes(device))


def processes(device: Device) -> dict[str, int]:
    """Pss in KB of each process of Python: the agent's, and what else runs."""
    # Two programs for all of them: two for each took an arm64 of 128 MB longer than half a minute.
    names, sizes = (_by_pid(device, command) for command in (_NAMES, _SIZES))
    return {
        name.strip()[-60:]: int(sizes[pid].split()[1])
        for pid, name in names.items()
        if "python" in name and pid in sizes
    }


def _by_pid(device: Device, command: str) -> dict[str, str]:
    lines = device.guest.run(command, deadline_s=90).output.splitlines()
    return {
        pid: rest for pid, _, rest in (line.partition("=") for line in lines) if pid.isdecimal()
    }
