"""What we start ends with us, also where nobody could clean up."""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import sys

import pytest

_PARENT = """
import subprocess, sys
from vedette_dev.children import mortal
command = mortal(["/bin/sh", "-c", "echo $$; exec /bin/sleep 600"], sys.argv[1])
subprocess.Popen(command, start_new_session=True).wait()
"""
_NICE_PARENT = """
import os, subprocess
from pathlib import Path
from vedette_dev.children import as_nice_as_we
print(os.nice(7))
child = subprocess.Popen(["/bin/sleep", "600"], start_new_session=True)
as_nice_as_we(child.pid)
print(Path(f"/proc/{child.pid}/autogroup").read_text().split()[-1])
child.kill()
child.wait()
"""
PATIENCE_MS = 20_000


@pytest.mark.skipif(
    shutil.which("setpriv") is None, reason="no setpriv: apt-get install util-linux"
)
@pytest.mark.parametrize("word", ["KILL", "TERM"])
def test_a_child_ends_with_a_parent_that_is_killed(word: str) -> None:
    command = [sys.executable, "-c", _PARENT, word]
    parent = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    with parent.stdout:
        child = os.pidfd_open(int(parent.stdout.readline()))
    try:
        parent.kill()
        parent.wait()
        ended = select.poll()
        ended.register(child, select.POLLIN)  # pidfd_open(2): readable when it has ended
        assert ended.poll(PATIENCE_MS), "the child outlived its parent"
    finally:
        if not ended.poll(0):
            signal.pidfd_send_signal(child, signal.SIGKILL)
        os.close(child)


@pytest.mark.skipif(not os.access("/proc/self/autogroup", os.F_OK), reason="no autogroups here")
def test_the_session_of_a_child_is_as_nice_as_we() -> None:
    said = subprocess.run(
        [sys.executable, "-c", _NICE_PARENT], check=True, capture_output=True, text=True
    )
    ours, child = said.stdout.split()
    assert child == ours
