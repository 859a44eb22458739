"""The running sentinel on eBPF: taken first, given up cleanly, and gone without a trace."""

from __future__ import annotations

import glob
import json
import os
import shutil
import signal
from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.system._site import Running, Site
from tests.system.test_blindness import STORM_SIZE, execute, seen, site_with, storm, tiers
from tests.system.test_ebpf import loaded_programs

from vedette.daemon import privileges
from vedette.sensors._ebpf import object as loading

pytestmark = [pytest.mark.system, pytest.mark.kernel, pytest.mark.usefixtures("as_root", "kernel")]

CLASSES = ("process", "network", "kernel")


@pytest.fixture(autouse=True)
def compiled() -> None:
    if not os.access(loading.OBJECT_FILE, os.R_OK):
        pytest.skip("the eBPF programs are not compiled: run make ebpf")
    if not os.access(loading.BTF_FILE, os.R_OK):
        pytest.skip("this kernel has no BTF")


def failures(site: Site, event_class: str) -> str:
    """Why the class is not on a better source, as the doctor says it."""
    (found,) = [one for one in site.ask("doctor")["tiers"] if one["class"] == event_class]
    return json.dumps(found)


def test_it_is_the_source_of_three_classes_with_three_capabilities(tmp_path: Path) -> None:
    with site_with(tmp_path, "ebpf", "audit", "conntrack") as site, Running(site) as running:
        found = tiers(site.ask("doctor"))
        assert [found[name] for name in CLASSES] == ["ebpf"] * 3
        kept = privileges.current(f"/proc/{running.process.pid}/status").permitted
        assert {"bpf", "perfmon", "net_admin"} <= kept
        execute("here")
        finding = site.until_incident("started")
        assert "ebpf" in json.dumps(finding)
        assert site.ask("check")["changed"] == []
        assert running.stop() == 0


WITHOUT_TYPES = 'mount -t tmpfs none /sys/kernel/btf && exec "$0" "$@"'
WITHOUT_LIBRARY = 'mount --bind /dev/null "$LIBRARY" && exec "$0" "$@"'


@pytest.mark.parametrize(
    ("launcher", "reason"),
    [
        (["unshare", "-m", "sh", "-c", WITHOUT_TYPES], "CONFIG_DEBUG_INFO_BTF"),
        (["unshare", "-m", "sh", "-c", WITHOUT_LIBRARY], "install libbpf"),
        (["setpriv", "--bounding-set", "-bpf,-perfmon,-sys_admin"], "CAP_BPF"),
    ],
    ids=["BTF", "libbpf", "capability"],
)
def test_without_what_it_needs_the_classes_fall_and_the_doctor_says_why(
    tmp_path: Path, launcher: Sequence[str], reason: str
) -> None:
    if shutil.which(launcher[0]) is None:
        pytest.skip(f"there is no {launcher[0]}: install util-linux")
    (library,) = glob.glob("/usr/lib/*/libbpf.so.1") or [""]  # noqa: PTH207
    environment = {"LIBRARY": library}
    with (
        site_with(tmp_path, "ebpf", "audit", "procnet") as site,
        Running(site, launcher=launcher, environment=environment),
    ):
        found = tiers(site.ask("doctor"))
        assert [found[name] for name in CLASSES] == ["audit", "procnet", "audit"]
        assert all(reason in failures(site, name) for name in CLASSES)
        execute("below")
        site.until_incident("started")


def test_a_killed_sentinel_leaves_no_program_and_the_next_one_watches(tmp_path: Path) -> None:
    before = loaded_programs()
    with site_with(tmp_path, "ebpf") as site:
        with Running(site) as running:
            assert loaded_programs() > before
            running.stop(signal.SIGKILL)
        site.until(lambda: loaded_programs() <= before)
        with Running(site):
            execute("again")
            site.until_incident("started")


def test_a_stopped_sentinel_slows_nothing_and_accounts_for_all(tmp_path: Path) -> None:
    with site_with(tmp_path, "ebpf") as site, Running(site) as running:
        os.kill(running.process.pid, signal.SIGSTOP)
        try:
            storm("stopped", STORM_SIZE)
        finally:
            os.kill(running.process.pid, signal.SIGCONT)
        site.until(lambda: seen(site) + lost(site) >= STORM_SIZE)
        assert seen(site) <= STORM_SIZE


def lost(site: Site) -> int:
    rows = site.ask("status")["ledger"]
    return int(sum(row["dropped"] for row in rows if row["class"] == "process"))
