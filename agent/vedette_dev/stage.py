"""Where an attack plays: names drawn at random, folders of its own, everything put back.

Rule 1: nothing of the host is changed: attacks write below temporary folders and below `root`, a
throwaway tree that the development configuration has watched; what would change accounts, logs or
settings plays in a throwaway root in that tree.
Rule 2: what is random is drawn anew in each run, so no rule can know it; what a rule knows is drawn
from the compiled rules, so no attack is written around one rule.
Rule 3: `close` ends every process and removes every folder, also when the attack failed.
"""

from __future__ import annotations

import contextlib
import os
import random
import secrets
import shutil
import socket
import string
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Self

from vedette.errors import DeviceError
from vedette.model.rule import AllOf, AnyOf, Condition, Match, Not, Rule
from vedette_dev.calls import check
from vedette_dev.enclosure import Enclosure, refusal
from vedette_dev.http_server import serving
from vedette_dev.neighbour import Neighbour

STOP_TIMEOUT_S = 3.0
TYPED_TIMEOUT_S = 25.0
POLLED_STAY_S = 12.0
"""Without root processes are polled every few seconds."""
LINGER_S = 60
"""How long a played process stays: long enough for the slowest poll, ended by `close` before."""


_refusals: dict[Path, str] = {}
"""Why this user has no enclosure in a tree, or "": asked once."""


class NoEnclosureError(DeviceError):
    """This user cannot have a throwaway root on this host."""


class Drawn(NamedTuple):
    """A value that a rule looks for, and the rule it was drawn from."""

    rule: Rule
    match: Match


class Pace(NamedTuple):
    """How fast a machine is to see, to answer and to be asked.

    Attributes:
        stay_s: how long the shell of an intruder is still there after what he did.
        patience_s: for the first answer to an attack.
        settle_s: for one more: a second step, a second rule.
        look_s: between two questions to the agent, which answers instead of watching.
    """

    stay_s: float = 0.5
    patience_s: float = 6.0
    settle_s: float = 0.4
    look_s: float = 0.03


PACE = Pace()
"""Of a machine that is not emulated."""


