"""The package of this machine's own architecture and suite, and a machine it is installed on."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.packages._container import container
from tests.packages._device import Device
from tests.packages._machine import Machine, machine

from vedette.errors import DeviceError
from vedette_dev import base_root
from vedette_dev.cache import REPOSITORY
from vedette_dev.packages import deb
from vedette_dev.packages.target import SUITES, Target

OLD = "902e0c783ffd0b5505e8e374e1db63d8f1670363"
"""The last commit before bundles of rules had format 2."""


@pytest.fixture(scope="session")
def native() -> Target:
    """What this machine can install and run."""
    suite = base_root.suite()
    if os.uname().machine != "x86_64" or suite not in SUITES:
        pytest.skip("the packages are installed on Debian 12 or 13, x86-64")
    return Target("amd64", suite)


@pytest.fixture(scope="session")
def package(native: Target, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package of this checkout."""
    return _built(native, tmp_path_factory.mktemp("deb"))


@pytest.fixture(scope="session")
def newer(native: Target, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with a higher version."""
    return _built(native, tmp_path_factory.mktemp("newer"), "9.9.9")


@pytest.fixture(scope="session")
def old_source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """This checkout with the agent of `OLD`, and today's packaging."""
    made = tmp_path_factory.mktemp("old")
    archive = subprocess.run(
        ["git", "-C", REPOSITORY, "archive", OLD, "agent", "rules"],
        capture_output=True,
        check=False,
    )
    if archive.returncode:
        pytest.skip(f"commit {OLD[:12]}, whose state is upgraded, is not in this clone")
    subprocess.run(["tar", "-C", made, "-x"], input=archive.stdout, check=True)
    for name in ("packaging", "pyproject.toml", "requirements.txt", "CHANGELOG.md"):
        (made / name).symlink_to(REPOSITORY / name)
    kernel_programs = REPOSITORY / deb.OBJECT
    if kernel_programs.exists():
        (made / deb.OBJECT).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(kernel_programs, made / deb.OBJECT)
    return made


@pytest.fixture(scope="session")
def old_package(native: Target, old_source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package of that agent."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOURCE_DATE_EPOCH", "1")  # it is no clone
        return _built(native, tmp_path_factory.mktemp("old-deb"), "0.0.1", old_source)


@pytest.fixture(scope="module")
def bare(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A machine without Vedette, which is shown the package."""
    folder = tmp_path_factory.mktemp("machine")
    packages = folder / "packages"
    packages.mkdir()
    shutil.copy(package, packages)
    # Without the kernel's lock: processes, network and file systems are its own, and Device leaves
    # out the sources of which a kernel has only one.
    boot = container if os.environ.get("VEDETTE_MACHINE") == "docker" else machine
    with boot(folder, packages) as running:
        yield running


@pytest.fixture(scope="module")
def device(bare: Machine, package: Path, tmp_path_factory: pytest.TempPathFactory) -> Device:
    """A machine whose agent watches and reports to a broker beside it."""
    made = Device(bare, tmp_path_factory.mktemp("keys"))
    made.provision()
    made.start_broker()
    made.install(package)
    made.await_watching()
    return made


def _built(target: Target, into: Path, version: str = "", repository: Path = REPOSITORY) -> Path:
    try:
        return deb.build(repository, target, into, version=version, say=lambda _: None)
    except DeviceError as error:
        pytest.skip(str(error))
