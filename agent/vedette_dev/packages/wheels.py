"""The Python packages that a device runs, as pinned and hashed in requirements.txt.

Rule 1: pip fetches, and checks the hashes; nothing is built, so no compiler for the device is
needed.
Rule 2: what has no wheel for a target is either Debian's (`FROM_DEBIAN`) or its pure half, taken
out of another machine's wheel (`HAS_PURE_HALF`).
Rule 3: tools that look for known weaknesses read the dist-info folders: they stay.
"""

from __future__ import annotations

import re
import sys
import tomllib
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path, PurePosixPath
from typing import Final

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from vedette.errors import DeviceError
from vedette_dev import cache
from vedette_dev.calls import call
from vedette_dev.packages.target import ARCHITECTURES, Target

FROM_DEBIAN: Final = {"psutil": frozenset(ARCHITECTURES), "cffi": frozenset({"armhf"})}
"""Distributions that a package of Debian has, by architecture; pycparser is cffi's and unused."""
UNUSED: Final = frozenset({"pycparser"})
"""cffi needs it to read declarations of C; cryptography's are compiled in."""
HAS_PURE_HALF: Final = {"msgpack": frozenset({"armhf"})}
"""It imports its extension module where there is one, and works without."""

TIMEOUT_S: Final = 600.0
_DROPPED: Final = frozenset({"RECORD", "INSTALLER", "REQUESTED", "direct_url.json"})
"""Of a dist-info folder: they describe an installation by pip."""


def needed(project: Path, markers: Mapping[str, str]) -> list[str]:
    """The names of all distributions that the agent needs on a device.

    Args:
        project: a pyproject.toml; its requirements are installed where this runs.
        markers: the environment of the target.
    """
    declared = tomllib.loads(project.read_text("utf-8"))["project"]["dependencies"]
    found: set[tuple[str, str]] = set()
    waiting = [Requirement(line) for line in declared]
    while waiting:
        wanted = waiting.pop()
        for extra in ("", *wanted.extras):
            key = (canonicalize_name(wanted.name), extra)
            if key not in found:
                found.add(key)
                waiting += _required_by(wanted.name, extra, markers)
    return sorted({name for name, _ in found})


def _required_by(name: str, extra: str, markers: Mapping[str, str]) -> Iterator[Requirement]:
    for line in metadata.requires(name) or ():
        wanted = Requirement(line)
        if wanted.marker is None or wanted.marker.evaluate({**markers, "extra": extra}):
            yield wanted


def fetched(repository: Path, target: Target) -> list[Path]:
    """The wheels of a target, in the order of their names; cached by what is pinned.

    Raises:
        DeviceError: pip could not fetch one of them in time, or its hash is another one.
    """
    pins = pinned((repository / "requirements.txt").read_text("utf-8"))
    names = [
        name
        for name in needed(repository / "pyproject.toml", target.markers)
        if target.arch not in FROM_DEBIAN.get(name, ()) and name not in UNUSED
    ]
    pure = [name for name in names if target.arch in HAS_PURE_HALF.get(name, ())]
    own = [name for name in names if name not in pure]
    wheels = _fetched(target, [pins[name] for name in own])
    if pure:
        other = Target("amd64", target.suite)
        wheels += _fetched(other, [pins[name] for name in pure])
    return sorted(wheels)


def pinned(requirements: str) -> dict[str, str]:
    """The lines of each distribution in a file of pip-compile, with its hashes."""
    blocks = re.split(r"^(?=[a-z0-9])", requirements, flags=re.MULTILINE)
    return {canonicalize_name(block.partition("==")[0]): block for block in blocks if "==" in block}


def _fetched(target: Target, pins: Sequence[str]) -> list[Path]:
    text = "".join(pins)
    command = _command(target)
    inputs = "\n".join([text, *command]).encode()
    folder = cache.cached("wheels", inputs, lambda into: _fetch(command, text, into))
    return sorted(folder.glob("*.whl"))


def _command(target: Target) -> list[str]:
    python = target.release.python
    return [
        *("download", "--quiet", "--disable-pip-version-check", "--no-input", "--no-deps"),
        *("--require-hashes", "--only-binary=:all:", "--python-version", python),
        *("--implementation", "cp", "--abi", f"cp{python.replace('.', '')}"),
        *("--abi", "abi3", "--abi", "none"),
        *(word for tag in target.platforms for word in ("--platform", tag)),
    ]


def _fetch(command: Sequence[str], pins: str, into: Path) -> None:
    wanted = into / "requirements.txt"
    wanted.write_text(pins, "utf-8")
    argv = [
        sys.executable,
        "-m",
        "pip",
        *command,
        "--dest",
        str(into),
        "--requirement",
        str(wanted),
    ]
    done = call(argv, TIMEOUT_S)
    if done.returncode:
        tail = "\n".join(done.stderr.splitlines()[-3:])
        raise DeviceError(f"pip could not fetch the wheels of a device:\n{tail}")


def unpack(wheel: Path, target: Target, into: Path) -> None:
    """Put a wheel's files into a folder of packages.

    Raises:
        DeviceError: a path in it leads elsewhere.
    """
    name = canonicalize_name(wheel.name.split("-")[0])
    is_pure = target.arch in HAS_PURE_HALF.get(name, ())
    with zipfile.ZipFile(wheel) as archive:
        for entry in sorted(archive.namelist()):
            path = PurePosixPath(entry)
            if path.is_absolute() or ".." in path.parts:
                raise DeviceError(f"{wheel}: expected files below it, got {entry!a}")
            if not entry.endswith("/") and _is_shipped(path, is_pure=is_pure):
                file = into / path
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(archive.read(entry))


def _is_shipped(path: PurePosixPath, *, is_pure: bool) -> bool:
    if ".dist-info" in path.parts[0]:
        return path.name not in _DROPPED
    is_source = (
        path.suffix in {".c", ".h", ".pyx", ".pxd", ".pyi", ".sh"} or path.name == ".gitignore"
    )
    return not is_source and not (is_pure and path.suffix == ".so")
