"""What runs in an enclosure changes whatever it likes, and nothing of the host."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.conftest import locked_kernel

from vedette.sensors._audit_link import AuditLink
from vedette_dev.enclosure import Enclosure, refusal

pytestmark = pytest.mark.system

SETTINGS = (
    "kernel/randomize_va_space", "kernel/sysrq", "kernel/core_pattern", "kernel/hostname",
    "kernel/modprobe", "kernel/printk", "kernel/dmesg_restrict", "kernel/panic",
    "vm/swappiness", "vm/overcommit_memory", "fs/suid_dumpable", "net/ipv4/ip_forward",
)  # fmt: skip
ACCOUNTS = ("/etc/passwd", "/etc/shadow", "/etc/group", "/etc/hosts", "/etc/resolv.conf")
JOBS = ("/etc/cron.d", "/etc/cron.daily", "/var/spool/cron", "/etc/systemd/system")
MAX_CLOCK_CHANGE_S = 5.0

HOSTILE = """
echo 0 >/proc/sys/kernel/randomize_va_space
echo '|/tmp/x' >/proc/sys/kernel/core_pattern
mount -o remount,rw /proc/sys; mount -o remount,bind,rw /proc/sys; umount /proc/sys
mkdir -p /mnt/proc; mount -t proc proc /mnt/proc
echo '|/tmp/x' >/mnt/proc/sys/kernel/core_pattern
unshare -Urpf --mount-proc sh -c 'echo 7 >/proc/sys/vm/swappiness'
sysctl -w kernel.randomize_va_space=0 net.ipv4.ip_forward=1 vm.swappiness=7
hostname stolen
date -s 2001-01-01
nft add table inet stolen; nft flush ruleset
ip link set lo down; ip link add stolen type dummy
insmod /tmp/x.ko; modprobe dummy; rmmod dummy
mknod /dev/stolen b 254 0 && dd if=/dev/zero of=/dev/stolen count=1
mount -t devtmpfs devtmpfs /mnt; mount -t sysfs sysfs /mnt; mount -t cgroup -o pids cgroup /mnt
mount --bind /tmp /etc
auditctl -e 0; auditctl -D
echo e >/proc/sysrq-trigger; echo b >/proc/sysrq-trigger
swapoff -a; reboot -f; halt -f
rm -rf /etc/passwd /etc/shadow /var/spool/cron /home
kill -9 -1
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    found = tmp_path / "watched"
    found.mkdir()
    if why := refusal(found):
        pytest.skip(f"no throwaway root for this user: {why.splitlines()[0]}")
    return found


@pytest.fixture
def quiet_host() -> Iterator[None]:
    """Nobody else changes audit or the firewall meanwhile, as root."""
    with locked_kernel() if os.geteuid() == 0 else contextlib.nullcontext():
        yield


def word() -> str:
    return "v" + secrets.token_hex(4)


def state() -> dict[str, object]:
    """What an attack could change of this host."""
    found: dict[str, object] = {name: _text(Path("/proc/sys", name)) for name in SETTINGS}
    found |= {name: _text(Path(name)) for name in ACCOUNTS}
    for folder in JOBS:
        found[folder] = sorted((str(p), p.lstat().st_mtime_ns) for p in Path(folder).rglob("*"))
    found["mounts"] = _text(Path("/proc/self/mountinfo"))
    found["modules"] = _modules()
    found["devices"] = sorted(Path("/dev").iterdir())
    found["interfaces"] = socket.if_nameindex()
    if os.geteuid() == 0:
        found["firewall"] = _output("nft", "list", "ruleset")
        with contextlib.suppress(OSError), AuditLink() as link:
            found["audit"] = (link.status()._replace(lost=0, backlog=0), link.rules())
    return found


def _modules() -> list[str]:
    try:
        return [line.split()[0] for line in Path("/proc/modules").read_text().splitlines()]
    except FileNotFoundError:
        return []  # a kernel without modules


def _text(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        return str(error.strerror)


def _output(*argv: str) -> str:
    if shutil.which(argv[0]) is None:
        return ""
    return subprocess.run(argv, check=False, capture_output=True, text=True, timeout=20).stdout


@pytest.mark.usefixtures("quiet_host")
def test_a_hostile_command_changes_nothing_of_the_host(tree: Path) -> None:
    before, clock_s = state(), time.time() - time.monotonic()
    with Enclosure(tree, word()) as enclosure:
        enclosure.shell(HOSTILE, has_own_network=True)
    assert state() == before
    assert abs(time.time() - time.monotonic() - clock_s) < MAX_CLOCK_CHANGE_S


def test_what_it_changes_is_seen_below_the_tree_and_gone_afterwards(tree: Path) -> None:
    with Enclosure(tree, word()) as enclosure:
        ended = enclosure.shell("echo x >/etc/changed; echo $HOME; cat /etc/hostname; hostname")
        assert ended.code == 0
        assert ended.output.split() == ["/root", "device", enclosure.word]
        assert (enclosure.path / "etc/changed").read_text() == "x\n"
        assert not Path("/etc/changed").exists()
    assert list(tree.iterdir()) == []


def test_it_sees_its_own_processes_alone(tree: Path) -> None:
    with Enclosure(tree, word()) as enclosure:
        ended = enclosure.shell("ls -d /proc/[0-9]* | wc -l")
    assert int(ended.output) <= 6


def test_a_command_that_does_not_end_is_ended_with_its_children(tree: Path) -> None:
    with Enclosure(tree, word()) as enclosure:
        ended = enclosure.shell("sleep 1000 & sleep 1000", timeout_s=1.0)
        assert ended.code == -1
        assert _output("pgrep", "-f", f"^/{enclosure.word}") == ""


def test_a_network_of_its_own_has_a_loopback_and_nothing_else(tree: Path) -> None:
    with Enclosure(tree, word()) as enclosure:
        own = enclosure.shell("cat /proc/net/dev", has_own_network=True)
    names = [line.split(":")[0].strip() for line in own.output.splitlines()[2:]]
    assert "lo" in names
    assert not [name for name in names if name.startswith(("eth", "en", "wl", "docker"))]


def test_files_that_resist_are_removed(tree: Path) -> None:
    with Enclosure(tree, word()) as enclosure:
        enclosure.shell("mkdir -p /opt/a/b; touch /opt/a/b/c; chmod 0 /opt/a/b /opt/a; ln -s / /l")
    assert list(tree.iterdir()) == []
    assert Path("/etc").exists()
