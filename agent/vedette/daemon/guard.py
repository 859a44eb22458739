"""Guards the agent itself: looks every LOOK_S at what it stands on, puts back, and tells.

Rule 1: what the kernel tells as it happens (who opens our memory, writes in our folders) is told at
once; everything else is found by a look.
Rule 2: a look is cheap: some twenty stat(2) calls and four small reads, well below a millisecond;
the programs' folders, which take longer, are looked at in every sixth.
Rule 3: nothing here decides whether a change was legitimate: an operator's own are told as well,
and their findings are the trace of them.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import vedette
from vedette.daemon import folders, own_files, update_pids
from vedette.daemon.clock_watch import ClockWatch
from vedette.daemon.config import Config, enrolled_file
from vedette.daemon.meddling import Meddling, MeddlingWatch
from vedette.daemon.neighbours import Neighbours
from vedette.daemon.own_files import OwnFiles
from vedette.daemon.pressure import Pressure
from vedette.daemon.shell import now
from vedette.daemon.tamper_reports import TamperReports
from vedette.daemon.watchdog import SOCKET as NOTIFY_SOCKET
from vedette.daemon.way_out import WayOut
from vedette.errors import DeviceError, UplinkError
from vedette.sensors._scanner_process import recent_pids

if TYPE_CHECKING:
    from vedette.daemon.control import ControlServer
    from vedette.daemon.parts import Parts
    from vedette.uplink.link import LinkUplink

LOOK_S: Final = 10.0
PROGRAMS_EVERY: Final = 6
SILENT_S: Final = 90.0
"""The uplink answers in its loop, which waits for nothing: even a device that swaps needs less."""


class Situation(NamedTuple):
    """What the guard has to know of the other parts at a look.

    Attributes:
        pids: the agent's other processes by name, 0 where one does not run.
        journal_trouble: why the journal is kept in memory, or "".
        is_connected: whether there is a session with the broker, or none is wanted.
        uplink_silent_s: for how long the uplink process has owed an answer.
    """

    pids: Mapping[str, int]
    journal_trouble: str
    is_connected: bool
    uplink_silent_s: float = 0.0


class Guard:
    """Looks after the agent's own.

    Args:
        config: names our files.
        config_path: itself one of them.
        reports: takes what is found.
        situation: asked at every look.
        who: the pid last seen to change a path, 0 where nobody knows.
        reopen: makes a socket anew, by its path; what cannot be listened on raises.
    """

    def __init__(
        self,
        config: Config,
        config_path: Path,
        reports: TamperReports,
        *,
        situation: Callable[[], Situation],
        who: Callable[[str], int],
        reopen: Mapping[str, Callable[[], None]],
    ) -> None:
        self._config, self._reports, self._situation, self._who = config, reports, situation, who
        self._reopen = reopen
        self._files = OwnFiles(_listings(config, config_path))
        self._sockets = OwnFiles({"socket": own_files.files(*reopen)})
        self._programs = OwnFiles({"program": own_files.programs(vedette.__path__[0])})
        self._pressure = Pressure(Path(config.paths.state))
        self._clock = ClockWatch(*now())
        self._neighbours = Neighbours()
        self._way_out = WayOut(now()[0])
        self._meddling = MeddlingWatch(
            self._meddled, lambda: self.pids() | recent_pids() | update_pids.recent()
        )
        self._looks = 0
        self._journal_trouble = ""

    @property
    def lacking(self) -> tuple[str, ...]:
        """What cannot be watched as it happens, and why; one line each."""
        return tuple(self._meddling.lacking)

    def open(self) -> None:
        """Begin, when all sockets are open; `look` is to be called every LOOK_S from now on."""
        self._sockets.expect("socket")
        state = Path(self._config.paths.state)
        below = sorted(str(path) for path in state.iterdir() if path.is_dir())
        self._meddling.open([str(state), *below, self._config.paths.run])
        self._meddling.guard(self.pids())

    def pids(self) -> frozenset[int]:
        """The agent's own processes now."""
        return frozenset({os.getpid(), *self._situation().pids.values()} - {0})

    def look(self) -> None:
        """Compare, put back and tell."""
        situation = self._situation()
        self._looks += 1
        self._look_at_files()
        self._look_at_sockets()
        self._meddling.guard(self.pids())
        for held in self._neighbours.held(situation.pids):
            self._reports.held(held)
        if situation.uplink_silent_s >= SILENT_S:
            self._end_uplink(situation)
        for pressed in self._pressure.begun():
            self._reports.pressed(pressed)
        boot_s, wall_s = now()
        if step_s := self._clock.stepped_s(boot_s, wall_s):
            self._reports.clock_set(step_s)
        if blocked := self._way_out.blocked(boot_s, is_up=situation.is_connected):
            self._reports.way_out_blocked(blocked)
        if situation.journal_trouble and not self._journal_trouble:
            self._reports.journal_in_memory(situation.journal_trouble)
        self._journal_trouble = situation.journal_trouble

    def robbed(self, sensor: str, reason: str) -> None:
        """A source was started again, because what it watches with had been taken away."""
        self._reports.watch_removed(sensor, reason)

    def close(self) -> None:
        """Stop watching. Safe to call twice."""
        self._meddling.close()

    def _end_uplink(self, situation: Situation) -> None:
        """One that hangs delivers nothing and keeps its place: whoever started it starts another.

        Its end of the socket is still open, so its pid means nobody else.
        """
        pid = situation.pids.get("uplink", 0)
        self._reports.silent("uplink", pid, situation.uplink_silent_s)
        if pid > 1:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)

    def _look_at_files(self) -> None:
        found = self._files.changed()
        if self._looks % PROGRAMS_EVERY == 0:
            found += self._programs.changed()
        for change in found:
            self._reports.file(change, self._who(change.path))

    def _look_at_sockets(self) -> None:
        for change in self._sockets.changed():
            if change.what == own_files.NEW:
                continue  # the keeper made its own anew
            what = f"{change.what}, and it was made anew"
            try:
                folders.prepare_if_gone(self._config.paths.run, "[paths] run")
                self._reopen[change.path]()
            except (DeviceError, UplinkError) as error:
                what = f"{change.what}; it cannot be made anew: {error}"
            self._reports.file(change._replace(what=what), self._who(change.path))
        self._sockets.expect("socket")

    def _meddled(self, seen: Meddling) -> None:
        """What is offered in the state folder is for others to write; `own_files` tells of it."""
        offered = (self._config.rules.bundle, self._config.rules.profile)
        names = [os.path.basename(path) for path in offered if path]  # noqa: PTH119
        if seen.is_memory or not any(name in os.path.basename(seen.path) for name in names):  # noqa: PTH119
            self._reports.meddling(seen)


