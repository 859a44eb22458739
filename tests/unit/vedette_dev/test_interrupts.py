"""A command of the workbench ends in order at SIGINT and SIGTERM, whoever started it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from vedette_dev.cache import REPOSITORY
from vedette_dev.interrupts import one_interrupt

PROGRAM = """
import signal, sys
sys.path.insert(0, sys.argv[1])
from vedette_dev.interrupts import one_interrupt
try:
    with one_interrupt("still stopping"):
        print("ready", flush=True)
        signal.pause()
except KeyboardInterrupt:
    print("in order", flush=True)
"""
ENDS_S = 20.0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_in_order_although_a_shell_had_it_ignore_interrupts(number: signal.Signals) -> None:
    argv = ["sh", "-c", '"$@" & wait', "sh", sys.executable, "-c", PROGRAM, f"{REPOSITORY}/agent"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, start_new_session=True) as shell:
        assert shell.stdout is not None
        assert shell.stdout.readline() == "ready\n"
        children = f"/proc/{shell.pid}/task/{shell.pid}/children"
        with open(children) as stream:  # noqa: PTH123 (a file of the kernel)
            [child] = map(int, stream.read().split())
        os.kill(child, number)
        assert shell.communicate(timeout=ENDS_S)[0] == "in order\n"


def test_a_second_one_only_hears_that_it_is_being_done(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(KeyboardInterrupt):
        _interrupted_while_it_stops()
    assert capfd.readouterr().err == "\nstill stopping: wait\n" * 2


def _interrupted_while_it_stops() -> None:
    with one_interrupt("still stopping: wait"):
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        finally:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGTERM)


def test_the_handlers_before_are_back_afterwards() -> None:
    before = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    with one_interrupt("…"):
        pass
    assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] == before
