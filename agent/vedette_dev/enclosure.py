"""A throwaway root: a small device of its own, in which an attack may change whatever it likes.

Rule 1: its folder lies on a file system and in a tree that the agent watches; it is made elsewhere,
moved there, and removed with everything in it when the enclosure is closed.
Rule 2: programs come from the host's /usr or from a base, shown read-only or under a layer.
Rule 3: what runs inside has a launcher whose random name is the enclosure's word, so that each
process, file and incident of it can be told from all others by that word.
Rule 4: without root the same holds by user namespaces; where those are refused, `refusal` says so.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import select
import shlex
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import IO, NamedTuple, Self, cast

import vedette
import vedette_dev
from vedette.errors import DeviceError
from vedette_dev import cgroups
from vedette_dev.enclosed import READY, Enclosed

READY_TIMEOUT_S = 45.0
"""Python starts in 20 ms here, in seconds on an emulated device."""
STOP_TIMEOUT_S = 5.0
MAX_OUTPUT_BYTES = 64 << 10
LINGER_S = 0.3
"""How long what a command left behind in the background may still do something."""

UNWATCHED = ("/var/lib", "/var/cache", "/data")
"""On most devices one file system with the rest; the development configuration leaves them out."""
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_MERGED = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
_FROM_HOST = ("ld.so.cache", "ld.so.conf", "ld.so.conf.d", "nsswitch.conf", "ssl")
_ALTERNATIVES = "/etc/alternatives"
"""Hundreds of links to /usr: shown with it and not copied."""
_AUTHORITIES = "/etc/ssl/certs"
_FOLDERS = (
    "dev/shm", "etc/cron.d", "etc/init.d", "etc/profile.d", "etc/ssh", "etc/config", "etc/pam.d",
    "etc/systemd/system", "mnt", "opt", "proc", "root/.ssh", "run", "sys", "tmp", "var/log",
    "var/run", "var/spool/cron/crontabs", "var/tmp", "home",
)  # fmt: skip
_LIES_IN = dict.fromkeys(
    str(Path(module.__file__ or "").resolve().parents[1]) for module in (vedette, vedette_dev)
)
_ENCLOSED = (
    "import runpy, sys; sys.path[:0] = sys.argv[1:]; "
    "runpy.run_module('vedette_dev.enclosed', run_name='__main__')"
)
"""Isolated from the environment, and found where this code lies, which need not be installed."""
_COPIED = ("etc", "home", "opt", "root", "srv", "var")
"""What of a base is copied, so that the agent sees it change; the rest of it is layered."""


class Ended(NamedTuple):
    """How a command inside ended; `code` is 128 + signal after a signal, -1 when it was killed."""

    code: int
    output: str


class Inside:
    """A command that runs inside an enclosure."""

    def __init__(self, process: subprocess.Popen[bytes], output: IO[bytes]) -> None:
        self._process, self._output = process, output

    @property
    def pid(self) -> int:
        """Of its launcher, in the host's numbers."""
        return self._process.pid

    def wait(self, timeout_s: float) -> Ended:
        """Wait until it has ended; what is left after the time is killed."""
        try:
            code = self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            code = -1
        self.end()
        self._output.seek(0)
        return Ended(code, self._output.read(MAX_OUTPUT_BYTES).decode("utf-8", "replace"))

    def end(self) -> None:
        """Kill it with everything that it started: the launcher takes its namespace along."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        self._process.wait(STOP_TIMEOUT_S)


class Enclosure:
    """A throwaway root as a context manager.

    Attributes:
        word: random, the name of its folder, of its launcher and of its host.
        path: of its `/`, as the host sees it.
    """

    def __init__(self, tree: Path, word: str, *, base: Path | None = None) -> None:
        """Make it.

        Args:
            tree: a folder that the agent watches.
            word: a random name.
            base: the root of a distribution; the host's /usr without it.

        Raises:
            DeviceError: this host does not allow it.
        """
        self.word = word
        self.path = tree / word / "root"
        self._making = _unwatched_folder(tree) / f"vedette-{word}"
        self._exit = contextlib.ExitStack()
        self._base = base
        self._exit.callback(self._clear)
        try:
            self._fill()
            self._groups = self._exit.enter_context(cgroups.limited(word))
        except OSError as error:
            self._exit.close()
            raise DeviceError(f"{self.path}: cannot make a throwaway root: {error}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End what runs inside, remove the folder."""
        self._exit.close()

    def start(
        self, script: str, *, has_own_network: bool = False, lingers_s: float = LINGER_S
    ) -> Inside:
        """Start a shell that reads commands, as if somebody typed them; returns when it begins.

        Args:
            script: the commands; those that read their stdin need one of their own.
            has_own_network: a loopback of its own, instead of the host's.
            lingers_s: how long its background processes outlive it.

        Raises:
            DeviceError: this host does not allow it.
        """
        spec = Enclosed(
            root=str(self.path),
            host=self.word,
            launcher=f"/{self.word}",
            script=script,
            environment={"PATH": PATH, "HOME": "/root", "LANG": "C"},
            shown=self._shown(),
            layered=self._layered(),
            has_own_network=has_own_network,
            lingers_s=lingers_s,
            cgroups=self._groups,
        )
        passing = tempfile.TemporaryFile(dir=self._making.parent)  # noqa: SIM115 (until close)
        output = self._exit.enter_context(passing)
        process = _launch(spec, output)
        inside = Inside(process, output)
        self._exit.callback(inside.end)
        _await_ready(process)
        return inside

    def shell(
        self,
        commands: str,
        *,
        timeout_s: float = 20.0,
        shell: str = "sh",
        has_own_network: bool = False,
    ) -> Ended:
        """Hand commands to a shell inside by its option -c, and wait for their end."""
        line = f"{shlex.join((shell, '-c', commands))} </dev/null\nexit $?\n"
        started = self.start(line, has_own_network=has_own_network)
        return started.wait(timeout_s)

    def write(self, name: str, text: str, mode: int = 0o644) -> Path:
        """Put a file into the root, from outside; returns its path on the host."""
        target = self.path / name.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        target.chmod(mode)
        return target

    def _fill(self) -> None:
        self._making.mkdir(mode=0o700)
        root = self._making / "root"
        root.mkdir(mode=0o755)
        if self._base is None:
            _fill_small(root)
        else:
            _fill_from(self._base, root)
        for folder in _FOLDERS:
            (root / folder).mkdir(parents=True, exist_ok=True)
        for folder in ("tmp", "var/tmp", "dev/shm"):
            (root / folder).chmod(0o1777)
        shutil.copyfile(_shell_of(self._base or Path("/")), root / self.word)
        (root / self.word).chmod(0o755)
        with (root / "etc/hosts").open("a") as hosts:
            hosts.write(f"127.0.1.1 {self.word}\n")
        self._making.rename(self.path.parent)

    def _clear(self) -> None:
        if self.path.parent.exists():
            self.path.parent.rename(self._making)
        if self._making.exists():
            _remove(self._making)

    def _shown(self) -> tuple[tuple[str, str], ...]:
        shown = [("/sys", "/sys")]
        if self._base is None:
            shown.append(("/usr", "/usr"))
            own = [*(f"/{name}" for name in _MERGED), _ALTERNATIVES]
            shown += [(folder, folder) for folder in own if _is_own(folder)]
            prefix = str(Path(sys.base_prefix).resolve())
            if not prefix.startswith("/usr"):
                shown.append((prefix, prefix))
        return tuple(shown)

    def _layered(self) -> tuple[tuple[str, str, str, str], ...]:
        if self._base is None:
            return ()
        upper, work = self.path.parent / "usr", self.path.parent / "work"
        for folder in (upper, work):
            folder.mkdir(exist_ok=True)
        return ((str(self._base / "usr"), str(upper), str(work), "/usr"),)


