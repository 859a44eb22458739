"""A program that is called ends in time, or it is said which one did not and what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from vedette.errors import DeviceError
from vedette_dev.calls import call, check
from vedette_dev.packages import deb


def test_a_call_says_how_it_ended_and_judges_nothing() -> None:
    done = call(["sh", "-c", "cat; echo $WORD; echo wrong >&2; exit 3"], 20, {"WORD": "said"})
    assert (done.returncode, done.stdout, done.stderr) == (3, "said\n", "wrong\n")


def test_a_check_that_fails_is_told_with_the_program_and_what_it_said() -> None:
    assert check(["sh", "-c", "echo $WORD"], 20, WORD="said") == "said\n"
    with pytest.raises(DeviceError, match=r"^sh left with 3: wrong$"):
        check(["/bin/sh", "-c", "echo wrong >&2; exit 3"], 20)


def test_a_program_that_is_starved_is_named_with_its_seconds_and_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    starved = tmp_path / "dpkg-deb"
    starved.write_text("#!/bin/sh\nexec sleep 60\n")
    starved.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(deb, "TIMEOUT_S", 0.2)
    root = tmp_path / "root"
    root.mkdir()
    with pytest.raises(DeviceError, match=r"^dpkg-deb took longer than 0\.2 s .*: try again"):
        deb._packed(root, tmp_path, 0)
    assert not (tmp_path / "new.deb").exists()
