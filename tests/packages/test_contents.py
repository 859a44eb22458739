"""What is in the packages, for every architecture and suite: built here, without their machines."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest

import vedette
from vedette.errors import DeviceError, RequestError
from vedette_dev.cache import REPOSITORY
from vedette_dev.packages import control, deb, tree, wheels
from vedette_dev.packages.target import ARCHITECTURES, SUITES, Target, target

TARGETS = [Target(arch, suite) for suite in SUITES for arch in ARCHITECTURES]
MACHINES = {"amd64": 62, "arm64": 183, "armhf": 40}
"""Of an ELF file, by e_machine (elf(5))."""
BPF_MACHINE = 247

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module", params=TARGETS, ids=lambda one: f"{one.suite}-{one.arch}")
def laid(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Target, Path]:
    """The files of one package."""
    wanted: Target = request.param
    root = tmp_path_factory.mktemp(f"{wanted.suite}-{wanted.arch}")
    try:
        archives = wheels.fetched(REPOSITORY, wanted)
    except DeviceError as error:
        pytest.skip(str(error))
    tree.lay(root, REPOSITORY, wanted, archives)
    return wanted, root


def test_every_program_in_it_is_for_its_machine(laid: tuple[Target, Path]) -> None:
    wanted, root = laid
    found = {path: _machine(path) for path in root.rglob("*") if path.is_file()}
    programs = {
        path: machine for path, machine in found.items() if machine and machine != BPF_MACHINE
    }
    assert any(path.name.startswith("_rust") for path in programs), "cryptography has one"
    assert set(programs.values()) == {MACHINES[wanted.arch]}


def test_ebpf_is_there_where_kernels_take_it(laid: tuple[Target, Path]) -> None:
    wanted, root = laid
    if wanted.architecture.has_btf and not (REPOSITORY / deb.OBJECT).exists():
        pytest.skip("the object is not compiled: make ebpf")
    objects = [path.name for path in root.rglob("*.o")]
    assert objects == (["watch.bpf.o"] if wanted.architecture.has_btf else [])


def test_nothing_of_the_operator_or_the_workbench_is_in_it(laid: tuple[Target, Path]) -> None:
    wanted, root = laid
    packages = {path.name for path in (root / tree.packages_folder(wanted)).iterdir()}
    expected = {"cryptography", "inotify_simple.py", "msgpack", "paho", "psutil", "tuf", "urllib3"}
    assert packages >= {"vedette", "securesystemslib", *expected}
    for unwanted in ("sigma", "yaml", "re2", "vedette_dev", "tests", "pip", "pycparser", "onnx"):
        assert unwanted not in packages
    suffixes = {path.suffix for path in root.rglob("*") if path.is_file()}
    assert not suffixes & {".c", ".h", ".pyc", ".pyx", ".key", ".pem"}


def test_what_has_no_wheel_is_debians_or_pure(laid: tuple[Target, Path]) -> None:
    wanted, root = laid
    packages = root / tree.packages_folder(wanted)
    link = packages / "psutil"
    assert os.path.normpath(link.parent / link.readlink()) == f"{root}/{tree.DEBIANS}/psutil"
    backend = next(packages.glob("_cffi_backend*.so"))
    assert backend.is_symlink() == (wanted.arch == "armhf")
    extension = list((packages / "msgpack").glob("*.so"))
    assert bool(extension) == (wanted.arch != "armhf")
    assert (packages / "msgpack/fallback.py").exists()


def test_every_distribution_says_its_version_and_licence(laid: tuple[Target, Path]) -> None:
    wanted, root = laid
    informations = list((root / tree.packages_folder(wanted)).glob("*.dist-info"))
    assert len(informations) >= 7
    for information in informations:
        assert (information / "METADATA").exists()
        files = [str(path.relative_to(information)).lower() for path in information.rglob("*")]
        assert any("licen" in name or "copying" in name for name in files), information


def test_two_builds_are_equal_bit_for_bit(tmp_path: Path) -> None:
    wanted = Target("armhf", "bookworm")  # needs no eBPF object, so it is built everywhere
    try:
        wheels.fetched(REPOSITORY, wanted)
    except DeviceError as error:
        pytest.skip(str(error))
    built = []
    for name, mask in (("one", 0o022), ("two", 0o077)):
        before = os.umask(mask)
        try:
            built.append(deb.build(REPOSITORY, wanted, tmp_path / name, say=lambda _: None))
        finally:
            os.umask(before)
    assert built[0].read_bytes() == built[1].read_bytes()
    assert built[0].name == f"vedette_{vedette.__version__}~deb12_armhf.deb"
    _lint(built[0])


def _lint(package: Path) -> None:
    program = shutil.which("lintian")
    if program is None:
        return  # the build is tested all the same; setup.sh installs it where it may
    said = subprocess.run(
        [program, "--allow-root", "--fail-on", "error", str(package)],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert said.returncode == 0, said.stdout + said.stderr


@pytest.mark.parametrize(("arch", "suite"), [("mips", "bookworm"), ("amd64", "buster")])
def test_a_target_that_is_none_is_told_with_those_there_are(arch: str, suite: str) -> None:
    with pytest.raises(RequestError, match=r"expected one of .*(arm64|trixie)"):
        target(arch, suite)


def test_versions_rise_with_debian_and_stay_below_a_later_release() -> None:
    order = ["0.1.0~deb12", "0.1.0~deb13", "0.1.0", "0.1.1~deb12"]
    assert order[:2] == [control.version_of("0.1.0", Target("amd64", one)) for one in SUITES]
    if shutil.which("dpkg") is None:
        pytest.skip("dpkg compares them")
    for lower, higher in pairwise(order):
        subprocess.run(["dpkg", "--compare-versions", lower, "lt", higher], check=True)


def test_every_pin_of_a_device_has_a_hash() -> None:
    pins = wheels.pinned((REPOSITORY / "requirements.txt").read_text())
    for wanted in TARGETS:
        for name in wheels.needed(REPOSITORY / "pyproject.toml", wanted.markers):
            assert re.search(r"--hash=sha256:[0-9a-f]{64}", pins[name]), name


def _machine(path: Path) -> int:
    with path.open("rb") as file:
        head = file.read(20)
    if path.is_symlink() or head[:4] != b"\x7fELF":
        return 0
    return int.from_bytes(head[18:20], "little" if head[5] == 1 else "big")
