"""The journal on real trouble: a full disk, a read-only disk, and kill -9 in the middle."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.simulators.signing import signer

from vedette.codec import journal_entry
from vedette.store.journal_core import JournalCore
from vedette.store.journal_place import JournalPlace
from vedette.store.state import FileState

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": f"{ROOT / 'agent'}:{ROOT}"}
ROUNDS = 5


@pytest.mark.parametrize("story", ["full", "read-only"])
def test_a_disk_that_refuses_loses_nothing(tmp_path: Path, story: str, as_root: None) -> None:
    if shutil.which("unshare") is None:
        pytest.skip("needs unshare: apt-get install util-linux")
    script = ROOT / "tests/system/journal_on_bad_disk.py"
    result = subprocess.run(
        ["unshare", "--mount", "--propagation", "private", sys.executable, script, story, tmp_path],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-3000:]


def killed_after(folder: Path, first: int, lines: int) -> tuple[list[tuple[int, int]], int]:
    """Run the writer until it printed so many lines, kill it; what it had acknowledged."""
    script = ROOT / "tests/system/journal_until_killed.py"
    acknowledged: list[tuple[int, int]] = []
    delivered = 0
    with subprocess.Popen(
        [sys.executable, script, folder, str(first)], env=ENVIRONMENT, stdout=subprocess.PIPE
    ) as writer:
        assert writer.stdout is not None
        for count, line in enumerate(writer.stdout):
            match line.split():
                case [b"open", reports]:
                    assert int(reports) == 0
                case [b"delivered", sequence]:
                    delivered = int(sequence)
                case [number, sequence] if line.endswith(b"\n"):
                    acknowledged.append((int(number), int(sequence)))
            if count == lines:
                writer.send_signal(signal.SIGKILL)
    assert writer.returncode == -signal.SIGKILL
    return acknowledged, delivered


@pytest.mark.system
def test_every_acknowledged_entry_survives_kill_9(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    chance = random.Random()
    known: dict[int, int] = {}
    highest = delivered = 0
    for _ in range(ROUNDS):
        acknowledged, mark = killed_after(tmp_path, len(known), chance.randrange(1, 250))
        for number, sequence in acknowledged:
            assert sequence > highest
            known[number], highest = sequence, sequence
        delivered = max(delivered, mark)
        highest = check(tmp_path, known, delivered)
    assert len(known) > ROUNDS


def check(folder: Path, known: dict[int, int], delivered: int) -> int:
    """Reopen: everything acknowledged and not delivered is there, and the chain holds."""
    place = JournalPlace(folder / "state", folder / "run", "b" * 32, limit_bytes=256 << 10)
    state = FileState(folder / "state")
    core = JournalCore(place, state=state, signer=signer(1), wall=lambda: 1.79e9)
    core.open(0.0)
    assert core.reports == []
    assert core.status().dropped == 0
    entries = core.entries("", 100_000)[::-1]
    chain = journal_entry.extend(core._room.pruned, map(journal_entry.encode, entries))
    assert (chain.size, chain.root()) == (core.status().size, core.status().root)
    found = {entry.sequence: json.loads(entry.draft.body)["n"] for entry in core.outbox(0, 100_000)}
    for number, sequence in known.items():
        if sequence > delivered:
            assert found[sequence] == number
    for sequence, number in found.items():
        known.setdefault(number, sequence)
    newest = core.status().newest_sequence
    core.close(0.0)
    return newest