class Stage:
    """What one attack is given; close it when the attack is over."""

    def __init__(
        self, rules: Sequence[Rule], root: Path, *, prefix: str = "", pace: Pace = PACE
    ) -> None:
        """Begin with the rules that the agent runs and the tree that it watches.

        Args:
            rules: of the running agent.
            root: the watched throwaway tree.
            prefix: every word of the run begins with it.
            pace: of this machine.
        """
        self._prefix = prefix
        self.rules = rules
        self.root = root
        self.random = random.SystemRandom()
        self.began_s = 0.0
        self.drawn: list[str] = []
        self.words: list[str] = []
        self._stay_s = pace.stay_s if os.geteuid() == 0 else POLLED_STAY_S
        self._exit = contextlib.ExitStack()
        self._enclosure: Enclosure | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the processes, close the sockets, remove the folders."""
        self._exit.close()

    def begin(self) -> None:
        """Say that the act itself comes now: from here on time counts."""
        self.began_s = time.monotonic()

    def word(self, length: int = 9) -> str:
        """A random word of lower-case letters; it is one of those that name this run."""
        made = self._prefix + "".join(self.random.choices(string.ascii_lowercase, k=length))
        self.words.append(made)
        return made

    def loopback(self) -> str:
        """A random address of this host, never 127.0.0.1."""
        return ".".join(
            ["127", *(str(self.random.randint(1, 254)) for _ in range(3))],
        )

    def neighbour(self) -> Neighbour:
        """Another host on a cable to this one; needs root.

        Raises:
            DeviceError: this host does not allow it.
        """
        return self._exit.enter_context(Neighbour(self.word()))

    def folder(self) -> Path:
        """A new folder in one of the temporary folders from which programs may be run."""
        candidates = [
            place
            for place in ("/tmp", "/var/tmp", "/dev/shm")  # noqa: S108 (the attack's usual places)
            if os.access(place, os.W_OK | os.X_OK) and not os.statvfs(place).f_flag & os.ST_NOEXEC
        ]
        if not candidates:
            raise DeviceError(
                "expected /tmp, /var/tmp or /dev/shm to be writable and without noexec, "
                "found none: mount one of them so to play this attack"
            )
        made = Path(tempfile.mkdtemp(prefix=self.word(), dir=self.random.choice(candidates)))
        self._exit.callback(shutil.rmtree, made, ignore_errors=True)
        return made

    def watched_folder(self) -> Path:
        """A new folder in the watched throwaway tree."""
        made = self.root / self.word()
        made.mkdir(parents=True)
        self._exit.callback(shutil.rmtree, made, ignore_errors=True)
        return made

    def log(self, *lines: str) -> None:
        """Append lines to the log file that the agent reads, as the system logger would."""
        stamp = time.strftime("%b %e %H:%M:%S")
        with (self.root.parent / "device.log").open("a") as log:
            log.writelines(f"{stamp} {socket.gethostname()} {line}\n" for line in lines)

    def enclosure(self) -> Enclosure:
        """The throwaway root of this run, in the watched tree; made when it is first asked for.

        Raises:
            NoEnclosureError: this user cannot have one here.
        """
        if self._enclosure is None:
            if _refusals.get(self.root) is None:
                _refusals[self.root] = refusal(self.root)
            if _refusals[self.root]:
                raise NoEnclosureError(_refusals[self.root])
            self._enclosure = self._exit.enter_context(Enclosure(self.root, self.word()))
        return self._enclosure

    def type(self, commands: str, *, has_own_network: bool = False) -> str:
        """Have a shell of the throwaway root read commands line by line, as over telnet.

        Args:
            commands: what is typed.
            has_own_network: for what must not touch the host's: a loopback of its own.

        Returns:
            The word of the root, by which this run is known.

        Raises:
            DeviceError: a command was not there, or they did not end in time.
        """
        enclosure = self.enclosure()
        # What is in the background has its shell for a while, and so has an intruder who is still
        # there when he is answered.
        if self._prefix or "&\n" in f"{commands}\n":
            commands += f"\nsleep {self._stay_s:g}\n"
        started = enclosure.start(commands, has_own_network=has_own_network)
        self.begin()
        ended = started.wait(TYPED_TIMEOUT_S)
        if ended.code < 0 or "not found" in ended.output:
            raise DeviceError(f"the commands left with {ended.code}: {ended.output.strip()}")
        return enclosure.word

    def busybox(self) -> Path:
        """The static BusyBox of this machine."""
        found = shutil.which("busybox", path=f"{os.environ.get('PATH', '')}:/bin:/usr/bin")
        if found is None:
            raise DeviceError("busybox is missing: sudo apt-get install busybox-static")
        return Path(found)

    def copy(self, program: Path, target: Path) -> Path:
        """An executable copy; random bytes after its end make its digest unlike any other."""
        target.parent.mkdir(parents=True, exist_ok=True)
        # Written by another process: a fork elsewhere in this one would hold the file open for
        # writing across its exec, and ours would fail with ETXTBSY.
        check(["cp", "--", program, target], STOP_TIMEOUT_S)
        add = 'printf %s "$1" >>"$2"'
        check(["sh", "-c", add, "sh", secrets.token_hex(16), target], STOP_TIMEOUT_S)
        target.chmod(0o755)
        return target

    def start(
        self,
        argv: Sequence[str | Path],
        *,
        program: Path | None = None,
        cwd: Path | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> subprocess.Popen[bytes]:
        """Start a process that `close` ends, with all that it started.

        Args:
            argv: its arguments; argv[0] need not be the program's name.
            program: the file to execute, argv[0] without it.
            cwd: its working directory, ours without it.
            environment: added to ours.
        """
        process = subprocess.Popen(
            [os.fspath(part) for part in argv],
            executable=program,
            cwd=cwd,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._exit.callback(_end, process)
        return process

    def listen(self, address: str, port: int = 0) -> socket.socket:
        """A listening TCP socket; its port is random when 0."""
        listener = socket.create_server((address, port), backlog=64)
        self._exit.callback(listener.close)
        return listener

    def serve(self, body: bytes) -> tuple[str, int]:
        """An HTTP server on a random loopback address that answers everything with this body."""
        server = serving(self.loopback(), body)
        self._exit.callback(server.server_close)
        self._exit.callback(server.shutdown)
        return str(server.server_address[0]), int(server.server_port)

    def silent_udp(self, address: str) -> tuple[str, int]:
        """An address and port that take datagrams and never answer."""
        taker = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._exit.callback(taker.close)
        taker.bind((address, 0))
        return address, int(taker.getsockname()[1])

    def free_port(self) -> int:
        """A TCP port on which nobody listens now."""
        with socket.socket() as prober:
            prober.bind(("", 0))
            return int(prober.getsockname()[1])

    def await_listener(self, address: str, port: int) -> None:
        """Wait until somebody accepts connections there."""

        def accepts() -> bool:
            with contextlib.suppress(OSError), socket.create_connection((address, port), 1):
                return True
            return False

        self._until(accepts, f"a listener on {address}:{port}")

    def await_image(self, program: Path) -> None:
        """Wait until a process runs this program."""
        self._until(lambda: _runs(program), f"a process of {program}")

    def _until(self, is_so: Callable[[], bool], expected: str) -> None:
        ends_s = time.monotonic() + STOP_TIMEOUT_S
        while not is_so():
            if time.monotonic() > ends_s:
                raise DeviceError(f"expected {expected} within {STOP_TIMEOUT_S:g} s, saw none")
            time.sleep(0.005)

    def on_close(self, undo: Callable[[], object]) -> None:
        """Have something undone at the end, the newest first."""
        self._exit.callback(undo)

    def draw(
        self,
        category: str,
        field: str,
        *,
        operators: Sequence[str],
        where: Callable[[Drawn], bool] = lambda _: True,
    ) -> Drawn:
        """Draw one of the values that the compiled rules look for in a field.

        Args:
            category: of the rules, such as "process_creation".
            field: such as "ParentImage".
            operators: the comparisons that the attack can satisfy, such as "endswith".
            where: which of them fit the attack.

        Raises:
            DeviceError: no rule looks for such a value.
        """
        found = [
            drawn
            for rule in self.rules
            if rule.category == category
            for match in wanted(rule.condition)
            if match.field == field and match.operator in operators
            if where(drawn := Drawn(rule, match))
        ]
        if not found:
            raise DeviceError(
                f"expected a loaded rule of {category} that compares {field} "
                f"({', '.join(operators)}), found none: is the bundle the one of rules/?"
            )
        chosen = self.choose(found)
        self.drawn.append(chosen.match.value)
        return chosen

    def choose(self, found: Sequence[Drawn]) -> Drawn:
        """One of those that may be drawn, each as likely as the others."""
        return self.random.choice(found)


def wanted(condition: Condition) -> Iterator[Match]:
    """The comparisons whose success helps a condition, those under Not left out."""
    match condition:
        case Match():
            yield condition
        case AllOf() | AnyOf():
            for part in condition.parts:
                yield from wanted(part)
        case Not():
            return


def _runs(program: Path) -> bool:
    for link in Path("/proc").glob("[0-9]*/exe"):
        with contextlib.suppress(OSError):
            if link.readlink() == program:
                return True
    return False


def _end(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, 9)
    process.wait(STOP_TIMEOUT_S)
