"""The image of `make docker-test`: Debian 12 of packages, made here, from no registry.

Rule: an image's tag is the digest of all that decides what is in it; it is built once.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from vedette.errors import DeviceError
from vedette_dev import base_root, cache
from vedette_dev.cache import REPOSITORY
from vedette_dev.docker.client import Docker
from vedette_dev.images import debian, product, root, tools
from vedette_dev.images.inputs import digest

NAME = "vedette-devices"
FOLDER = REPOSITORY / "qemu-images/docker"
SETUP = REPOSITORY / "agent/vedette_dev/setup.sh"
AUTHORITIES = Path("/usr/local/share/ca-certificates")
"""Those that this machine trusts beside Debian's: a company's proxy has one."""
BUILD_S = 1800.0
_TAR = "root.tar"


def built(docker: Docker, log: Path, say: Callable[[str], None]) -> str:
    """The tag of the image, built when something that goes into it has changed.

    Raises:
        DeviceError: it cannot be built here.
    """
    packages = product.lines("docker/packages.txt")
    lines = debian.sources(has_security=True)
    authorities = sorted(AUTHORITIES.glob("*.crt"))
    inputs = digest(FOLDER, SETUP, *lines, *authorities)
    tag = f"{NAME}:{inputs.hex()[:24]}"
    if docker.ask("images", "--quiet", tag):
        return tag
    tar = _root(packages, lines, log, say)
    say(f"container {tag}: qemu and what else builds and boots devices (minutes, once)")
    with tempfile.TemporaryDirectory(prefix="docker-", dir=cache.root()) as folder:
        context = Path(folder)
        os.link(tar, context / _TAR)
        shutil.copy(SETUP, context)
        (context / "authorities").mkdir()
        for authority in authorities:
            shutil.copy(authority, context / "authorities")
        build(docker, FOLDER / "Dockerfile", context, tag, log)
    return tag


def build(docker: Docker, dockerfile: Path, context: Path, tag: str, log: Path) -> None:
    """Build an image by the builder that every docker has.

    Raises:
        DeviceError: it cannot be built.
    """
    tools.run(
        [docker.program, "build", "--quiet", "--force-rm", f"--network={docker.network}",
         f"--tag={tag}", f"--file={dockerfile}", context],
        log, timeout_s=BUILD_S, environment={"DOCKER_BUILDKIT": "0"},
    )  # fmt: skip


def _root(packages: list[str], lines: list[str], log: Path, say: Callable[[str], None]) -> Path:
    if why_not := base_root.refusal(is_packed=True):
        raise DeviceError(f"the container's root cannot be made: {why_not}")

    def make(folder: Path) -> None:
        say("container a root of Debian 12 with mmdebstrap (minutes, once)")
        tools.run(
            [*base_root.mmdebstrap(), "--variant=minbase", f"--include={','.join(packages)}",
             '--aptopt=Apt::Install-Recommends "false"',
             *(f"--dpkgopt=path-exclude={pattern}" for pattern in root.LEFT_OUT),
             "--skip=cleanup/apt/lists",  # no network is needed to know where packages come from
             debian.SUITE, folder / _TAR, *lines],
            log, timeout_s=root.TIMEOUT_S, environment={"TMPDIR": str(folder)},
        )  # fmt: skip

    inputs = digest(*packages, *root.LEFT_OUT, *lines)
    try:
        return cache.cached("container-root", inputs, make) / _TAR
    except OSError as error:
        raise DeviceError(f"{error.filename or cache.root()}: {error.strerror}") from error
