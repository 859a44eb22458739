"""docker(1), asked by its own command: containers that are gone when their context ends.

Rule 1: whatever is started bears the label of this clone; it is removed by its name with its
volumes, whatever happens, and what a killed run left is removed by the next one of the same clone.
Rule 2: a container gets no capability that its settings do not name.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from vedette.errors import DeviceError
from vedette_dev.cache import REPOSITORY
from vedette_dev.calls import too_slow

ASK_S = 120.0
"""Starting and removing take a second or two; an idle daemon may first be started by its socket."""
LABEL = f"org.vedette.clone={REPOSITORY}"
OWNER = "org.vedette.pid"
PASSED = (
    "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy",
    "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_DEFAULT_TIMEOUT",
)  # fmt: skip
"""What leads from here to packages leads from a container there, too."""
_TAIL_LINES = 6


@dataclass(frozen=True, slots=True)
class Settings:
    """What a container is and may do.

    Attributes:
        image: its tag.
        command: its first process.
        capabilities: all it has, without CAP_.
        options: further words of `docker run`.
        mounts: folder or file here -> where it is shown, ":ro" after it for reading only.
        environment: added to the image's.
    """

    image: str
    command: tuple[str, ...]
    capabilities: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    mounts: Mapping[Path, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)

    def words(self, name: str) -> list[str]:
        """The arguments of `docker run`."""
        rights = ["--cap-drop=ALL", *(f"--cap-add={one}" for one in self.capabilities)]
        mounts = [f"--volume={here}:{there}" for here, there in self.mounts.items()]
        environment = [f"--env={key}={value}" for key, value in self.environment.items()]
        labels = [f"--label={LABEL}", f"--label={OWNER}={os.getpid()}"]
        return [
            f"--name={name}", "--pull=never", *labels, *rights, *mounts, *environment,
            *(f"--env={key}" for key in PASSED if key in os.environ),
            *self.options, self.image, *self.command,
        ]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Docker:
    """A daemon that answers.

    Attributes:
        program: the client.
        has_bridge: whether containers can have a network of their own that leads outside.
    """

    program: str
    has_bridge: bool

    @property
    def network(self) -> str:
        """The network by which a container reaches packages, the narrowest that there is."""
        return "bridge" if self.has_bridge else "host"

    def ask(self, *words: str, given: bytes = b"", timeout_s: float = ASK_S) -> str:
        """What `docker WORDS` says.

        Raises:
            DeviceError: it does not end with 0 in time.
        """
        ended = _ended(self.program, words, given, timeout_s)
        if ended.returncode:
            raise DeviceError(f"docker {words[0]} left with {ended.returncode}:\n{_tail(ended)}")
        return ended.stdout.decode("utf-8", "replace").strip()

    def show(self, *words: str) -> int:
        """Run `docker WORDS` with its output on ours; its code. The container goes on if we end."""
        return subprocess.run([self.program, *words], check=False).returncode

    @contextlib.contextmanager
    def running(self, name: str, settings: Settings) -> Iterator[str]:
        """A container that runs beside us under this name; removed with its volumes at the end."""
        try:
            self.ask("run", "--detach", *settings.words(name))
            yield name
        finally:
            self.remove(name)

    def remove(self, name: str) -> None:
        """End and remove a container with its volumes, if it is there.

        Raises:
            DeviceError: it is still there.
        """
        with _uninterrupted():
            ended = _ended(self.program, ("rm", "--force", "--volumes", name), b"", ASK_S)
            if ended.returncode and b"No such container" not in ended.stderr:
                raise DeviceError(f"container {name} is still there:\n{_tail(ended)}")

    def remove_left(self) -> None:
        """Remove what runs of this clone that were killed have left."""
        form = f'{{{{.Names}}}} {{{{.Label "{OWNER}"}}}}'
        for line in self.ask(
            "ps", "--all", f"--filter=label={LABEL}", f"--format={form}"
        ).splitlines():
            name, _, pid = line.partition(" ")
            if not Path(f"/proc/{pid}").exists():
                self.remove(name)


def connected() -> Docker:
    """The docker of this machine, or that which DOCKER_HOST names.

    Raises:
        DeviceError: there is none, or its daemon does not answer; it says what to do.
    """
    program = shutil.which("docker")
    if program is None:
        raise DeviceError(
            "docker is missing: install it (on Debian: apt-get install docker.io); "
            "as root on Debian, `make qemu-test` needs none"
        )
    ended = _ended(program, ("version", "--format", "{{.Server.Version}}"), b"", ASK_S)
    if ended.returncode:
        raise DeviceError(
            f"docker's daemon does not answer:\n{_tail(ended)}\n"
            "start it (systemctl start docker), or let DOCKER_HOST name the socket of one; "
            "its users are root and those of the group docker"
        )
    listed = _ended(program, ("network", "ls", "--format", "{{.Name}}"), b"", ASK_S)
    return Docker(program, b"bridge" in listed.stdout.split())


@contextlib.contextmanager
def ended_in_order() -> Iterator[None]:
    """SIGTERM ends us as Ctrl-C does: what was started is removed first."""

    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _ended(
    program: str, words: tuple[str, ...], given: bytes, timeout_s: float
) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(
            [program, *words], input=given, capture_output=True, timeout=timeout_s, check=False,
            start_new_session=True,  # the terminal's Ctrl-C is for us: we end what we started
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise DeviceError(f"docker {words[0]} {too_slow(timeout_s)}") from error


def _tail(ended: subprocess.CompletedProcess[bytes]) -> str:
    said = (ended.stderr or ended.stdout).decode("utf-8", "replace").splitlines()
    return "\n".join(f"    {line}" for line in said[-_TAIL_LINES:]) or "    (it said nothing)"


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
