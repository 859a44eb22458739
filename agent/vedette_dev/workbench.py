"""The folder `.dev` of a clone: whose it is, what lies where, and that only one run uses it.

Rule 1: the folder has mode 0700 and belongs to who runs; somebody else's is refused, not repaired.
Rule 2: sockets lie below a short path of their own (unix(7): 107 bytes), and so do the files that
the uplink's user must reach when the clone lies where only root may go.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import pwd
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from vedette.errors import DeviceError

UPLINK_UID = 61874
"""Of systemd's dynamic range (61184 to 65519): no package's user has it."""


@dataclass(frozen=True, slots=True)
class Workbench:
    """Where everything of a development run lies.

    Attributes:
        folder: keys, configuration, journal, logs (0700).
        passing: for what other users or short paths need; gone after a reboot.
    """

    folder: Path
    passing: Path

    @property
    def config(self) -> Path:
        """The configuration that the run writes anew each time."""
        return self.folder / "vedette.toml"

    @property
    def keys(self) -> Path:
        """Private keys of the development root, of the rules and of the device."""
        return self.folder / "keys"

    @property
    def trust(self) -> Path:
        """The trust document."""
        return self.folder / "trust.json"

    @property
    def bundle(self) -> Path:
        """The signed rules."""
        return self.folder / "rules.bundle"

    @property
    def playbooks(self) -> Path:
        """The signed playbooks, once an attack was played against an agent that enforces."""
        return self.folder / "playbooks.signed"

    @property
    def registry(self) -> Path:
        """The fleet's registry of device keys."""
        return self.folder / "registry.json"

    @property
    def certificates(self) -> Path:
        """The development CA and what it signed."""
        return self.folder / "tls"

    @property
    def uplink_tls(self) -> Path:
        """The uplink's copies of its certificates, its own to read."""
        return self.passing / "tls"

    @property
    def run(self) -> Path:
        """The agent's sockets."""
        return self.passing / "run"

    @property
    def state(self) -> Path:
        """The agent's journal and floors."""
        return self.folder / "state"

    @property
    def watched(self) -> Path:
        """The throwaway tree that the agent watches and attacks write to."""
        return self.folder / "watched"

    @property
    def device_log(self) -> Path:
        """A log file that the agent reads beside this machine's; attacks write to it."""
        return self.folder / "device.log"

    @property
    def agent_log(self) -> Path:
        """What the agent said."""
        return self.folder / "agent.log"

    @property
    def broker(self) -> Path:
        """The broker's configuration and log."""
        return self.folder / "broker"

    @property
    def running(self) -> Path:
        """What a second terminal has to know of the run; JSON, there while it is ready."""
        return self.folder / "running.json"


def open_workbench(folder: Path) -> Workbench:
    """Make the folder, or check that the one there is ours.

    Raises:
        DeviceError: it is somebody else's, or cannot be made.
    """
    folder = folder.absolute()
    _private(folder)
    digest = hashlib.sha256(os.fsencode(folder)).hexdigest()[:8]
    passing = _passing_place() / f"vedette-dev-{os.geteuid()}-{digest}"
    _private(passing)
    if os.geteuid() == 0:
        passing.chmod(0o711)  # the uplink's user goes through, and cannot list
    made = Workbench(folder, passing)
    for inner in (made.keys, made.certificates, made.state, made.watched, made.run):
        _private(inner)
    return made


def find_workbench(folder: Path) -> Workbench:
    """The workbench of a run that somebody (we) started earlier, unchanged."""
    folder = folder.absolute()
    digest = hashlib.sha256(os.fsencode(folder)).hexdigest()[:8]
    return Workbench(folder, _passing_place() / f"vedette-dev-{os.geteuid()}-{digest}")


@contextmanager
def only_one(bench: Workbench) -> Iterator[None]:
    """Hold the workbench alone.

    Raises:
        DeviceError: another run holds it.
    """
    path = bench.folder / "lock"
    with path.open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.seek(0)
            holder = lock.read(16).strip() or "unknown"
            raise DeviceError(
                f"{bench.folder} is in use by pid {holder}: another `make run` watches this "
                "machine already. Attack it with `make attack`, or stop it with Ctrl-C there"
            ) from error
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield


def _passing_place() -> Path:
    if os.geteuid() == 0:
        return Path("/run")
    given = os.environ.get("XDG_RUNTIME_DIR", "")
    if given and Path(given).is_dir() and os.access(given, os.W_OK):
        return Path(given)
    return Path("/tmp")  # noqa: S108 (a folder of ours in it, checked by _private)


def _private(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
    except OSError as error:
        raise DeviceError(
            f"{folder}: cannot be made ({error.strerror}): run in a clone that you may write to"
        ) from error
    if found.st_uid != os.geteuid() or not stat.S_ISDIR(found.st_mode):
        raise DeviceError(
            f"{folder}: expected a folder of {_user(os.geteuid())}, got one of "
            f"{_user(found.st_uid)}: it holds another user's keys. Remove it "
            f"(`sudo rm -r {folder}`), run as that user, or work in a clone of your own"
        )


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"
