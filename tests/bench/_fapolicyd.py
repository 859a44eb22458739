"""fapolicyd from the distribution, answering for one file system of ours, in our mount namespace.

It is taken from the folder that FAPOLICYD names, from the system, or from the distribution by
`apt-get download` and `dpkg -x` into build/: nothing is installed, since its service would answer
for the whole machine.

Rule: called while a PrivateMount is open; what it needs of /etc, /run and /var/lib lies on mounts
that go with the namespace. It watches the one type of file system that nothing else here has.
"""

from __future__ import annotations

import hashlib
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.simulators.mounts import PrivateMount

from vedette.errors import DeviceError
from vedette_dev.kernel_calls import mount, unmount

PLACE = Path(__file__).parents[2] / "build" / "fapolicyd"
PACKAGES = ("fapolicyd", "liblmdb0")
DOWNLOAD_S = 60.0
START_S = 20.0
STOP_S = 5.0
READY = b"Starting to listen for events"
RULES = "allow perm=execute all : trust=1\ndeny perm=execute all : all\nallow perm=any all : all\n"
CONFIG = """\
permissive = 0
nice_val = 14
q_size = 640
uid = root
gid = root
do_stat_report = 0
detailed_report = 0
db_max_size = 50
subj_cache_size = 1549
obj_cache_size = 8191
watch_fs = ramfs
trust = file
integrity = sha256
syslog_format = rule,dec,perm,auid,pid,exe,:,path,ftype,trust
rpm_sha256_only = 0
allow_filesystem_mark = 0
"""


@contextmanager
def running(folder: Path, trusted: Sequence[Path]) -> Iterator[int]:
    """Its pid, while it answers for every file system of type ramfs.

    Args:
        folder: throwaway.
        trusted: the programs that may run there.

    Raises:
        DeviceError: there is none here, or it does not start.
    """
    program, libraries = _program()
    places = folder / "fapolicyd"
    places.mkdir()
    scratch = PrivateMount(places)
    try:
        mounted = _own_places(places)
        try:
            _configure(trusted)
            process = _started(program, libraries)
            try:
                yield process.pid
            finally:
                _stop(process)
        finally:
            for target in reversed(mounted):
                unmount(target)
    finally:
        scratch.close()


def _program() -> tuple[str, str]:
    root = os.environ.get("FAPOLICYD", "")
    if not root and shutil.which("fapolicyd") is None:
        root = str(_unpacked())
    program = f"{root}/usr/sbin/fapolicyd" if root else shutil.which("fapolicyd") or ""
    if not os.access(program, os.X_OK):
        raise DeviceError(f"fapolicyd is not in {root}: unpack it and liblmdb0 there with dpkg -x")
    libraries = ":".join(str(path) for path in Path(root or "/").glob("usr/lib/*-linux-gnu*"))
    return program, libraries


def _unpacked() -> Path:
    """The distribution's packages, unpacked once.

    Raises:
        DeviceError: there is no apt, or nothing to be had from it.
    """
    place = PLACE / "root"
    if (place / "usr/sbin/fapolicyd").exists():
        return place
    place.mkdir(parents=True, exist_ok=True)
    try:
        _run("apt-get", "download", *PACKAGES)
        for package in sorted(PLACE.glob("*.deb")):
            _run("dpkg", "-x", str(package), str(place))
    except (OSError, subprocess.SubprocessError) as error:
        raise DeviceError(f"fapolicyd cannot be had from the distribution: {error}") from error
    return place


def _run(*argv: str) -> None:
    subprocess.run(argv, cwd=PLACE, check=True, capture_output=True, timeout=DOWNLOAD_S)


def _own_places(places: Path) -> list[str]:
    for target in ("/etc", "/var/lib"):
        layer = places / target.replace("/", "_")
        upper, work = layer / "upper", layer / "work"
        upper.mkdir(parents=True)
        work.mkdir()
        options = f"lowerdir={target},upperdir={upper},workdir={work}"
        mount("vedette-test", target, "overlay", options=options)
    mount("vedette-test", "/run", "tmpfs")
    return ["/etc", "/var/lib", "/run"]


def _configure(trusted: Sequence[Path]) -> None:
    for made in ("/etc/fapolicyd/trust.d", "/var/lib/fapolicyd", "/run/fapolicyd"):
        Path(made).mkdir(parents=True, exist_ok=True)
    home = Path("/etc/fapolicyd")
    (home / "fapolicyd.conf").write_text(CONFIG)
    for name in ("fapolicyd.rules", "compiled.rules"):
        (home / name).write_text(RULES)
    lines = [f"{path} {path.stat().st_size} {_sha256(path)}\n" for path in trusted]
    (home / "fapolicyd.trust").write_text("".join(lines))


def _started(program: str, libraries: str) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        [program, "--debug-deny"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LD_LIBRARY_PATH": libraries},
    )  # fmt: skip
    said = b""
    until_s = time.monotonic() + START_S
    assert process.stderr is not None
    while READY not in said:
        left_s = max(0.0, until_s - time.monotonic())
        is_ready = select.select([process.stderr], [], [], left_s)[0]
        piece = os.read(process.stderr.fileno(), 65536) if is_ready else b""
        if not piece:
            _stop(process)
            raise DeviceError(f"fapolicyd does not start: {said[-300:].decode(errors='replace')}")
        said += piece
    return process


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.communicate(timeout=STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
