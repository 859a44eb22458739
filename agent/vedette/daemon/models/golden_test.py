"""Starts the worker on a staged model and reads what came of its golden cases.

Rule: whatever the worker does, this ends in its time with a verdict: no report is a failed test.
"""

from __future__ import annotations

import os
import subprocess
import sys
from typing import NamedTuple

from vedette.codec import worker_link
from vedette.codec.text import escape
from vedette.core.runner_argv import RunnerError, choose, fill
from vedette.daemon.model_options import Models
from vedette.errors import ParseError
from vedette.model.golden import CaseResult, GoldenCase, GoldenRequest
from vedette.model.model_manifest import ModelManifest
from vedette.store.model_content import DIRECTORY, GOLDEN

WORKER = "vedette.daemon.worker"
GRACE_S = 10.0
"""For the worker itself: its interpreter, namespaces and mounts, on a slow device."""
_MIB = 1 << 20


class GoldenVerdict(NamedTuple):
    """What came of the golden test.

    Attributes:
        reason: why the model may not be used, "" where it may.
        is_limit: because it took more than it may, rather than answer wrongly.
        results: of the cases that were run.
    """

    reason: str
    is_limit: bool
    results: tuple[CaseResult, ...]


def request_for(manifest: ModelManifest, folder: str, models: Models, user: str) -> GoldenRequest:
    """What the worker is asked; limits are the smaller of the release's and the device's.

    Args:
        manifest: of the model.
        folder: of its content.
        models: what this device allows.
        user: that the runner becomes.

    Raises:
        RunnerError: this device cannot run it, or not so.
    """
    runner = choose(manifest, models.runners)
    limits = manifest.limits
    cases = tuple(
        GoldenCase(
            case.name,
            fill(
                runner,
                model=f"{folder}/{DIRECTORY}",
                entry=f"{folder}/{DIRECTORY}/{manifest.entry}",
                golden_input=f"{folder}/{GOLDEN}/{case.name}.input",
                parameters=manifest.parameters,
            ),
            f"{folder}/{GOLDEN}/{case.name}.expected",
            case.absolute,
            case.relative,
        )
        for case in manifest.golden
    )
    return GoldenRequest(
        user,
        folder,
        cases,
        min(limits.time_ms, models.time_s * 1000),
        min(limits.memory_bytes, models.memory_mb * _MIB),
        limits.output_bytes,
    )


def test(manifest: ModelManifest, folder: str, models: Models, user: str) -> GoldenVerdict:
    """Run all golden cases of a model in the worker; blocks.

    Args:
        manifest: of the model.
        folder: of its content.
        models: what this device allows.
        user: that the runner becomes; never root.
    """
    if not manifest.golden:
        if models.golden == "required":
            return GoldenVerdict("it has no golden cases and this device wants some", False, ())
        return GoldenVerdict("", False, ())
    try:
        request = request_for(manifest, folder, models, user)
        return _ask(request)
    except (RunnerError, ParseError) as error:
        return GoldenVerdict(str(error), False, ())


def _ask(request: GoldenRequest) -> GoldenVerdict:
    names = [case.name for case in request.cases]
    text = worker_link.encode_request(request)
    most_s = request.time_ms / 1000 * len(names) + GRACE_S
    argv = [sys.executable, "-I", "-m", WORKER, str(os.getpid()), text]
    try:
        ran = subprocess.run(
            argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=most_s, check=False
        )
    except subprocess.TimeoutExpired:
        return GoldenVerdict(f"the worker did not end within {most_s:g} s", True, ())
    said = escape(ran.stderr.decode("utf-8", "replace").strip())[-300:]
    if ran.returncode:
        return GoldenVerdict(f"the worker ended with {ran.returncode}: {said}", False, ())
    results = worker_link.decode_report(ran.stdout, names)
    failed = results[-1]
    if failed.detail:
        return GoldenVerdict(f"{failed.name}: {failed.detail}", failed.is_limit, results)
    return GoldenVerdict("", False, results)
