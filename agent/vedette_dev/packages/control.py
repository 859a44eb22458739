"""What dpkg reads of a package: control fields, changelog, copyright, checksums, scripts."""

from __future__ import annotations

import gzip
import hashlib
import shutil
import textwrap
import time
from collections.abc import Sequence
from email import message_from_bytes
from pathlib import Path
from typing import Final

from vedette_dev.packages.target import Target
from vedette_dev.packages.tree import CONFIGURATION, DOCUMENTS, packages_folder

MAINTAINER: Final = "Vedette maintainers <maintainers@vedette.example.org>"
SCRIPTS: Final = ("postinst", "prerm", "postrm")

_APACHE: Final = "Version 2.0, January 2004"
"""In the text that Debian has in one place for all."""

_OURS: Final = """\
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: Vedette

Files: *
Copyright: Vedette's contributors
License: Apache-2.0
 On Debian systems: /usr/share/common-licenses/Apache-2.0."""

_DESCRIPTION: Final = """\
Description: on-device security agent for Linux IoT devices
 Watches processes, files, connections and the kernel of a router or camera,
 matches what it sees against signed Sigma rules, contains attacks by signed
 playbooks, sends signed incidents over MQTT, and applies signed releases of
 rules, firmware and models.
 .
 After the installation: vedette doctor says what this device lets it see.
"""


def version_of(agent: str, target: Target) -> str:
    """A package's version: the agent's, below it for each suite, so that upgrades go on."""
    return f"{agent}~deb{target.release.number}"


def write(root: Path, repository: Path, target: Target, version: str, epoch_s: int) -> None:
    """Add what dpkg reads to a laid-out package.

    Args:
        version: as `version_of` gives it.
        epoch_s: the time of the package, Unix seconds.
    """
    documents = root / DOCUMENTS
    documents.mkdir(parents=True, exist_ok=True)
    (documents / "changelog.gz").write_bytes(_changelog(target, version, epoch_s))
    (documents / "copyright").write_text(_copyright(root, target), "utf-8")
    (documents / "changelog.gz").chmod(0o644)
    (documents / "copyright").chmod(0o644)
    debian = root / "DEBIAN"
    sums, size_kb = _sums(root)
    debian.mkdir()
    debian.chmod(0o755)  # whatever the umask
    files = {
        "control": _control(target, version, size_kb),
        "conffiles": f"/{CONFIGURATION}\n",
        "md5sums": sums,
    }
    for name, text in files.items():
        (debian / name).write_text(text, "utf-8")
        (debian / name).chmod(0o644)
    for name in SCRIPTS:
        shutil.copyfile(repository / "packaging/debian" / name, debian / name)
        (debian / name).chmod(0o755)


def _control(target: Target, version: str, size_kb: int) -> str:
    fields = {
        "Package": "vedette",
        "Version": version,
        "Architecture": target.arch,
        "Maintainer": MAINTAINER,
        "Installed-Size": str(size_kb),
        "Depends": ", ".join(_depends(target)),
        "Recommends": "ca-certificates",
        "Section": "admin",
        "Priority": "optional",
    }
    return "".join(f"{name}: {value}\n" for name, value in fields.items()) + _DESCRIPTION


def _depends(target: Target) -> list[str]:
    major, minor = target.release.python.split(".")
    found = [
        f"python3 (>= {target.release.python})",
        f"python3 (<< {major}.{int(minor) + 1})",
        "python3-psutil",
        f"libc6 (>= 2.{target.release.glibc})",
        "systemd (>= 252)",
    ]
    if target.architecture.has_btf:
        found.append("libbpf1")
    if target.arch == "armhf":
        found.append("python3-cffi-backend")
    return sorted(found)


def _changelog(target: Target, version: str, epoch_s: int) -> bytes:
    date = time.strftime("%a, %d %b %Y %H:%M:%S +0000", time.gmtime(epoch_s))
    text = (
        f"vedette ({version}) {target.suite}; urgency=medium\n\n"
        f"  * What is new: /usr/share/doc/vedette/CHANGES.md.gz.\n\n -- {MAINTAINER}  {date}\n"
    )
    return gzip.compress(text.encode(), 9, mtime=0)


def _sums(root: Path) -> tuple[str, int]:
    """The lines of md5sums (dpkg asks for MD5, deb-md5sums(5)) and the size as dpkg counts it."""
    lines, size_kb = [], 0
    for path in sorted(root.rglob("*")):
        if path.is_symlink() or path.is_dir():
            size_kb += 1
            continue
        data = path.read_bytes()
        size_kb += (len(data) + 1023) // 1024
        place = path.relative_to(root).as_posix()
        if place != CONFIGURATION:
            lines.append(f"{hashlib.md5(data, usedforsecurity=False).hexdigest()}  {place}\n")
    return "".join(lines), size_kb


def _copyright(root: Path, target: Target) -> str:
    """Machine-readable copyright (Debian's format 1.0): ours, and that of each wheel."""
    paragraphs = [_OURS]
    folder = root / packages_folder(target)
    paragraphs += [_paragraph(path, root) for path in sorted(folder.glob("*.dist-info"))]
    return "\n\n".join(paragraphs) + "\n"


def _paragraph(information: Path, root: Path) -> str:
    told = message_from_bytes((information / "METADATA").read_bytes())
    authors = told["Author"] or told["Author-email"] or "its contributors"
    terms = told["License-Expression"] or told["License"] or "as below"
    place = information.parent.relative_to(root).as_posix()
    name = information.name.split("-")[0]
    texts = "\n\n".join(map(_text, _licences(information)))
    return (
        f"Files: {place}/{name}*\nCopyright: {' '.join(authors.split())}\nLicense: {terms}\n"
        + _indented(texts)
    )


def _licences(information: Path) -> Sequence[Path]:
    names = ("licen", "copying", "edl", "epl", "notice")
    found = information.rglob("*")
    return sorted(path for path in found if path.is_file() and path.name.lower().startswith(names))


def _text(file: Path) -> str:
    text = file.read_text("utf-8", "replace")
    if _APACHE in text:
        return "On Debian systems: /usr/share/common-licenses/Apache-2.0."
    return text


def _indented(text: str) -> str:
    lines = (line.rstrip() or "." for line in text.strip().splitlines())
    return textwrap.indent("\n".join(lines), " ")
