"""Tries a bundle of rules against its own samples, in a process of its own.

Started by `run` from the installer, whose empty network it inherits. What is tried was signed, and
is held to time and memory all the same: a rule that hangs must hang here, and not in the sentinel.

Rule 1: files are read, and all modules loaded, before it becomes the worker's user, who may not
be able to read this program; from then on it has no privilege at all.
Rule 2: what ends it (time, memory, a signal) is a verdict about the rules, and no error of ours.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from vedette.codec import bundle as bundle_codec
from vedette.codec import dsse, rule_samples, strict_json
from vedette.codec.dsse import MAX_ENVELOPE_BYTES
from vedette.codec.strict_fields import fields, number, truth, visible
from vedette.codec.text import escape, shorten
from vedette.core.engine import Engine, Stopwatch
from vedette.core.self_test import SelfTest
from vedette.daemon import privileges
from vedette.daemon.signal_names import signal_name
from vedette.errors import DeviceError, ParseError, StoreError, VedetteError
from vedette.store import durable

CPU_S: Final = 60
"""Ours: the samples of 200 rules take 0.1 s on x86-64, and seconds on a camera."""
TIMEOUT_S: Final = 120.0
MEMORY_BYTES: Final = 256 << 20
MAX_REPORT_BYTES: Final = 64 << 10
MAX_TOLD: Final = 5
MAX_REASON: Final = 1500
_NAMES: Final = frozenset({"samples", "took_ms", "is_limit", "reason"})


class Verdict(NamedTuple):
    """What came of it.

    Attributes:
        samples: how many were tried; 0 where there were none.
        took_ms: CPU time of trying them.
        is_limit: the reason is time or memory.
        reason: why the rules may not be used, "" where they may.
    """

    samples: int
    took_ms: int
    is_limit: bool
    reason: str


def run(bundle: Path, samples: Path | None, user: str, *, device_class: str = "") -> Verdict:
    """Try a bundle.

    Args:
        bundle: its envelope, verified.
        samples: their file, verified; None tries only whether the bundle can be used.
        user: that the worker becomes, where we are root.
        device_class: of this device: its exclusions are built as well.

    Raises:
        DeviceError: the worker cannot be started.
    """
    command = (
        sys.executable, "-I", "-m", "vedette.daemon.rules_worker", str(os.getpid()), user,
        device_class, str(bundle), str(samples or ""),
    )  # fmt: skip
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=TIMEOUT_S, check=False
        )
    except OSError as error:
        raise DeviceError(f"the worker that tries rules cannot be started: {error}") from error
    except subprocess.TimeoutExpired:
        reason = f"trying its samples did not end within {TIMEOUT_S:g} s"
        return Verdict(0, int(TIMEOUT_S * 1000), is_limit=True, reason=reason)
    return _verdict(done)


def _verdict(done: subprocess.CompletedProcess[bytes]) -> Verdict:
    said = shorten(escape(done.stderr.decode("utf-8", "replace").strip()), 500)
    if done.returncode < 0:
        how = f"trying its samples was ended by {signal_name(-done.returncode)}"
        return Verdict(0, 0, is_limit=True, reason=f"{how}; {said or 'it said nothing'}")
    if done.returncode:
        raise DeviceError(f"the worker that tries rules ended with {done.returncode}: {said}")
    try:
        report = strict_json.parse(done.stdout, max_bytes=MAX_REPORT_BYTES)
        found = fields(report, "a worker's report", _NAMES)
        return Verdict(
            number(found["samples"], "samples", 0),
            number(found["took_ms"], "milliseconds", 0),
            truth(found["is_limit"], "whether it is a limit"),
            visible(found["reason"], "a reason", MAX_REASON),
        )
    except ParseError as error:
        raise DeviceError(f"the worker that tries rules said something else: {error}") from error


def main(arguments: Sequence[str]) -> int:
    """Try, and report on standard output."""
    parent, user, device_class, bundle, samples = arguments
    try:
        envelope, beside = _read(bundle), _read(samples) if samples else b""
        _give_up(user, int(parent))
        verdict = _try(envelope, beside, device_class)
    except MemoryError:
        verdict = Verdict(0, 0, is_limit=True, reason="trying it took more memory than it may")
    except VedetteError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stdout.write(json.dumps(verdict._asdict()) + "\n")
    return 0


def _try(envelope: bytes, samples: bytes, device_class: str) -> Verdict:
    began_s = time.process_time()
    try:
        found = bundle_codec.decode(dsse.decode(envelope).payload)
        wanted = rule_samples.decode(samples) if samples else None
    except ParseError as error:
        return Verdict(0, 0, is_limit=False, reason=_short(f"it cannot be read: {error}"))
    refused = [f"{one}: {why}" for one, why in Engine(found, 0, device_class=device_class).refused]
    test = SelfTest(found, Stopwatch(time.perf_counter, time.thread_time))
    failures = [f"{one.place}: {one.reason}" for one in test.run(wanted)] if wanted else []
    slow = [f"{one.rule_id} took {one.took_s * 1000:.0f} ms for one event" for one in test.slow()]
    took_ms = round((time.process_time() - began_s) * 1000)
    count = len(wanted.samples) if wanted else 0
    words = failures or refused or slow
    more = f"; and {len(words) - MAX_TOLD} more" if len(words) > MAX_TOLD else ""
    reason = _short("; ".join(words[:MAX_TOLD]) + more)
    return Verdict(
        count, took_ms, is_limit=not failures and not refused and bool(slow), reason=reason
    )


def _short(text: str) -> str:
    return shorten(escape(text), MAX_REASON)


def _read(path: str) -> bytes:
    found = durable.read(Path(path), MAX_ENVELOPE_BYTES)
    if found is None:
        raise StoreError(f"{path}: expected a file to try, found none")
    return found


def _give_up(user: str, parent: int) -> None:
    privileges.become(user)
    privileges.die_with_parent(signal.SIGKILL, parent)
    for kind, most in (
        (resource.RLIMIT_CPU, CPU_S),
        (resource.RLIMIT_AS, MEMORY_BYTES),
        (resource.RLIMIT_NOFILE, 64),
        (resource.RLIMIT_NPROC, 64),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(kind, (most, most))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
