"""Yocto's recipe, as far as it can be tried without bitbake.

Its shell functions run on the real archive with the variables that bitbake would have set, and what
they install is compared with the .deb. No bitbake has built it, as packaging/yocto/README.md says.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.packages._firmware import agent_modules, files, files_of_the_deb, unpacked

LAYER = Path(__file__).parents[2] / "packaging/yocto/meta-vedette"
REPOSITORY = LAYER.parents[2]
(RECIPE,) = LAYER.glob("recipes-*/*/*.bb")
CLASS = LAYER / "classes/vedette_site_packages.bbclass"

VARIABLES = {
    "PN": "vedette",
    "nonarch_libdir": "/usr/lib",
    "bindir": "/usr/bin",
    "sysconfdir": "/etc",
    "systemd_unitdir": "/usr/lib/systemd",
    "systemd_system_unitdir": "/usr/lib/systemd/system",
    "PYTHON_DIR": "python3.11",
    "PYTHON_BASEVERSION": "3.11",
    "PYTHON": sys.executable,
}
"""As OpenEmbedded-Core's bitbake.conf and classes set them, with merged /usr."""


def assigned(text: str) -> dict[str, str]:
    """The variables that a recipe or class sets, their line breaks taken out."""
    joined = text.replace("\\\n", " ")
    found = re.findall(r'^([A-Za-z_:${}\[\]]+) \??\+?= "([^"]*)"$', joined, re.MULTILINE)
    return {name.replace(":${PN}", ""): " ".join(value.split()) for name, value in found}


def functions(text: str) -> str:
    return "\n".join(re.findall(r"^[a-z_]+\(\) \{\n.*?^\}$", text, re.MULTILINE | re.DOTALL))


RECIPE_TEXT, CLASS_TEXT = RECIPE.read_text(), CLASS.read_text()
SET = {**assigned(CLASS_TEXT), **assigned(RECIPE_TEXT)}


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What do_install leaves."""
    work = tmp_path_factory.mktemp("yocto")
    source, root = unpacked(work / "source"), work / "image"
    known = {**VARIABLES, "S": str(source), "D": str(root)}
    for name in ("VEDETTE_HOME", "VEDETTE_PACKAGES", "VEDETTE_AGENT", "VEDETTE_CARRIED"):
        known[name] = re.sub(r"\$\{(\w+)\}", lambda found: known[found[1]], SET[name])
    script = f"{functions(CLASS_TEXT)}\n{functions(RECIPE_TEXT)}\ndo_install\n"
    done = subprocess.run(
        ["sh", "-euc", script], env={**known, "PATH": os.environ["PATH"]}, cwd=work,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return root


def test_it_holds_what_the_deb_holds(image: Path, tmp_path: Path) -> None:
    theirs, ours = files_of_the_deb(tmp_path), files(image)
    assert agent_modules(ours) == agent_modules(theirs)
    debians = ("usr/share/", "usr/lib/sysusers.d/", "usr/lib/vedette/build")
    rest = {
        path for path in theirs
        if "site-packages" not in path and not path.startswith(debians)
    }  # fmt: skip
    assert {path for path in ours if "site-packages" not in path} == rest


def test_programs_may_be_run_and_nothing_else(image: Path) -> None:
    programs = {"usr/bin/vedette", "usr/lib/systemd/system-generators/vedette"}
    for path in files(image):
        if "site-packages" not in path and not (image / path).is_symlink():
            is_program = bool((image / path).stat().st_mode & 0o111)
            assert is_program == (path in programs), path


def test_bytecode_says_where_it_lies_on_the_device(image: Path) -> None:
    (module,) = image.glob("usr/lib/vedette/lib/*/site-packages/vedette/__pycache__/errors.*.pyc")
    data = module.read_bytes()
    assert str(image).encode() not in data
    assert b"/usr/lib/vedette/lib/python3.11/site-packages/vedette/errors.py" in data


def test_everything_installed_is_packaged() -> None:
    assert SET["FILES"].split() == ["${systemd_unitdir}", "${nonarch_libdir}/tmpfiles.d"]
    assert assigned(CLASS_TEXT)["FILES"] == "${VEDETTE_HOME}"
    assert SET["CONFFILES"] == "${sysconfdir}/vedette/vedette.toml"


def test_its_users_are_those_of_the_deb() -> None:
    lines = (REPOSITORY / "packaging/systemd/sysusers.conf").read_text().splitlines()
    users = {line.split()[1] for line in lines if line.startswith("u ")}
    assert {words.split()[-1] for words in SET["USERADD_PARAM"].split(";")} == users
    assert {words.split()[-1] for words in SET["GROUPADD_PARAM"].split(";")} == users


def test_its_unit_and_its_licence_are_there() -> None:
    assert (REPOSITORY / "packaging/systemd" / SET["SYSTEMD_SERVICE"]).is_file()
    licence = hashlib.md5((REPOSITORY / "LICENSE").read_bytes(), usedforsecurity=False)
    assert SET["LIC_FILES_CHKSUM"] == f"file://LICENSE;md5={licence.hexdigest()}"
    assert SET["LICENSE"] == "Apache-2.0"


def test_a_parser_of_recipes_reads_it() -> None:
    parser = pytest.importorskip("oelint_parser.cls_stash", reason="pip install oelint-parser")
    items = pytest.importorskip("oelint_parser.cls_item")
    stash = parser.Stash()
    stash.AddFile(str(RECIPE))
    stash.AddFile(str(CLASS))
    stash.Finalize()
    found = {item.VarName for item in stash.GetItemsFor(classifier=items.Variable.CLASSIFIER)}
    assert {"SUMMARY", "SRC_URI", "SYSTEMD_SERVICE", "RDEPENDS", "VEDETTE_PACKAGES"} <= found
    named = {item.FuncName for item in stash.GetItemsFor(classifier=items.Function.CLASSIFIER)}
    assert {"do_install", "vedette_site_packages_install"} <= named


def test_a_linter_of_recipes_finds_no_error() -> None:
    pytest.importorskip("oelint_adv", reason="pip install oelint-adv")
    done = subprocess.run(
        [sys.executable, "-m", "oelint_adv", "--release", "scarthgap", "--quiet",
         "--suppress", "oelint.vars.homepageping", "--", RECIPE, CLASS],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    found = done.stdout + done.stderr
    assert re.findall(r"^.*:(?:error|warning):.*$", found, re.MULTILINE) == []
    assert "Traceback" not in found
