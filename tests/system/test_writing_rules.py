"""What agent/docs/writing-rules.md tells an author to write and type works, as a process."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from vedette.core.agent import AgentSettings
from vedette.core.inputs import Input, Observed
from vedette.core.recording import encode_header, encode_input
from vedette.model.event import ProcessStarted

REPOSITORY = Path(__file__).parents[2]
PAGE = (REPOSITORY / "agent" / "docs" / "writing-rules.md").read_text()
FILES = re.findall(r"^`([\w/.]+)`:\n\n```yaml\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
COMMANDS = re.findall(r"^```sh runnable\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
ESCAPE = "\x1b"


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the page's files and a `vedette` to type."""
    folder = tmp_path_factory.mktemp("desk")
    for name, text in FILES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    shim = folder / "bin" / "vedette"
    shim.parent.mkdir()
    shim.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m vedette.cli "$@"\n')
    shim.chmod(0o755)
    return folder


def typed(desk: Path, command: str) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "PATH": f"{desk / 'bin'}:{os.environ['PATH']}",
        "PYTHONPATH": str(REPOSITORY / "agent"),
    }
    return subprocess.run(
        ["bash", "-euc", command], cwd=desk, env=environment, capture_output=True, text=True,
        timeout=110, check=False,
    )  # fmt: skip


@pytest.mark.system
def test_the_page_can_be_followed_from_top_to_bottom(desk: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed: sudo apt-get install openssl")
    assert len(FILES) == 6
    assert len(COMMANDS) == 5
    told = ""
    for command in COMMANDS:
        done = typed(desk, command)
        assert done.returncode == 0, done.stdout + done.stderr
        told += done.stdout
    assert "3 rules, 6 samples, 0 not as expected" in told
    assert "3 rules: 0 errors, 0 warnings, 0 notes" in told
    assert "counter: - 1  + 2" in told
    assert ESCAPE not in told


@pytest.mark.system
def test_a_broken_rule_fails_each_step_with_its_line(desk: Path) -> None:
    rule = desk / "broken.yml"
    text = next(text for name, text in FILES if name.endswith("cron_download.yml"))
    rule.write_text(text.replace("Ancestors|contains", "Ancestor|contains"))
    linted = typed(desk, "vedette rules lint --json broken.yml")
    assert linted.returncode == 1
    found = {row["code"]: row for row in json.loads(linted.stdout)}
    assert (found["VR103"]["line"], found["VR103"]["column"]) == (13, 24)
    assert 'did you mean "Ancestors"?' in found["VR103"]["message"]
    (desk / "broken.match.yml").write_text("- {Image: /usr/bin/wget}\n")
    tested = typed(desk, "vedette rules test broken.yml")
    assert tested.returncode == 1
    assert "WRONG broken.match.yml:1" in tested.stdout
    assert "expected Ancestor contains '/crond', got nothing (by_cron, line 13)" in tested.stdout


@pytest.mark.system
def test_a_recording_is_tried_before_rules_go_out(desk: Path) -> None:
    started = ProcessStarted(
        1.0, "audit", 7, 1, 0, "/usr/bin/curl", "curl", "curl http://x", True, 0, 0, "/", "", 0, 0
    )  # fmt: skip
    inputs: list[Input] = [Observed(1.0, 1_700_000_000.0, (started,))]
    head = encode_header(AgentSettings("t", "d", "0" * 32))
    (desk / "day.vrec").write_bytes(head + b"".join(map(encode_input, inputs)))
    done = typed(desk, "vedette rules backtest rules day.vrec --compare --max-rate 1")
    assert done.returncode == 0, done.stderr
    assert "1 events in 0 s: 0 findings, 0.00 in 10000 events" in done.stdout


@pytest.mark.system
@pytest.mark.parametrize("action", ["test", "lint", "diff", "bench", "backtest", "build", "list"])
def test_help_says_what_to_type_and_what_exit_codes_mean(action: str, desk: Path) -> None:
    done = typed(desk, f"vedette rules {action} --help")
    assert done.returncode == 0
    assert f"\n  vedette rules {action}" in done.stdout
    assert "exit code" in done.stdout.lower()
