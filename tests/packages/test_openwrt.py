"""OpenWrt's package, as far as it can be tried without OpenWrt.

make reads the Makefile with stand-ins for the build system, and its install recipe runs on the
real archive; the init script runs beside a procd that writes down what it is told. Nobody has built
it with the real build system: packaging/openwrt/README.md says so too.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.packages._firmware import agent_modules, files, files_of_the_deb, unpacked

from vedette.daemon import config as configuration

OPENWRT = Path(__file__).parents[2] / "packaging/openwrt"
INIT = OPENWRT / "files/vedette.init"

RULES = """
INSTALL_DIR := install -d -m0755
INSTALL_BIN := install -m0755
INSTALL_DATA := install -m0644
CP := cp -fpR
LN := ln -sf
DL_DIR := /nowhere
INCLUDE_DIR := $(TOPDIR)/include
"""
PACKAGE = """
define BuildPackage
install:
	$(call Package/$(1)/install,$(DESTDIR))
show-depends:
	@echo "$(call Package/$(1))"
endef
"""
PYTHON = f"""
PYTHON3_VERSION := {sys.version_info.major}.{sys.version_info.minor}
define Python3/CompileAll
	{sys.executable} -m compileall -q -b -d / $(1)
endef
define Python3/DeleteSourceFiles
	find $(1) -type f -name '*.py' -delete
endef
"""
"""What OpenWrt's own files of these names do, as far as ours asks for it."""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package's files below a root, by its own install recipe."""
    top = tmp_path_factory.mktemp("openwrt")
    for name, text in (
        ("rules.mk", RULES),
        ("include/package.mk", PACKAGE),
        ("feeds/packages/lang/python/python3-package.mk", PYTHON),
    ):
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_text(text)
    source, root = unpacked(top / "build"), top / "root"
    done = subprocess.run(
        ["make", "-f", OPENWRT / "Makefile", "install", f"TOPDIR={top}",
         f"PKG_BUILD_DIR={source}", f"DESTDIR={root}"],
        capture_output=True, text=True, check=False, cwd=top,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return root


def test_it_holds_what_the_deb_holds(installed: Path, tmp_path: Path) -> None:
    theirs, ours = files_of_the_deb(tmp_path), files(installed)
    assert agent_modules(ours) == agent_modules(theirs)
    # Of the rest of the .deb, OpenWrt has what is not Debian's or systemd's.
    shared = {"usr/bin/vedette", "etc/vedette/vedette.toml", "usr/lib/vedette/pyvenv.cfg",
              "usr/lib/vedette/bin/python3"}  # fmt: skip
    assert shared <= theirs
    own = {"etc/init.d/vedette", "lib/upgrade/keep.d/vedette", "usr/lib/vedette/await-update"}
    assert {path for path in ours if "site-packages" not in path} == shared | own


def test_its_configuration_keeps_things_where_they_last(installed: Path) -> None:
    path = installed / "etc/vedette/vedette.toml"
    found = configuration.parse(path.read_text(), str(path))
    assert found.paths.state == "/srv/vedette/state"
    assert found.models.folder == "/srv/vedette/models"
    assert found.identity.key == "/srv/vedette/state/identity.key"
    assert found.paths.run == "/var/run/vedette"
    assert "/var/lib/vedette" not in path.read_text()
    keep = (installed / "lib/upgrade/keep.d/vedette").read_text().split()
    assert any(found.paths.state.startswith(kept) for kept in keep)


def test_without_its_sources_the_agent_still_runs(installed: Path) -> None:
    (packages,) = installed.glob("usr/lib/vedette/lib/python3.*/site-packages")
    assert not list(packages.rglob("*.py"))
    done = subprocess.run(
        [sys.executable, "-m", "vedette.cli", "units", "--print",
         "--config", str(installed / "etc/vedette/vedette.toml")],
        env={"PYTHONPATH": str(packages), "PATH": os.environ["PATH"]}, cwd="/",
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "CAP_AUDIT_CONTROL" in done.stdout


SHELL_FILES = [INIT, OPENWRT / "files/await-update"]


@pytest.mark.parametrize("script", SHELL_FILES, ids=lambda path: path.name)
def test_scripts_are_clean(script: Path) -> None:
    subprocess.run(["sh", "-n", script], check=True)
    if shutil.which("shellcheck") is None:
        pytest.skip("shellcheck is not installed: apt-get install shellcheck")
    subprocess.run(["shellcheck", "-s", "dash", script], check=True)


RECORDER = """
for name in procd_open_instance procd_close_instance procd_set_param procd_send_signal; do
    eval "$name() { printf '%s' $name; printf ' %s' \\"\\$@\\"; echo; }"