def _listings(config: Config, config_path: Path) -> dict[str, own_files.Listing]:
    rules, uplink = config.rules, config.uplink
    return {
        "configuration": own_files.files(str(config_path), str(enrolled_file(config_path))),
        "trust": own_files.files(rules.trust),
        "key": own_files.files(config.identity.key, uplink.key, uplink.certificate, uplink.ca),
        "rules": own_files.files(rules.bundle, rules.profile),
        "unit": own_files.units(),
        "program": own_files.files(os.path.realpath(sys.executable)),
    }


def of_sentinel(parts: Parts, control: ControlServer, link: LinkUplink) -> Guard:
    """The guard of a running sentinel, over its parts."""
    config = parts.config

    def situation() -> Situation:
        status = parts.journal.status()
        delivery = parts.outgoing.delivery
        is_up = delivery is not None and delivery.session.is_up
        return Situation(
            pids={"keeper": os.getppid() if _is_kept(config) else 0, "uplink": link.peer_pid},
            journal_trouble=status.reason if status.is_degraded else "",
            is_connected=is_up or not config.uplink.enabled,
            uplink_silent_s=link.ask(now()[0]),
        )

    def who(path: str) -> int:
        hint = parts.agent.hints.who(path)
        return hint.pid if hint is not None else 0

    return Guard(
        config,
        parts.config_path,
        TamperReports(parts.shell),
        situation=situation,
        who=who,
        reopen={
            str(config.control_socket): control.reopen,
            str(config.uplink_socket): link.reopen,
            **({_keeper_socket(config): _wake_keeper} if _is_kept(config) else {}),
        },
    )


def _keeper_socket(config: Config) -> str:
    return f"{config.paths.run}/{NOTIFY_SOCKET}"


def _is_kept(config: Config) -> bool:
    """Whether our parent is the keeper and no service manager."""
    return os.environ.get("NOTIFY_SOCKET", "") == _keeper_socket(config)


def _wake_keeper() -> None:
    """SIGIO is how it hears us; it makes its socket anew when it finds it gone."""
    os.kill(os.getppid(), signal.SIGIO)
