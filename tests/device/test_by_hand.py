"""`make qemu` as a person uses it, at a terminal: a console, a broker, a clean end."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.device._device import ARCH, REPOSITORY

from vedette_dev.images import Image

pytestmark = pytest.mark.device

START_S = 240.0
END_S = 120.0


def _read_until(terminal: int, wanted: str, deadline_s: float) -> str:
    end_s, said = time.monotonic() + deadline_s, b""
    while wanted.encode() not in said:
        assert time.monotonic() < end_s, f"no {wanted!a} within {deadline_s:g} s:\n{said[-3000:]!a}"
        if select.select([terminal], [], [], 1.0)[0]:
            said += os.read(terminal, 65536)
    return said.decode("utf-8", "replace")


def test_a_person_gets_a_root_console_and_a_clean_end(image: Image, tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    argv = [sys.executable, "-m", "vedette_dev", "qemu", "--arch", ARCH]
    with subprocess.Popen(
        [*argv, "--folder", str(tmp_path / "by-hand")], stdin=theirs, stdout=theirs, stderr=theirs,
        cwd=REPOSITORY, start_new_session=True,
    ) as run:  # fmt: skip
        os.close(theirs)
        try:
            said = _read_until(ours, "press Enter for a root shell", START_S)
            assert "vedette fleet watch" in said.replace("/vedette fleet", "vedette fleet")
            os.write(ours, b"\n")
            os.write(ours, b"echo it is $(id -un), $((40 + 2))\n")
            _read_until(ours, "it is root, 42", END_S)
            os.write(ours, b"poweroff\n")
            _read_until(ours, "Power down", END_S)
            assert run.wait(END_S) == 0
        finally:
            run.terminate()
            os.close(ours)


def test_without_a_terminal_it_says_so(tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "vedette_dev", "qemu", "--arch", ARCH]
    ended = subprocess.run(
        [*argv, "--folder", str(tmp_path)], stdin=subprocess.DEVNULL, capture_output=True,
        text=True, check=False, cwd=REPOSITORY, timeout=60,
    )  # fmt: skip
    assert ended.returncode == 2
    assert "a console needs a terminal" in ended.stderr