done
"""


def procd(function: str, folder: Path, wanted: str, *, code: int = 0) -> list[str]:
    """What the init script tells procd, with a `vedette` that answers for the configuration."""
    vedette = folder / "vedette"
    vedette.write_text(f'#!/bin/sh\necho "$@" >> {folder}/asked\necho "{wanted}"\nexit {code}\n')
    vedette.chmod(0o755)
    text = f'. "{INIT}"\nPROG={vedette}\nMACHINE_ID={folder}/machine-id\n{RECORDER}\n{function}\n'
    done = subprocess.run(["sh", "-euc", text], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [line.strip().replace(str(vedette), "vedette") for line in done.stdout.splitlines()]


def commands(told: list[str]) -> dict[str, str]:
    """The command of each instance."""
    found, name = {}, ""
    for line in told:
        words = line.split(" ", 2)
        if words[0] == "procd_open_instance":
            name = words[1]
        elif words[:2] == ["procd_set_param", "command"]:
            found[name] = words[2]
    return found


ALL = "Wants=vedette-uplink.service\nWants=vedette-update.path"


def test_each_part_is_an_instance_that_is_started_again(tmp_path: Path) -> None:
    told = procd("start_service", tmp_path, ALL)
    assert commands(told) == {
        "sentinel": "vedette sentinel",
        "uplink": "vedette uplink",
        "updates": "/usr/lib/vedette/await-update",
    }
    assert told.count("procd_set_param respawn 3600 5 0") == 3
    assert told.count("procd_set_param limits core=0") == 3
    assert told.count("procd_close_instance") == 3
    assert (tmp_path / "asked").read_text() == "units --print\n"


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [("", {"sentinel"}), ("Wants=vedette-uplink.service", {"sentinel", "uplink"}),
     ("Wants=vedette-update.path", {"sentinel", "updates"})],
)  # fmt: skip
def test_only_parts_that_the_configuration_wants_are_started(
    tmp_path: Path, wanted: str, expected: set[str]
) -> None:
    assert commands(procd("start_service", tmp_path, wanted)).keys() == expected


def test_with_a_mistake_in_the_configuration_the_sentinel_says_so(tmp_path: Path) -> None:
    assert commands(procd("start_service", tmp_path, ALL, code=2)).keys() == {"sentinel"}


def test_a_device_gets_a_machine_id_once(tmp_path: Path) -> None:
    procd("start_service", tmp_path, "")
    first = (tmp_path / "machine-id").read_text()
    assert len(first) == 32
    assert set(first) <= set("0123456789abcdef")
    procd("start_service", tmp_path, "")
    assert (tmp_path / "machine-id").read_text() == first


def test_a_reload_reaches_the_sentinel_and_a_stop_restores_the_kernel(tmp_path: Path) -> None:
    assert procd("reload_service", tmp_path, "") == ["procd_send_signal vedette sentinel HUP"]
    procd("service_stopped", tmp_path, "")
    assert (tmp_path / "asked").read_text() == "restore\n"


def test_it_waits_for_a_request_and_begins_an_update(tmp_path: Path) -> None:
    script = (OPENWRT / "files/await-update").read_text()
    request = tmp_path / "update.request"
    request.touch()
    fake = tmp_path / "vedette"
    fake.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/ran\nrm {request}\nkill $PPID\n')
    fake.chmod(0o755)
    subprocess.run(
        ["sh", "-c", script.replace("/usr/bin/vedette", str(fake)), "await-update", request],
        check=False, timeout=30, capture_output=True,
    )  # fmt: skip
    assert (tmp_path / "ran").read_text() == "update run --by-request\n"
