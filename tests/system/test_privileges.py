"""The running processes have the users, capabilities and sockets of DESIGN section 3."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from tests.conftest import locked_kernel
from tests.system._proc import children, open_files, socket_families

from vedette.daemon.privileges import Privileges, current
from vedette_dev.session import Session
from vedette_dev.workbench import UPLINK_UID

pytestmark = pytest.mark.system

REPOSITORY = Path(__file__).parents[2]
SENTINEL_CAPABILITIES = frozenset({
    "audit_control", "audit_read", "net_admin", "net_raw", "sys_admin", "dac_read_search",
    "sys_ptrace", "kill", "sys_nice", "sys_resource",
})  # fmt: skip
"""At most these; which of them depends on the tiers in use."""


class Parts(NamedTuple):
    """The pids of a run, and its folder."""

    keeper: int
    sentinel: int
    uplink: int
    folder: Path


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Parts]:
    if os.geteuid() != 0:
        pytest.skip("needs root: only there do the processes become different users")
    folder = tmp_path_factory.mktemp("privileges") / ".dev"
    with locked_kernel(), Session(folder, print, rules=REPOSITORY / "rules") as session:
        keeper = session.agent.pid
        pids = {_name(line): pid for pid, line in children(keeper).items()}
        yield Parts(keeper, pids["sentinel"], pids["uplink"], folder)


def _name(command_line: str) -> str:
    return "uplink" if "uplink" in command_line else "sentinel"


def privileges(pid: int) -> Privileges:
    return current(Path(f"/proc/{pid}/status"))


def test_sentinel_is_root_with_few_capabilities(parts: Parts) -> None:
    found = privileges(parts.sentinel)
    assert found.uid == 0
    assert found.effective <= SENTINEL_CAPABILITIES
    assert found.permitted <= SENTINEL_CAPABILITIES
    assert found.bounding <= SENTINEL_CAPABILITIES
    assert not found.inheritable
    assert not found.ambient
    assert found.no_new_privileges


def test_sentinel_has_local_and_netlink_sockets_only(parts: Parts) -> None:
    families = socket_families(parts.sentinel)
    assert "AF_UNIX" in families
    assert families <= {"AF_UNIX", "AF_NETLINK"}


def test_uplink_is_its_own_user_without_capabilities(parts: Parts) -> None:
    found = privileges(parts.uplink)
    assert (found.uid, found.gid) == (UPLINK_UID, UPLINK_UID)
    assert set(found.groups) <= {UPLINK_UID}
    nothing: frozenset[str] = frozenset()
    assert (found.effective, found.permitted, found.inheritable, found.ambient) == (nothing,) * 4
    assert not found.bounding
    assert found.no_new_privileges


def test_uplink_alone_has_a_network(parts: Parts) -> None:
    assert socket_families(parts.uplink) <= {"AF_UNIX", "AF_INET", "AF_INET6", "AF_PACKET"}
    assert "AF_INET" in socket_families(parts.uplink)
    assert "AF_INET" not in socket_families(parts.keeper)


def test_sentinel_alone_has_the_journal_open(parts: Parts) -> None:
    state = str(parts.folder / "state")
    assert any(path.startswith(state) for path in open_files(parts.sentinel))
    assert not any(path.startswith(state) for path in open_files(parts.uplink))
    assert not any(path.startswith(state) for path in open_files(parts.keeper))


def test_uplink_cannot_read_what_is_not_its_own(parts: Parts) -> None:
    for path in (parts.folder / "keys" / "device.key", parts.folder / "state"):
        status = path.stat()
        assert status.st_uid == 0
        assert status.st_mode & 0o077 == 0


def test_nobody_else_can_look_into_the_sentinel(parts: Parts) -> None:
    for pid in (parts.sentinel, parts.uplink):
        # A process that cannot be dumped belongs to root in /proc (proc(5), prctl(2)).
        assert Path(f"/proc/{pid}/mem").stat().st_uid == 0


def test_nothing_secret_stands_in_the_command_lines(parts: Parts) -> None:
    for line in children(parts.keeper).values():
        assert "BEGIN" not in line
        assert "PRIVATE" not in line
