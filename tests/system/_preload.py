"""Builds a library of tests/simulators that a process loads before all others (LD_PRELOAD)."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

SIMULATORS = Path(__file__).parent.parent / "simulators"


def build(source: str, folder: Path) -> Path:
    """Compile a simulator; the test is skipped where there is no C compiler.

    Args:
        source: the name of its C file.
        folder: gets the library.
    """
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip(f"needs a C compiler for {source}: apt-get install gcc")
    library = folder / Path(source).with_suffix(".so")
    inputs: list[str | Path] = [SIMULATORS / source, "-ldl"]
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, *inputs], check=True)
    return library
