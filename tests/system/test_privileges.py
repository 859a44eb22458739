"""Privileges given up for real, in processes of their own."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

pytestmark = pytest.mark.system

PREAMBLE = """
import os, sys
from vedette.daemon import privileges as p
def fails(do):
    try:
        do()
    except OSError:
        return True
    return False
"""


def play(script: str) -> None:
    """Run a script of assertions in a process of its own."""
    run = subprocess.run(
        [sys.executable, "-c", PREAMBLE + script], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr


def test_what_is_dropped_is_gone_from_every_set_and_cannot_come_back(as_root: None) -> None:
    play("""
kept = frozenset({"net_admin", "audit_control"})
now = p.drop_to(kept)
assert now.uid == 0 and now.permitted == now.effective == now.bounding == kept, now
assert not now.inheritable and not now.ambient and now.no_new_privileges
assert fails(lambda: os.chown("/proc/self/fd", 1, 1)) and fails(lambda: os.setuid(1))
child = os.popen("grep CapPrm /proc/self/status").read()
assert int(child.split()[1], 16) == p.mask(kept), child
assert p.missing({"net_admin", "sys_admin"}) == {"sys_admin"}
""")


def test_dropping_twice_never_gains(as_root: None) -> None:
    play("""
p.drop_to(frozenset({"net_admin"}))
assert p.drop_to(frozenset({"net_admin", "sys_admin"})).permitted == {"net_admin"}
assert not p.drop_to(frozenset()).permitted
""")


def test_another_user_has_nothing_but_what_is_kept(as_root: None) -> None:
    play("""
now = p.become("65534", frozenset({"net_raw"}))
assert (now.uid, now.gid) == (65534, 65534) and 0 not in now.groups, now
assert now.permitted == now.effective == now.bounding == {"net_raw"}
assert fails(lambda: os.setuid(0)) and fails(lambda: open("/etc/shadow"))
""")


def test_another_user_keeps_nothing_by_default(as_root: None) -> None:
    play("""
now = p.become("nobody")
assert not now.permitted and not now.bounding and now.no_new_privileges, now
assert os.getresuid() == (65534,) * 3
""")


def test_who_is_not_root_stays_who_it_is_and_gives_up_the_rest() -> None:
    play("""
if os.geteuid() == 0:
    p.become("65534")
uid = os.geteuid()
now = p.become("root")
assert now.uid == uid != 0 and not now.permitted and now.no_new_privileges, now
""")


def test_a_user_there_is_not_changes_nothing(as_root: None) -> None:
    play("""
try:
    p.become("no-such-user-here")
except p.ConfigError as error:
    assert "useradd" in str(error)
assert p.current().uid == 0 and p.current().permitted
""")


def test_a_process_that_forbids_dumps_cannot_be_looked_into(as_root: None) -> None:
    play("""
p.forbid_dumps()
assert os.stat("/proc/self/mem").st_uid == 0
p.become("nobody")
p.forbid_dumps()
assert os.stat("/proc/self/mem").st_uid == 0, "still owned by the user: dumpable"
""")


def test_an_orphan_gets_the_signal_even_when_the_parent_was_faster() -> None:
    run = subprocess.run(
        [sys.executable, "-c", PREAMBLE + f"p.die_with_parent({int(signal.SIGTERM)}, -1)"],
        check=False,
    )
    assert run.returncode == -signal.SIGTERM