def _unwatched_folder(tree: Path) -> Path:
    """Where a root is filled and emptied, to be moved whole: one event instead of hundreds."""
    device = tree.stat().st_dev
    for folder in map(Path, UNWATCHED):
        with contextlib.suppress(OSError):
            if folder.stat().st_dev == device and os.access(folder, os.W_OK):
                return folder
    return tree.parent


def refusal(tree: Path) -> str:
    """Why this user cannot have an enclosure on this host, or ""."""
    word = "v" + secrets.token_hex(5)
    try:
        with Enclosure(tree, word) as enclosure:
            ended = enclosure.shell("exit 7")
    except DeviceError as error:
        return str(error)
    return "" if ended.code == 7 else f"a shell inside left with {ended.code}: {ended.output}"  # noqa: PLR2004


def _launch(spec: Enclosed, output: IO[bytes]) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        [sys.executable, "-I", "-c", _ENCLOSED, *_LIES_IN],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=output,
        start_new_session=True,
        env={"PATH": PATH},
    )
    with cast("IO[bytes]", process.stdin) as stdin, contextlib.suppress(BrokenPipeError):
        stdin.write(spec.text().encode())
    return process


def _await_ready(process: subprocess.Popen[bytes]) -> None:
    with cast("IO[bytes]", process.stdout) as stdout:
        is_there, _, _ = select.select([stdout], [], [], READY_TIMEOUT_S)
        said = stdout.readline().decode("utf-8", "replace").strip() if is_there else ""
    if said != READY:
        process.kill()
        process.wait(STOP_TIMEOUT_S)
        raise DeviceError(
            f"expected namespaces of its own for an attack, got: {said or 'no answer'}; "
            "they need root, or user namespaces (sysctl user.max_user_namespaces)"
        )


