"""How long the loop is held up while another bundle is taken into use, and how long that takes.

Rule: the gap is the longest time between two turns of a task that asks for nothing but its turn, in
a process of its own that does what the sentinel does: a thread verifies and decodes, slices build.
Python hands the interpreter from that thread to the loop within 5 ms (sys.getswitchinterval).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.bench.figure import Figure, figure
from tests.simulators import signing
from tests.simulators.collected import Collected
from tests.simulators.device_stream import process_events
from tests.simulators.memory_journal import MemoryJournal
from tests.simulators.memory_state import MemoryShelf, MemoryState
from tests.simulators.rule_scale import at_hand, scaled

from vedette.codec import bundle as codec
from vedette.core.agent import Agent, AgentSettings
from vedette.daemon import collector
from vedette.daemon.content_source import ContentSource
from vedette.daemon.shell import Shell
from vedette.model.rule import Bundle
from vedette.trust.content_gate import ContentGate, ContentKind
from vedette.trust.ed25519 import Ed25519Verifier

RUNS = 5
BUDGET_MS = 10.0
SIZES = (210, 1500, 5000)
KEY, ROOT_KEY = signing.signer(1), signing.signer(2)


def figures() -> Iterator[Figure]:
    """Gap and duration of a reload, by number of rules."""
    name, rules = at_hand()
    for size in SIZES:
        gaps_ms, taken_ms = [], []
        for _ in range(RUNS):
            found = _in_a_process(size)
            gaps_ms.append(found["gap_ms"])
            taken_ms.append(found["taken_ms"])
        label = f"reload, {size} rules"
        note = f"beside the budget; {name}, rotated above {len(rules)}"
        yield figure(f"{label}: longest gap of the loop", gaps_ms, "ms", BUDGET_MS, note)
        yield figure(f"{label}: until it judges", taken_ms, "ms", None, "decoding and indexing")
