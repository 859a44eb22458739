"""`make docker-test`: `make qemu-test` in containers, from a clean clone of what is committed.

Rule 1: two containers share one clone. The workshop builds the disks: it reaches packages and may
mount, since maintainer scripts of the devices' own architecture run in a root of their own. The
tests, which boot devices and play attacks on them, have no network and no right to mount.
Rule 2: of this machine they are shown the commit and the cache of disks, nothing else; what remains
is that cache, the image, and the report.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from vedette.errors import DeviceError, RequestError
from vedette_dev import cache
from vedette_dev.cache import REPOSITORY
from vedette_dev.docker import image as images
from vedette_dev.docker.client import Docker, Settings, connected, ended_in_order
from vedette_dev.images import ARCHES, target
from vedette_dev.terminal import say

WORK = "/vedette"
"""The clone, a volume without a name that goes with the containers."""
SOURCE, CACHE, SCRATCH = "/source.bundle", "/cache", f"{WORK}/build/tmp"
REPORT = f"{WORK}/build/qemu-test"
FILES = ("CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID")
"""A device's files have its owners and modes, on whichever disk they are being written."""
ACCOUNTS = ("SETGID", "SETUID")
"""apt's methods and mosquitto leave root by themselves."""
WORKSHOP = (*FILES, *ACCOUNTS, "KILL", "MKNOD", "SETFCAP", "SYS_ADMIN", "SYS_CHROOT")
"""mmdebstrap and dpkg: device files, programs with capabilities, a root of its own with /proc in
it, and the table of foreign programs (binfmt_misc), which is mounted to be read and written."""
TESTS = (*FILES, *ACCOUNTS, "KILL")
BINFMT = "/proc/sys/fs/binfmt_misc"
_LIST_BINFMT = f"mountpoint -q {BINFMT} || mount -t binfmt_misc binfmt_misc {BINFMT}; ls {BINFMT}"
_CLONE = (
    f"git -c advice.detachedHead=false clone --quiet {SOURCE} {WORK} && "
    f"mkdir -p {SCRATCH} {REPORT}/logs"
)
_COLLECT = (
    f"cd {SCRATCH} && find . -name '*.log' -size -8192k -exec cp --parents '{{}}' {REPORT}/logs ';'"
)


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be tested.

    Attributes:
        arches: of devices.
        words: further words for make, such as ARGS and SCOPE.
        folder: gets the report; logs of building lie beside it.
    """

    arches: Sequence[str]
    words: Sequence[str]
    folder: Path


def run(request: Request) -> int:
    """Build, boot and test; the code of `make qemu-test`.

    Raises:
        RequestError: there is no such architecture, or this is no clone.
        DeviceError: docker cannot do it here.
    """
    arches = [target(arch).arch for arch in request.arches or ARCHES]
    docker = connected()
    docker.remove_left()
    request.folder.mkdir(parents=True, exist_ok=True)
    cache.root().mkdir(parents=True, exist_ok=True)
    log = request.folder / "build.log"
    log.write_text("")
    with ended_in_order(), _source(request.folder) as source:
        tag = images.built(docker, log, say)
        name = f"vedette-workshop-{os.getpid()}"
        with docker.running(name, _workshop(docker, tag, source)):
            with own_binfmt(docker, name), _cache_given_back(docker, name):
                _build(docker, name, arches)
                code = _test(docker, name, tag, [f"ARCH={' '.join(arches)}", *request.words])
            _report(docker, name, request.folder)
    say(f"report    {request.folder}")
    return code


@contextlib.contextmanager
def own_binfmt(docker: Docker, workshop: str) -> Iterator[None]:
    """The table of foreign programs is this machine's: what is added to it is taken out."""
    before = set(docker.ask("exec", workshop, "sh", "-c", _LIST_BINFMT).split())
    try:
        yield
    finally:
        now = set(docker.ask("exec", workshop, "ls", BINFMT).split())
        for name in sorted(now - before):
            docker.ask("exec", workshop, "sh", "-c", f'echo -1 >"{BINFMT}/$1"', "sh", name)


def _workshop(docker: Docker, tag: str, source: Path) -> Settings:
    return Settings(
        image=tag,
        command=("sleep", "infinity"),
        capabilities=WORKSHOP,
        # Docker's profile of AppArmor refuses every mount, its filter of system calls does not.
        options=("--init", f"--network={docker.network}", "--security-opt=apparmor=unconfined",
                 f"--volume={WORK}"),
        mounts={source: f"{SOURCE}:ro", cache.root(): CACHE},
        environment={cache.VARIABLE: CACHE},
    )  # fmt: skip


def _tests(tag: str, workshop: str, words: Sequence[str]) -> Settings:
    return Settings(
        image=tag,
        command=("make", "qemu-test", *words),
        capabilities=TESTS,
        options=("--init", "--rm", "--network=none", "--security-opt=no-new-privileges",
                 f"--volumes-from={workshop}"),
        environment={cache.VARIABLE: CACHE, "TMPDIR": SCRATCH},
    )  # fmt: skip


def _build(docker: Docker, workshop: str, arches: Sequence[str]) -> None:
    inside = ("exec", "--workdir=/", workshop, "sh", "-euc")
    steps = [_CLONE, f"cd {WORK} && make .venv/ready ebpf"]
    steps += [f"cd {WORK} && make images ARCH={arch}" for arch in arches]
    for step in steps:
        if code := docker.show(*inside, step):
            raise DeviceError(f"in the container, `{step}` left with {code}; it said why above")


def _test(docker: Docker, workshop: str, tag: str, words: Sequence[str]) -> int:
    name = f"vedette-tests-{os.getpid()}"
    try:
        return docker.show("run", *_tests(tag, workshop, words).words(name))
    finally:
        docker.remove(name)
        docker.ask("exec", workshop, "sh", "-euc", _COLLECT)


def _report(docker: Docker, workshop: str, folder: Path) -> None:
    docker.ask("cp", f"{workshop}:{REPORT}/.", str(folder))


@contextlib.contextmanager
def _source(folder: Path) -> Iterator[Path]:
    """One file with what is committed here; gone at the end."""
    changed = _git("status", "--porcelain")
    if changed:
        say(f"source    {len(changed.splitlines())} changes are not committed: they are left out")
    bundle = folder / "source.bundle"
    try:
        _git("bundle", "create", "--quiet", str(bundle), "HEAD")
        yield bundle
    finally:
        bundle.unlink(missing_ok=True)


@contextlib.contextmanager
def _cache_given_back(docker: Docker, workshop: str) -> Iterator[None]:
    """New entries of the cache belong to who owns its folder, not to the container's root."""
    try:
        yield
    finally:
        docker.ask("exec", workshop, "chown", "-R", f"--reference={CACHE}", CACHE)


def _git(*words: str) -> str:
    ended = subprocess.run(
        ["git", "-C", REPOSITORY, *words], capture_output=True, text=True, check=False
    )
    if ended.returncode:
        raise RequestError(f"git {words[0]} in {REPOSITORY}: {ended.stderr.strip()}")
    return ended.stdout
