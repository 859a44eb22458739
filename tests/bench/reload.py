"""How long the loop is held up while another bundle is taken into use, and how long that takes.

Rule: a process of its own does what the sentinel does: a thread reads, verifies and decodes, slices
build, the engine before judges a stream meanwhile. The gap is the longest time between two turns of
a task that asks for nothing but its turn.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path

from tests.bench.figure import Figure, figure
from tests.simulators import signing
from tests.simulators.device_stream import process_events
from tests.simulators.memory_journal import MemoryJournal
from tests.simulators.memory_state import MemoryShelf, MemoryState
from tests.simulators.rule_scale import at_hand, scaled

from vedette.codec import bundle as codec
from vedette.core.agent import Agent, AgentSettings
from vedette.daemon import collector
from vedette.daemon.assembly import RULES
from vedette.daemon.content_source import ContentSource
from vedette.daemon.sentinel import SWITCH_S
from vedette.daemon.shell import Shell, now
from vedette.daemon.turns import in_loop
from vedette.model.event import ProcessStarted
from vedette.model.rule import Bundle, Rule
from vedette.trust.content_gate import ContentGate
from vedette.trust.ed25519 import Ed25519Verifier

ROOT = Path(__file__).parents[2]
RUNS = 5
QUICK_RUNS = 2
BUDGET_MS = 10.0
SIZES = (210, 1500, 5000)
KEY, ROOT_KEY = signing.signer(1), signing.signer(2)
BATCH = 16


def figures(*, is_quick: bool) -> Iterator[Figure]:
    """Gap and duration of a reload, by number of rules."""
    name, rules = at_hand()
    for size in SIZES:
        runs = [_in_a_process(size) for _ in range(QUICK_RUNS if is_quick else RUNS)]
        label = f"reload, {size} rules"
        note = f"beside the budget; {name}, rotated beyond {len(rules)}"
        gaps_ms = [run["gap_ms"] for run in runs]
        yield figure(f"{label}: longest gap of the loop", gaps_ms, "ms", BUDGET_MS, note)
        work_ms, calm_ms = ([run[name] for run in runs] for name in ("work_ms", "calm_ms"))
        yield figure(f"{label}: longest work between two turns", work_ms, "ms", BUDGET_MS, "budget")
        yield figure(f"{label}: longest gap, as long, of no reload", calm_ms, "ms")
        taken_ms = [run["taken_ms"] for run in runs]
        yield figure(f"{label}: until it judges", taken_ms, "ms", None, "the loop runs meanwhile")


def _in_a_process(size: int) -> dict[str, float]:
    command = (sys.executable, "-m", "tests.bench.reload", str(size))
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


class _Turns:
    """A task that asks for its turn again and again, and lets the rules judge in between."""

    def __init__(self, shell: Shell) -> None:
        self._shell = shell
        self.longest_s = self.hardest_s = 0.0

    async def run(self) -> None:
        events = [fields for _, fields in process_events(BATCH, seed=5)]
        last_s, last_cpu_s = time.perf_counter(), time.thread_time()
        while True:
            await asyncio.sleep(0)
            now_s, cpu_s = time.perf_counter(), time.thread_time()
            self.longest_s = max(self.longest_s, now_s - last_s)
            self.hardest_s = max(self.hardest_s, cpu_s - last_cpu_s)
            last_s, last_cpu_s = now_s, cpu_s
            self._shell.observe([_started(fields) for fields in events])


async def _measure(size: int, folder: Path) -> dict[str, float]:
    rules = scaled(at_hand()[1], size)
    loop = asyncio.get_running_loop()
    gate = ContentGate(
        RULES,
        document=signing.document(signing.role(ROOT_KEY), rules=signing.role(KEY)),
        verifier=Ed25519Verifier(),
        state=MemoryState(),
        shelf=MemoryShelf(),
        parse=lambda payload: in_loop(codec.decode_in_slices(payload), loop),
        build_s=signing.BUILD_S,
    )
    offered = folder / "rules.bundle"
    source = ContentSource(gate, offered, "rule bundle")
    agent = Agent(AgentSettings("bench", "bench", "0" * 32))
    shell = Shell(agent, MemoryJournal(), lambda *_: None, lambda _: None)
    offered.write_bytes(_signed(1, rules))
    await _load(source, shell)
    offered.write_bytes(_signed(2, rules))
    async with _turning(shell) as turns:
        began_s = time.perf_counter()
        await _load(source, shell)
        taken_s = time.perf_counter() - began_s
        await asyncio.sleep(0.5)  # meanwhile the engine before is taken apart
    async with _turning(shell) as calm:
        await asyncio.sleep(taken_s + 0.5)
    if agent.engine is None or agent.engine.bundle.counter != 2:
        raise RuntimeError("expected the second bundle in use")
    return {
        "gap_ms": turns.longest_s * 1000,
        "work_ms": turns.hardest_s * 1000,
        "calm_ms": calm.longest_s * 1000,
        "taken_ms": taken_s * 1000,
    }


@contextlib.asynccontextmanager
async def _turning(shell: Shell) -> AsyncIterator[_Turns]:
    turns = _Turns(shell)
    task = asyncio.get_running_loop().create_task(turns.run())
    try:
        yield turns
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _load(source: ContentSource[Bundle], shell: Shell) -> None:
    """As daemon/sentinel.py does."""
    with collector.paused():
        chosen = await asyncio.to_thread(source.choose)
        if chosen.content is None:
            raise RuntimeError(chosen.refused)
        await shell.load_rules(chosen.content)


def _signed(counter: int, rules: tuple[Rule, ...]) -> bytes:
    bundle = Bundle("bench", counter, signing.ISSUED_S, signing.EXPIRES_S, rules, (), "")
    return signing.envelope(codec.PAYLOAD_TYPE, codec.encode(bundle), [KEY])


def _started(fields: Mapping[str, str]) -> ProcessStarted:
    return ProcessStarted(
        at_s=now()[0],
        tier="bench",
        pid=2,
        ppid=1,
        start_ticks=0,
        image=fields["Image"],
        argv0=fields["Argv0"],
        command_line=fields["CommandLine"],
        is_complete=True,
        uid=0,
        login_uid=-1,
        cwd="/",
        cgroup="",
        device=0,
        inode=0,
    )


if __name__ == "__main__":
    sys.setswitchinterval(SWITCH_S)
    with tempfile.TemporaryDirectory() as place:
        print(json.dumps(asyncio.run(_measure(int(sys.argv[1]), Path(place)))))