def _fill_small(root: Path) -> None:
    """A device's /etc with the accounts of nobody, and the host's means to run programs."""
    for name in _MERGED:
        host = Path("/", name)
        if host.is_symlink():
            (root / name).symlink_to(str(host.readlink()).lstrip("/"))
    (root / "etc").mkdir()
    for name in _FROM_HOST:
        source = Path("/etc", name)
        if source.is_dir():
            shutil.copytree(source, root / "etc" / name, symlinks=True, ignore=_not_copied,
                            ignore_dangling_symlinks=True)  # fmt: skip
        elif source.exists():
            shutil.copyfile(source, root / "etc" / name)
    for name, text in _ETC.items():
        (root / "etc" / name).write_text(text)
    (root / "etc/shadow").chmod(0o600)


def _not_copied(folder: str, names: list[str]) -> set[str]:
    """Keys, and the hundreds of links to authorities: a bundle beside them holds them all."""
    return {
        name
        for name in names
        if name == "private"
        or not os.access(f"{folder}/{name}", os.R_OK)
        or (folder == _AUTHORITIES and Path(folder, name).is_symlink())
    }


def _fill_from(base: Path, root: Path) -> None:
    for entry in base.iterdir():
        if entry.is_symlink():
            (root / entry.name).symlink_to(entry.readlink())
        elif entry.name in _COPIED:
            subprocess.run(["cp", "-a", "--", entry, root / entry.name], check=True)


def _shell_of(base: Path) -> Path:
    """The file behind /bin/sh; a link is followed within the base alone."""
    found = base / "bin" / "sh"
    while found.is_symlink():
        target = found.readlink()
        found = base / target.relative_to("/") if target.is_absolute() else found.parent / target
    return found


def _is_own(folder: str) -> bool:
    return Path(folder).is_dir() and not Path(folder).is_symlink()


def _remove(folder: Path) -> None:
    """Remove a tree in which a command may have made files that cannot be removed so easily."""
    ends_s = time.monotonic() + STOP_TIMEOUT_S
    while folder.exists() and time.monotonic() < ends_s:
        shutil.rmtree(folder, onerror=_make_removable)
    if folder.exists():
        raise DeviceError(f"{folder}: cannot be removed; remove it by hand (chattr -R -i first)")


def _make_removable(_: object, path: str, __: object) -> None:
    with contextlib.suppress(OSError):
        if not stat.S_ISLNK(os.lstat(path).st_mode):
            os.chmod(path, 0o700)  # noqa: PTH101 (follows nothing: checked)
        os.chmod(os.path.dirname(path), 0o700)  # noqa: PTH101, PTH120
        if os.path.islink(path) or not os.path.isdir(path):  # noqa: PTH112, PTH114
            os.unlink(path)  # noqa: PTH108


_ETC = {
    "passwd": "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/nonexistent:/bin/false\n",
    "group": "root:x:0:\nnogroup:x:65534:\n",
    "shadow": f"root:$6${secrets.token_hex(4)}${secrets.token_hex(32)}:19000:0:99999:7:::\n",
    "hosts": "127.0.0.1 localhost\n",
    "resolv.conf": "nameserver 127.0.0.53\n",
    "hostname": "device\n",
    "profile": "umask 022\n",
    "rc.local": "#!/bin/sh\nexit 0\n",
    "inittab": "::sysinit:/etc/init.d/rcS\n",
    "ld.so.conf": "",
    "fstab": "",
}
"""As a small device has it; what of it the host has too is overwritten with this."""
