"""Where this machine gets packages of Debian from, for any architecture; no host is named here.

Rule 1: the sources are those of this machine's apt(8), read when they are needed.
Rule 2: foreign packages are fetched by an apt with a state of its own: the machine's own lists and
its foreign architectures stay as they are.
"""

from __future__ import annotations

import re
from pathlib import Path

from vedette.errors import DeviceError
from vedette_dev.calls import call
from vedette_dev.images import tools

SUITE = "bookworm"
ASK_S = 60.0
_KEYS = "/usr/share/keyrings/debian-archive-keyring.gpg"
_ASK = ["apt-get", "indextargets", "--format", "$(REPO_URI)|$(LABEL)", "Created-By: Packages"]
_KERNEL = re.compile(r"^Depends: (?:.*, )?(linux-image-[0-9][^ ,]*)", re.MULTILINE)
_OPTIONS = """\
APT::Architecture "{arch}"; APT::Architectures {{ "{arch}"; }}; APT::Sandbox::User "root";
Dir::State "{folder}"; Dir::State::lists "lists"; Dir::State::status "{folder}/status";
Dir::Cache "{folder}/cache"; Dir::Etc "{folder}"; Dir::Etc::sourcelist "sources.list";
Dir::Etc::sourceparts "{folder}/none"; Dir::Etc::parts "{folder}/none";
Dir::Etc::preferencesparts "{folder}/none"; Acquire::Languages "none";
"""


def sources(*, has_security: bool) -> list[str]:
    """Lines of a sources.list(5) for Debian 12.

    Raises:
        DeviceError: this machine has no package sources of Debian, or does not say them in time.
    """
    said = call(_ASK, ASK_S)
    pairs = dict.fromkeys(tuple(line.split("|")) for line in said.stdout.splitlines())
    main = next((uri for uri, label in pairs if label == "Debian"), None)
    security = next((uri for uri, label in pairs if label == "Debian-Security"), None)
    if main is None:
        raise DeviceError(
            "no package sources of Debian: /etc/apt needs one, and `apt-get update` must have run"
        )
    lines = [f"deb [signed-by={_KEYS}] {main} {SUITE} main"]
    if has_security and security is not None:
        lines.append(f"deb [signed-by={_KEYS}] {security} {SUITE}-security main")
    return lines


def fetch_kernel(meta_package: str, arch: str, lines: list[str], folder: Path, log: Path) -> Path:
    """Unpack the kernel that a meta-package stands for, below `folder`.

    Returns:
        The tree of the package.

    Raises:
        DeviceError: it cannot be fetched.
    """
    apt = folder / "apt"
    for name in ("lists/partial", "cache/archives/partial", "none"):
        (apt / name).mkdir(parents=True)
    (apt / "status").touch()
    (apt / "sources.list").write_text("\n".join(lines) + "\n")
    (apt / "conf").write_text(_OPTIONS.format(arch=arch, folder=apt))
    environment = {"APT_CONFIG": str(apt / "conf")}
    tools.run(["apt-get", "update"], log, environment=environment)
    shown = apt / "shown.txt"
    tools.run(["apt-cache", "show", "--no-all-versions", meta_package], shown,
              environment=environment)  # fmt: skip
    found = _KERNEL.search(shown.read_text("utf-8", "replace"))
    if found is None:
        raise DeviceError(f"{meta_package}: expected a package that depends on a kernel")
    tools.run(["apt-get", "download", found.group(1)], log, environment=environment,
              working_folder=apt)  # fmt: skip
    package = next(apt.glob("linux-image-*.deb"))
    tree = folder / "kernel"
    tools.run(["dpkg-deb", "-x", package, tree], log)
    return tree
