"""Asks systemd about units and for their start and stop, by the systemctl of this device.

Rule 1: only units whose name was read by codec/units.py are named to it, after `--`.
Rule 2: what holds the device or the agent together is refused here, whoever orders it: see
`why_untouchable`.
Rule 3: a supervisor that is not systemd is not touched: `unavailable` says so.
Rule 4: a systemctl that outlived a killed agent is waited for before anything else is decided.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import time
from collections.abc import Iterator

from vedette.codec.text import escape, quoted
from vedette.codec.units import PROPERTIES, UnitState, parse_state, unit_name
from vedette.errors import ParseError, ResponseError
from vedette.kernel import program
from vedette.kernel.program import Ran
from vedette.model.response import Order, UnitTarget
from vedette.ports.responder import ResponderContext

PROGRAMS = ("/usr/bin/systemctl", "/bin/systemctl")
ASK_TIMEOUT_S = 3.0
CHANGE_TIMEOUT_S = 20.0
"""systemd itself waits up to TimeoutStopSec (90 s) before it kills; what is not down by then is
told as not yet done, and systemd goes on by itself."""
SETTLE_S = 5.0
"""A systemctl that still works after so long hangs with its systemd."""

_RUNNING = frozenset({"running", "degraded", "starting", "maintenance"})
"""systemctl(1), "is-system-running": what it says of a manager that takes jobs."""
_NEVER = re.compile(
    r"(systemd-.*|dbus.*|init|vedette.*|NetworkManager|networking|ifupdown.*|wpa_supplicant.*"
    r"|dhcpcd.*|dhclient.*|chrony.*|ntp.*|emergency|rescue|getty@.*|serial-getty@.*)\.[a-z]+"
)
"""Without them nobody reaches the device, or nobody can mend it; what else a device cannot do
without is declared as an essential function."""


class ServiceManager:
    """systemd, as a responder needs it.

    Args:
        context: of the responder; its option `systemctl` names another program, as tests do.
    """

    def __init__(self, context: ResponderContext) -> None:
        self._untouchable = context.untouchable_pids
        self._lock = context.run_dir / "systemctl.lock"
        self._program = str(context.options.get("systemctl", "")) or _found()

    def unavailable(self) -> str:
        """Why units cannot be started and stopped here, or ""."""
        if not self._program:
            return (
                f"expected systemd, found no systemctl ({' or '.join(PROGRAMS)}): units of other "
                "supervisors are not restarted or stopped by Vedette"
            )
        try:
            said = program.run([self._program, "is-system-running"], ASK_TIMEOUT_S).output.strip()
        except (OSError, TimeoutError) as error:
            return f"systemd cannot be asked: {error}"
        if said in _RUNNING:
            return ""
        return (
            "expected systemd as the first process (sd_booted(3)), "
            f"`systemctl is-system-running` says {quoted(said)}: units of other supervisors are "
            "not restarted or stopped by Vedette"
        )

    def target(self, order: Order) -> UnitState:
        """The unit that an order means, as it is now.

        Raises:
            ResponseError: it is none of ours to touch, is not there, or cannot be asked about.
        """
        if not isinstance(order.target, UnitTarget):
            kind = type(order.target).__name__
            raise ResponseError(f"expected a unit to act on, got a {kind}")
        state = self.state(order.target.unit)
        if state.unit != order.target.unit:
            alias = quoted(order.target.unit)
            raise ResponseError(f"expected a unit's first name, {alias} is one of {state.unit}")
        if why := self.why_untouchable(state):
            raise ResponseError(why)
        if state.load != "loaded":
            raise ResponseError(f"expected {state.unit} to be loaded, it is {quoted(state.load)}")
        return state

    def why_untouchable(self, state: UnitState) -> str:
        """Why this unit is never stopped, whatever the order says, or ""."""
        if _NEVER.fullmatch(state.unit):
            return f"{state.unit} is never touched: the device or the agent cannot do without it"
        if state.main_pid in self._untouchable:
            return f"{state.unit} is never touched: it runs the protected process {state.main_pid}"
        if state.control_group and _is_within(_own_group(), state.control_group):
            return f"{state.unit} is never touched: Vedette runs in it"
        return ""

    def state(self, unit: str) -> UnitState:
        """A unit as it is now.

        Raises:
            ResponseError: systemd cannot be asked, or does not answer as it should.
        """
        try:
            name = unit_name(unit)
            asked = f"--property={','.join(PROPERTIES)}"
            ran = self._run(["show", asked, "--", name], ASK_TIMEOUT_S)
            if ran.status:
                raise ResponseError(f"systemctl show {name} left with {ran.status}: {_last(ran)}")
            return parse_state(ran.output)
        except ParseError as error:
            raise ResponseError(str(error)) from error

    def change(self, verb: str, *units: str) -> str:
        """Have units started, stopped or restarted together, and wait for it.

        One systemctl does it all: it ends its work also when the agent is killed meanwhile, and a
        socket that was stopped cannot be started while its service runs.

        Args:
            verb: of systemctl: "start", "stop", "restart".
            units: names that systemd itself gave.

        Returns:
            "" or why it was not done, or not yet.

        Raises:
            ResponseError: systemd cannot be asked.
        """
        names = ", ".join(units)
        try:
            words = [verb, "--", *map(unit_name, units)]
            with self._alone() as lock:
                ran = self._run(words, CHANGE_TIMEOUT_S, lock=lock)
        except TimeoutError:
            return f"systemd was asked to {verb} {names}, and is still at it"
        except ParseError as error:
            return str(error)
        return (
            f"systemctl {verb} {names} left with {ran.status}: {_last(ran)}" if ran.status else ""
        )

    def settle(self) -> None:
        """Wait until no systemctl that an earlier agent started is still at work."""
        with self._alone():
            return

    @contextlib.contextmanager
    def _alone(self) -> Iterator[int]:
        """Hold the lock that every systemctl of ours inherits; one that hangs is not waited for."""
        lock = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            ends_s = time.monotonic() + SETTLE_S
            while not _is_locked(lock) and time.monotonic() < ends_s:
                time.sleep(program.LOOK_S)
            yield lock
        finally:
            os.close(lock)

    def _run(self, words: list[str], timeout_s: float, *, lock: int = -1) -> Ran:
        argv = [self._program, "--no-ask-password", "--no-pager", *words]
        try:
            return program.run(argv, timeout_s, lock=lock)
        except TimeoutError as error:
            if words[0] != "show":
                raise
            raise ResponseError(f"systemd does not answer: {error}") from error
        except OSError as error:
            raise ResponseError(f"{self._program or 'systemctl'}: {error.strerror}") from error


def _found() -> str:
    return next((path for path in PROGRAMS if os.access(path, os.X_OK)), "")


def _is_locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _last(ran: Ran) -> str:
    lines = [line for line in ran.output.split("\n") if line.strip()]
    return escape(lines[-1])[:200] if lines else "it said nothing"


def _own_group() -> str:
    """The control group that systemd put us in, in either of its hierarchies, or ""."""
    groups = {}
    with open("/proc/self/cgroup", encoding="utf-8", errors="replace") as stream:  # noqa: PTH123
        for line in stream:
            number, _, rest = line.rstrip("\n").partition(":")
            controllers, _, path = rest.partition(":")
            groups[controllers or number] = path
    return groups.get("name=systemd") or groups.get("0", "")


def _is_within(group: str, parent: str) -> bool:
    return parent != "/" and (group == parent or group.startswith(f"{parent}/"))
