"""Programs of the system that are run: what they say, how they end, and that they never stay."""

from __future__ import annotations

import os
import sys
import time

import pytest

from vedette.kernel import program


def python(code: str) -> list[str]:
    return [sys.executable, "-IS", "-c", code]


def test_its_status_and_both_of_its_outputs_are_told() -> None:
    code = "import os; os.write(1, b'out '); os.write(2, b'err'); raise SystemExit(3)"
    assert program.run(python(code), 10.0) == (3, "out err")


def test_a_signal_is_told_as_its_negative_number() -> None:
    assert program.run(python("import os; os.kill(os.getpid(), 9)"), 10.0).status == -9


def test_what_hangs_is_killed_in_time_and_leaves_no_zombie() -> None:
    began_s = time.monotonic()
    with pytest.raises(TimeoutError, match=r"did not end within 0\.2 s"):
        program.run(python("import time; time.sleep(60)"), 0.2)
    assert time.monotonic() - began_s < 10.0
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def test_what_closes_its_output_and_stays_is_killed_too() -> None:
    code = "import os, time; os.close(1); os.close(2); time.sleep(60)"
    with pytest.raises(TimeoutError):
        program.run(python(code), 0.5)


def test_output_without_end_is_cut() -> None:
    code = "import os\nfor _ in range(200): os.write(1, b'x' * 4096)"
    ran = program.run(python(code), 20.0)
    assert ran.status == 0
    assert len(ran.output) <= program.MAX_OUTPUT_BYTES + 4096


def test_it_inherits_nothing_of_our_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VEDETTE_SECRET", "1")
    code = "import os; os.write(1, str('VEDETTE_SECRET' in os.environ).encode())"
    assert program.run(python(code), 10.0).output == "False"


def test_a_program_that_is_not_there_is_an_os_error() -> None:
    with pytest.raises(FileNotFoundError):
        program.run(["/nowhere/systemctl"], 1.0)
