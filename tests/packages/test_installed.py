"""The installed agent under its units: watches, is confined as promised, and is kept running."""

from __future__ import annotations

import pytest
from tests.packages._device import SENTINEL, UPLINK, Device
from tests.system._proc import socket_families

from vedette.daemon import assembly

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]


def test_it_watches_with_the_sandbox_on(device: Device) -> None:
    assert device.machine.show(SENTINEL, "ActiveState") == "active"
    assert device.machine.show(UPLINK, "ActiveState") == "active"
    said = device.machine.run("vedette", "status").stdout
    for source in ("fanotify", "conntrack", "procfs", "journald"):
        assert source in said, said
    assert device.machine.show(SENTINEL, "StatusText").startswith("process: procfs")


def test_the_units_have_no_mistake(device: Device) -> None:
    units = ["vedette.service", "vedette-uplink.service", "vedette-update.service"]
    said = device.machine.check("systemd-analyze", "verify", *units, "vedette-update.path")
    assert "vedette" not in said, said


def test_the_sentinel_has_the_capabilities_of_its_parts_and_no_others(device: Device) -> None:
    found = device.privileges(SENTINEL)
    needed = assembly.capabilities(device.config)
    assert found.uid == 0
    assert found.no_new_privileges
    assert found.permitted == found.effective == needed
    assert found.bounding == needed | assembly.capabilities_at_start(device.config)
    assert "sys_module" not in found.bounding
    assert device.seccomp(SENTINEL) == 2


def test_the_uplink_is_another_user_without_a_capability(device: Device) -> None:
    found = device.privileges(UPLINK)
    assert found.uid == int(device.machine.check("id", "-u", "vedette-uplink"))
    assert not found.permitted | found.effective | found.inheritable | found.ambient
    assert found.no_new_privileges
    assert device.seccomp(UPLINK) == 2


def test_only_the_uplink_has_a_network(device: Device) -> None:
    assert socket_families(device.pid(SENTINEL)) == {"AF_UNIX", "AF_NETLINK"}
    assert socket_families(device.pid(UPLINK)) <= {"AF_UNIX", "AF_INET", "AF_INET6", "AF_PACKET"}


def test_every_source_proves_itself_in_a_drill(device: Device) -> None:
    said = device.machine.run("vedette", "drill").stdout
    for line in said.splitlines():
        if " by " in line:
            assert "seen" in line, said
    for source in ("procfs", "fanotify", "conntrack", "journald", "dns"):
        assert f"by {source}" in said, said


def test_an_attack_is_found(device: Device) -> None:
    device.machine.check(
        "sh", "-c", "mkdir -p /root/.ssh && echo ssh-rsa AA >>/root/.ssh/authorized_keys"
    )
    device.machine.until(
        lambda: "SSH key added to an account" in device.incidents(), "the incident of the key"
    )


@pytest.mark.parametrize(("unit", "name"), [(SENTINEL, "sentinel"), (UPLINK, "uplink")])
def test_a_part_that_is_killed_runs_again_and_is_told(device: Device, unit: str, name: str) -> None:
    before = device.pid(unit)
    device.machine.check("systemctl", "kill", "--signal=KILL", "--kill-who=main", unit)
    machine = device.machine
    machine.until(
        lambda: (
            machine.show(unit, "ActiveState") == "active"
            and machine.show(unit, "MainPID") not in {"0", str(before)}
        ),
        f"another {name}",
    )
    device.await_watching()
    machine.until(lambda: _asks_a_look(device, f"{name} had to be restarted"), "the incident of it")
    assert (
        "Somebody else writes where the agent keeps its journal and state" not in device.incidents()
    )


def test_a_stop_puts_the_kernel_back_and_takes_the_uplink_along(device: Device) -> None:
    machine = device.machine
    assert "vedette" in machine.check("nft", "list", "tables")
    machine.check("systemctl", "stop", SENTINEL)
    assert machine.check("nft", "list", "tables") == ""
    machine.until(lambda: machine.show(UPLINK, "ActiveState") == "inactive", "the uplink's end")
    machine.check("systemctl", "start", SENTINEL)
    device.await_watching()


def test_a_killed_sentinel_leaves_nothing_in_the_kernel_either(device: Device) -> None:
    machine = device.machine
    machine.check("systemctl", "mask", "--runtime", "--now", UPLINK)
    machine.check("mkdir", "-p", "/run/systemd/system/vedette.service.d")
    machine.write("/run/systemd/system/vedette.service.d/90-test.conf", b"[Service]\nRestart=no\n")
    machine.check("systemctl", "daemon-reload")
    assert "vedette" in machine.check("nft", "list", "tables")
    machine.check("systemctl", "kill", "--signal=KILL", "--kill-who=main", SENTINEL)
    machine.until(lambda: machine.show(SENTINEL, "ActiveState") == "failed", "its end")
    assert machine.check("nft", "list", "tables") == ""
    machine.check("rm", "/run/systemd/system/vedette.service.d/90-test.conf")
    machine.check("systemctl", "unmask", "--runtime", UPLINK)
    machine.check("systemctl", "daemon-reload")
    machine.check("systemctl", "start", SENTINEL)
    device.await_watching()


def test_units_follow_the_configuration_without_anybody_writing_them(device: Device) -> None:
    machine = device.machine
    changed = '[response]\ndisable = ["quarantine", "restore_file", "freeze"]\n'
    kept = machine.check("cat", "/etc/vedette/vedette.toml")
    machine.write("/etc/vedette/vedette.toml", (kept + changed).encode())
    machine.check("systemctl", "daemon-reload")  # runs the generator, as a boot does
    assert machine.show(SENTINEL, "ProtectSystem") == "strict"
    machine.check("systemctl", "restart", SENTINEL)
    device.await_watching()
    assert "dac_override" not in device.privileges(SENTINEL).bounding
    device.machine.check("sh", "-c", "echo '* * * * * root /bin/true' >/etc/cron.d/again")
    machine.until(lambda: any("cron" in one.lower() for one in device.incidents()), "its incident")
    machine.write("/etc/vedette/vedette.toml", kept.encode())
    machine.check("systemctl", "daemon-reload")
    assert machine.show(SENTINEL, "ProtectSystem") == "no"
    machine.check("systemctl", "restart", SENTINEL)
    device.await_watching()


def _asks_a_look(device: Device, title: str) -> bool:
    """A reload has the sentinel read the reports at once, not at its next minute."""
    device.machine.run("systemctl", "reload", SENTINEL)
    return title in device.incidents()
