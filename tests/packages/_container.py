"""The throwaway Debian of `_machine` in a container: for who has docker, and is not root here.

Rule: it has the same root, the same masked units and no network; it is removed when it ends.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.packages._machine import MASKED, Machine, await_up, base

from vedette_dev import base_root
from vedette_dev.docker import Docker, Settings, connected
from vedette_dev.docker.image import build
from vedette_dev.images.inputs import digest

HERE = Path(__file__).parent
NAME = "vedette-machine"
SYSTEMD = (
    "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "SETFCAP", "SETGID", "SETPCAP",
    "SETUID", "SYS_ADMIN", "SYS_CHROOT",
)  # fmt: skip
"""systemd mounts: its own file systems, and a view of its own for every unit with a sandbox."""
AGENT = ("DAC_READ_SEARCH", "NET_ADMIN", "NET_RAW", "SYS_NICE", "SYS_PTRACE")
"""What vedette.service and vedette-uplink.service keep, in a network and processes of their own."""
OPTIONS = (
    "--network=none", "--cgroupns=private",
    "--tmpfs=/run:exec", "--tmpfs=/run/lock", "--tmpfs=/tmp",
    # docker's filter of system calls refuses fanotify_init(2) and keyrings, its profile all mounts.
    "--security-opt=seccomp=unconfined", "--security-opt=apparmor=unconfined",
)  # fmt: skip


@contextlib.contextmanager
def container(folder: Path, packages: Path) -> Iterator[Machine]:
    """Boot one.

    Args:
        folder: of the test.
        packages: shown there as /packages.

    Raises:
        DeviceError: docker cannot do it here; it says what is missing.
    """
    docker = connected()
    if reason := base_root.refusal(is_packed=True):
        pytest.skip(reason)
    docker.remove_left()
    settings = Settings(
        image=_image(docker, folder),
        command=MASKED,
        capabilities=(*SYSTEMD, *AGENT),
        options=OPTIONS,
        mounts={packages: "/packages:ro"},
    )
    name = f"{NAME}-{os.getpid()}-{folder.name[-20:]}"
    with docker.running(name, settings):
        running = Machine((docker.program, "exec", "--interactive", name), packages)
        await_up(running, lambda: "")
        yield running


def _image(docker: Docker, folder: Path) -> str:
    tar = base()
    inputs = digest(str(tar), HERE / "Dockerfile", HERE / "container-start")
    tag = f"{NAME}:{inputs.hex()[:24]}"
    if not docker.ask("images", "--quiet", tag):
        context = folder / "context"
        context.mkdir()
        shutil.copy(HERE / "container-start", context)
        shutil.copy(tar, context)
        build(docker, HERE / "Dockerfile", context, tag, folder / "docker.log")
        shutil.rmtree(context)
    return tag
