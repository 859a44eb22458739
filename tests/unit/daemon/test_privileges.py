"""Names and numbers of capabilities, and /proc/PID/status; the rest is in tests/system."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from vedette.daemon import privileges
from vedette.errors import ConfigError, DeviceError, ParseError

STATUS = """\
Name:\tx
Uid:\t0\t1000\t0\t0
Gid:\t0\t1001\t0\t0
Groups:\t4 27 
CapInh:\t0000000000000000
CapPrm:\t0000020000003000
CapEff:\t0000000000001000
CapBnd:\t000001ffffffffff
CapAmb:\t0000000000000000
NoNewPrivs:\t1
"""  # noqa: W291 (the kernel ends Groups with a space)


def test_status_is_read() -> None:
    found = privileges.parse_status(STATUS)
    assert (found.uid, found.gid, found.groups) == (1000, 1001, (4, 27))
    assert found.permitted == {"net_admin", "net_raw", "cap_41"}
    assert found.effective == {"net_admin"}
    assert found.bounding == frozenset(privileges.CAPABILITIES)
    assert found.no_new_privileges


def test_a_status_cut_at_any_line_or_damaged_is_a_parse_error() -> None:
    lines = STATUS.splitlines()
    for count in range(8):
        with pytest.raises(ParseError, match="proc_pid_status"):
            privileges.parse_status("\n".join(lines[:count]))
    with pytest.raises(ParseError):
        privileges.parse_status(STATUS.replace("0000000000001000", "xyz"))


def test_names_and_masks_are_each_others_inverse() -> None:
    for bit, name in enumerate(privileges.CAPABILITIES):
        assert privileges.mask({name}) == 1 << bit
        assert privileges.names(1 << bit) == {name}
    with pytest.raises(ValueError, match='got "CAP_NET_ADMIN"'):
        privileges.mask({"CAP_NET_ADMIN"})


def test_numbers_are_the_kernels() -> None:
    header = Path("/usr/include/linux/capability.h")
    if not header.exists():
        pytest.skip("no linux/capability.h here: apt install linux-libc-dev")
    defined = {
        words[1][4:].lower(): words[2]
        for words in map(str.split, header.read_text().splitlines())
        if len(words) >= 3 and words[1].startswith("CAP_") and words[2].isdigit()
    }
    for bit, name in enumerate(privileges.CAPABILITIES):
        assert defined.get(name, str(bit)) == str(bit)


def test_accounts() -> None:
    assert privileges.account("root")[:2] == (0, 0)
    assert privileges.account("4242424") == (4242424, 4242424, [4242424])
    with pytest.raises(ConfigError, match="make it with: useradd --system"):
        privileges.account("vedette-no-such-user")


def test_without_proc_the_reason_is_said(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match="mount /proc"):
        privileges.current(tmp_path / "status")
    assert privileges.current().uid == os.geteuid()
