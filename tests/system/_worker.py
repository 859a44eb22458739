"""Models and a device for golden tests in the real worker."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from tests.simulators.model_content import make, stage

from vedette.daemon.model_options import Models
from vedette.daemon.models.golden_test import GoldenVerdict, test
from vedette.model.model_manifest import RunLimits
from vedette.model.model_use import Runner
from vedette.store.models import ModelStore

PYTHON: Final = "/usr/bin/python3"
SIMULATORS: Final = Path(__file__).parents[1] / "simulators"
PACKAGING: Final = Path(__file__).parents[2] / "packaging"
USER: Final = str(600_000 + os.getpid())
"""A uid that nobody has, and no other process of the tests either."""
LIMITS: Final = RunLimits(20_000, 256 << 20, 4096)


def refusal() -> str:
    """Why the worker cannot be tried here, or ""."""
    if os.geteuid() != 0:
        return "the worker needs root to lock a runner in"
    if not os.access(PYTHON, os.X_OK):
        return f"no {PYTHON}, which every user may run"
    return ""


@contextlib.contextmanager
def public_folder() -> Iterator[Path]:
    """A folder that the worker's user can reach: each run of pytest closes those of all others."""
    with tempfile.TemporaryDirectory(prefix="vedette-worker-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


def plain_models(folder: Path, *extra: str) -> Models:
    """A device with the plain runner."""
    program = folder / "plain_runner.py"
    shutil.copy(SIMULATORS / "plain_runner.py", program)
    program.chmod(0o644)
    argv = (PYTHON, "-I", str(program), "{entry}", "{input}", *extra)
    return Models(folder=str(folder / "models"), runners={"plain": Runner("plain", argv, {})})


def plain_model(
    act: str = "answer",
    *,
    expected: Mapping[str, object] | None = None,
    limits: RunLimits = LIMITS,
    cases: int = 1,
    version: str = "1",
) -> tuple[dict[str, bytes], dict[str, tuple[bytes, bytes]], RunLimits, str]:
    """Files, golden cases, limits and version of a model that does this."""
    entry = json.dumps({"act": act, "factor": 2.0, "version": version}).encode()
    given = json.dumps({"numbers": [1, 2.5, -3]}).encode()
    wanted = json.dumps({"scaled": [2, 5.0, -6]} if expected is None else expected).encode()
    golden = {f"case-{number}": (given, wanted) for number in range(cases)}
    return {"model.json": entry}, golden, limits, version


def tried(models: Models, *args: object, user: str = USER, **options: object) -> GoldenVerdict:
    """Stage a plain model and have the worker try it."""
    files, golden, limits, version = plain_model(*args, **options)  # type: ignore[arg-type]
    store = ModelStore(Path(models.folder), max_bytes=1 << 24)
    made = make(files, golden=golden, limits=limits, version=version)
    digest = stage(store, made)
    manifest = store.manifest("person", digest)
    return test(manifest, str(store.path("person", digest)), models, user)
