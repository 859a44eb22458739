"""What the stories of the boot loaders' environments share: steps, promises, what may be read.

Rule: after a cut the boot loader itself must read the old plan or the new one; that the back-end
reads it too, and can go on, is looked at after that.
"""

from __future__ import annotations

import os
import shlex
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.powercut.story import Mark, require

from vedette.model.firmware import BootPlan
from vedette.ports.slot_backend import MAX_TRIES, SlotBackend

_RECORDED = ("LD_PRELOAD", "VEDETTE_RECORD_ROOT", "VEDETTE_RECORD_LOG")

STEPS: tuple[tuple[str, str], ...] = (
    ("arm", "b"),
    ("commit", "b"),
    ("arm", "a"),
    ("commit", "b"),
    ("arm", "a"),
    ("commit", "a"),
)
"""Trials that end well and one that does not, beginning with slot a."""


def play(backend: SlotBackend, mark: Mark) -> None:
    """All steps, each promised when it returns."""
    plan = BootPlan("a")
    for step, slot in STEPS:
        following = BootPlan(slot)
        if step == "arm":
            following = BootPlan(backend.other(slot), slot, MAX_TRIES)
        mark(f"plan {_text(plan)},{_text(following)}")
        _make(backend, following)
        mark(f"plan {_text(following)}")
        plan = following


def check(
    backend: SlotBackend, read_as_boot_loader: Callable[[], BootPlan], marks: Sequence[str]
) -> None:
    """A plan that may be there, read alike by both; and the next step works."""
    told = [mark.removeprefix("plan ") for mark in marks if mark.startswith("plan ")]
    allowed = told[-1].split(",") if told else [_text(BootPlan("a"))]
    found = read_as_boot_loader()
    require(_text(found) in allowed, f"the boot loader reads {found}, expected one of {allowed}")
    require(backend.plan() == found, f"the back-end reads {backend.plan()}, not {found}")
    _make(backend, found)
    require(read_as_boot_loader() == found, "what is written again is not read")


@contextmanager
def recorded_tool(name: str) -> Iterator[str]:
    """A program of the system, recorded although it gets an environment of its own."""
    kept = {word: os.environ[word] for word in sorted(os.environ) if word in _RECORDED}
    with tempfile.TemporaryDirectory(prefix="vedette-tool-") as made:
        script = Path(made, name)
        lines = [f"export {word}={shlex.quote(value)}\n" for word, value in kept.items()]
        script.write_text(f'#!/bin/sh\n{"".join(lines)}exec {shutil.which(name)} "$@"\n')
        script.chmod(0o700)
        yield str(script)


def _make(backend: SlotBackend, plan: BootPlan) -> None:
    if plan.trial:
        backend.arm(plan.trial, plan.tries_left)
    else:
        backend.commit(plan.committed)


def _text(plan: BootPlan) -> str:
    return f"{plan.committed}/{plan.trial}/{plan.tries_left}"
