"""A Python that another user may run: this checkout may lie where only root can go."""

from __future__ import annotations

import shutil
import site
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import vedette


@contextmanager
def open_folder() -> Iterator[Path]:
    """A temporary folder that all may pass through: pytest's own are closed to others."""
    with tempfile.TemporaryDirectory(dir="/tmp") as made:
        Path(made).chmod(0o755)
        yield Path(made)


def readable_python(folder: Path, uid: int) -> tuple[str, ...]:
    """A command that runs our code as an ordinary user; skips where this machine has none.

    Args:
        folder: gets an environment of its own, with a copy of the code; all may pass through it.
        uid: who runs it; its group gets the same number.
    """
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    python = _reachable(uid, [sys._base_executable, f"/usr/bin/python{version}"])  # type: ignore[attr-defined]
    if python is None:
        pytest.skip(f"no Python {version} that uid {uid} may run: apt-get install python{version}")
    made = folder / "python"
    subprocess.run([python, "-m", "venv", "--without-pip", made], check=True, timeout=60)
    packages = made / "lib" / f"python{version}" / "site-packages"
    source = Path(vedette.__file__).parents[1]
    copy = folder / "clone" / "agent"
    shutil.copytree(source, copy, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    for part in ("rules", "tests/attacks"):
        shutil.copytree(source.parent / part, folder / "clone" / part)
    lines = [str(copy), *site.getsitepackages()]
    (packages / "vedette.pth").write_text("".join(f"{line}\n" for line in lines))
    return (*_as(uid), str(made / "bin" / "python"))


def _reachable(uid: int, candidates: list[str]) -> str | None:
    for candidate in candidates:
        done = subprocess.run(
            [*_as(uid), candidate, "-c", "import ensurepip, venv"],
            check=False,
            capture_output=True,
            cwd="/",
        )
        if done.returncode == 0:
            return candidate
    return None


def _as(uid: int) -> tuple[str, ...]:
    # setpriv itself still has its capabilities when it executes; `env` no longer does.
    return ("setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", "--", "env")
