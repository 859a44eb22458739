"""Keeps the agent's parts running: starts them, restarts what fails, stops them in order.

Rule 1: one thread, no asyncio, few imports (not even typing, which costs 1.6 MB; `vedette run`
execs this module): it stays resident beside the sentinel and the uplink and costs next to nothing.
Rule 2: signals stay blocked and are taken one by one with sigtimedwait(2): no handler, no race.
Rule 3: it ends only what it started (daemon/kept_process.py).
Rule 4: after each end of the sentinel, also by SIGKILL, `vedette restore` puts back what the
sensors changed in the kernel.
Rule 5: the first part stops first while the others still serve it; a second signal cuts that short.
Rule 6: a request for an update (daemon/update_request.py) begins one, beside the parts; it is not
begun again by itself, and ends with the keeper.
Rule 7: a first part that says nothing for too long is ended by SIGABRT, so that its traceback is in
the log, and started again like one that failed.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence

from vedette.daemon import kept_process
from vedette.daemon.restart_budget import MOST_FAILURES, WINDOW_S, RestartBudget
from vedette.daemon.watchdog import SILENT_S, Watchdog

STOP_DEADLINE_S = 10.0
"""What the first part has to flush in; the journal needs one fsync, flash can take seconds."""
LAST_DEADLINE_S = 3.0
RESTORE_DEADLINE_S = 10.0
ABORT_DEADLINE_S = 5.0
"""What a silent part has to write its traceback in."""

REPORT = "keeper.tsv"
"""name, failures, pause in seconds, last end: one line for each part (`keeper_report.read`)."""
TOLD = "keeper.told"
"""What of it the sentinel has told, in the same form (`keeper_report.take_new`)."""
LOCK = "keeper.lock"
REQUEST = "update.request"
"""`Config.update_request`; what it says is read by whom it starts."""

EXIT_KILLED = 1
EXIT_ERROR = 2

SIGNALS = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD, signal.SIGIO})
STOP_SIGNALS = frozenset({signal.SIGTERM, signal.SIGINT})

PASSED_ON = ("PATH", "LANG", "LC_ALL", "TZ", "NO_COLOR")
"""Nothing else of the environment reaches a part: it is read by root and may hold secrets."""


class Part:
    """One process to keep; argv holds no secret, since everybody may read it."""

    __slots__ = ("argv", "name")

    def __init__(self, name: str, argv: tuple[str, ...]) -> None:
        self.name = name
        self.argv = argv


class Running:
    """A part and what became of it; `pid` is 0 while it does not run."""

    __slots__ = ("budget", "due_s", "fault", "last_end", "part", "pause_s", "pid", "started_s")

    def __init__(self, part: Part) -> None:
        self.part = part
        self.pid = 0
        self.budget = RestartBudget()
        self.started_s = 0.0
        self.due_s = 0.0
        self.pause_s = 0.0
        self.fault = ""
        self.last_end = ""


class Keeper:
    """Runs parts until it is told to stop.

    Args:
        parts: in the order of their start and stop; SIGHUP goes to the first.
        restore: argv that undoes what the first part left behind.
        update: argv of a short-lived part, begun when the run folder has a request for it.
        run_dir: gets the report of failures (`keeper_report.read`).
        environment: of the parts.
        watchdog: hears the first part; closed when `run` ends.
        say: takes one line for people.
    """

    def __init__(
        self,
        parts: Sequence[Part],
        *,
        restore: tuple[str, ...],
        run_dir: str,
        environment: Mapping[str, str],
        watchdog: Watchdog,
        say: Callable[[str], None],
        update: tuple[str, ...] = (),
    ) -> None:
        self._update = update
        self._updating = 0
        self._parts = [Running(part) for part in parts]
        self._restore = restore
        self._run_dir = run_dir
        self._environment = environment
        self._watchdog = watchdog
        self._say = say
        self._is_stopping = False
        self._mask: set[int] = set()

    def run(self) -> int:
        """Keep the parts running.

        Returns:
            0 after a stop in good order, EXIT_KILLED if a part had to be killed.
        """
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        # `vedette run` blocks them before its exec already: the parts need them open.
        self._mask = set(signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)) - SIGNALS
        self._forget_earlier()
        try:
            while True:
                self._start_due()
                received = self._wait(min(self._next_due_s(), self._watchdog.due_s))
                if received in STOP_SIGNALS:
                    return self._stop()
                if received == signal.SIGHUP and self._parts[0].pid:
                    os.kill(self._parts[0].pid, signal.SIGHUP)
                self._listen()
                self._reap()
                self._begin_update()
        finally:
            self._kill_all()
            self._watchdog.close()
            signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)

    def _forget_earlier(self) -> None:
        """What an earlier keeper reported is no failure of these parts."""
        for name in (REPORT, TOLD):
            with contextlib.suppress(OSError):
                os.unlink(f"{self._run_dir}/{name}")  # noqa: PTH108 (no pathlib here)

    def _start_due(self) -> None:
        now_s = time.monotonic()
        for index, running in enumerate(self._parts):
            if not running.pid and running.due_s <= now_s:
                environment = self._environment
                if index == 0:
                    environment = {**environment, **self._watchdog.environment}
                    self._watchdog.started(now_s)
                running.pid = self._spawn(running.part.argv, environment)
                running.started_s = now_s

    def _next_due_s(self) -> float:
        waiting = [running.due_s for running in self._parts if not running.pid]
        return min(waiting, default=float("inf"))

    def _wait(self, until_s: float) -> int:
        """The next signal, or 0 when it is `until_s`."""
        if until_s == float("inf"):
            return signal.sigwaitinfo(SIGNALS).si_signo
        left_s = max(0.0, until_s - time.monotonic())
        received = signal.sigtimedwait(SIGNALS, left_s)
        return received.si_signo if received else 0

    def _listen(self) -> None:
        """Hear the first part; end it if it has been silent for too long."""
        now_s = time.monotonic()
        self._mend_watchdog(now_s)
        self._watchdog.hear(now_s, is_stopping=self._is_stopping)
        first = self._parts[0]
        if first.pid and not self._is_stopping and self._watchdog.is_silent(now_s):
            self._say(f"{first.part.name} has been silent too long: where it hangs follows")
            first.fault = f"hung for {SILENT_S:g} s and "
            kept_process.abort(first.pid, ABORT_DEADLINE_S)

    def _mend_watchdog(self, now_s: float) -> None:
        """A socket that somebody removed must not make the first part look dead."""
        try:
            if self._watchdog.mend(now_s):
                self._say("the socket on which parts are heard was taken away, and was made anew")
        except OSError as error:
            self._say(f"parts cannot be heard any more: {error.strerror}")

    def _reap(self) -> None:
        if self._updating and kept_process.has_ended(self._updating):
            # What came of it is in the journal, and what it said in the log.
            kept_process.bury(self._updating)
            self._updating = 0
        for index, running in enumerate(self._parts):
            if not running.pid or not kept_process.has_ended(running.pid):
                continue
            running.last_end = running.fault + kept_process.bury(running.pid)
            running.fault = ""
            running.pid = 0
            if index == 0:
                self._watchdog.hear(time.monotonic(), is_stopping=self._is_stopping)
                self._watchdog.ended()
                self._run_restore()
            if not self._is_stopping:
                self._note_failure(running)

    def _note_failure(self, running: Running) -> None:
        now_s = time.monotonic()
        running.pause_s = running.budget.failed(running.started_s, now_s)
        running.due_s = now_s + running.pause_s
        self._write_report()
        name = running.part.name
        if running.pause_s:
            self._say(
                f"{name} {running.last_end}, more than {MOST_FAILURES} times within "
                f"{WINDOW_S:.0f} s: next start in {running.pause_s:.0f} s; its reason stands above"
            )
        else:
            self._say(f"{name} {running.last_end}: starting it again")

    def _write_report(self) -> None:
        """Replace the report at once: who reads sees the old one or the new one."""
        lines = [
            f"{running.part.name}\t{running.budget.restarts}\t{running.pause_s:.0f}\t"
            f"{running.last_end}\n"
            for running in self._parts
        ]
        path = f"{self._run_dir}/{REPORT}"
        try:
            with open(f"{path}.new", "w", encoding="ascii") as stream:  # noqa: PTH123 (no pathlib)
                stream.writelines(lines)
            os.replace(f"{path}.new", path)  # noqa: PTH105 (no pathlib here)
        except OSError as error:
            self._say(f"cannot write {path}: {error.strerror}")

    def _stop(self) -> int:
        self._is_stopping = True
        code = 0
        for index, running in enumerate(self._parts):
            deadline_s = STOP_DEADLINE_S if index == 0 else LAST_DEADLINE_S
            if running.pid and not self._end(running, deadline_s):
                self._say(f"{running.part.name} had to be killed: what it had not written is lost")
                code = EXIT_KILLED
        return code

    def _end(self, running: Running, deadline_s: float) -> bool:
        """Ask one part to end; False if it had to be killed."""
        os.kill(running.pid, signal.SIGTERM)
        until_s = time.monotonic() + deadline_s
        while running.pid and time.monotonic() < until_s:
            if self._wait(until_s) in STOP_SIGNALS:
                break
            self._listen()
            self._reap()
        if not running.pid:
            return True
        self._kill(running)
        return False

    def _kill(self, running: Running) -> None:
        kept_process.kill(running.pid)
        self._reap()

    def _kill_all(self) -> None:
        """After a fault of our own: leave nothing behind."""
        self._is_stopping = True
        if self._updating:
            kept_process.kill(self._updating)
            kept_process.bury(self._updating)
            self._updating = 0
        for running in self._parts:
            if running.pid:
                self._kill(running)

    def _begin_update(self) -> None:
        """Whoever asks wakes us too (daemon/update_schedule.py); one at a time."""
        request = f"{self._run_dir}/{REQUEST}"
        if self._update and not self._updating and os.path.lexists(request):
            self._updating = self._spawn(self._update, self._environment)

    def _run_restore(self) -> None:
        pid = self._spawn(self._restore, self._environment)
        if not kept_process.await_end(pid, time.monotonic() + RESTORE_DEADLINE_S):
            kept_process.kill(pid)
        end = kept_process.bury(pid)
        if end != kept_process.ENDED_WELL:
            self._say(f"vedette restore {end}: run it by hand and read what it says")

    def _spawn(self, argv: tuple[str, ...], environment: Mapping[str, str]) -> int:
        return kept_process.spawn(argv, environment, self._mask)


def lock(run_dir: str) -> int:
    """Make sure that one keeper serves a run folder; the descriptor holds the lock.

    Raises:
        BlockingIOError: another one does; `str(error)` says what to do.
    """
    descriptor = os.open(f"{run_dir}/{LOCK}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = os.read(descriptor, 32).decode("ascii", "replace").strip()
        os.close(descriptor)
        raise BlockingIOError(
            f"already running in {run_dir} as pid {holder or 'unknown'}; see: vedette status"
        ) from error
    os.ftruncate(descriptor, 0)
    os.write(descriptor, f"{os.getpid()}\n".encode())
    return descriptor


def say(line: str) -> None:
    """One line on stderr."""
    print(f"vedette: {line}", file=sys.stderr, flush=True)  # noqa: T201 (stderr is the system log)


def program() -> tuple[str, ...]:
    """The argv that begins every command of ours: this Python, without PYTHON* and user site."""
    return (sys.executable, "-I", "-m", "vedette.cli")


def main(arguments: Sequence[str]) -> int:
    """Keep sentinel and uplink.

    Args:
        arguments: run folder, configuration, "uplink" or "", and the file to record to or "".
    """
    run_dir, config, uplink, record = arguments
    os.umask(0o077)
    try:
        descriptor = lock(run_dir)
    except OSError as error:
        say(str(error))
        return EXIT_ERROR
    try:
        watchdog = Watchdog(run_dir, os.environ)
    except OSError as error:
        say(f"{run_dir}: cannot listen there for the sentinel: {error.strerror}")
        return EXIT_ERROR
    recording = ("--record", record) if record else ()
    parts = [Part("sentinel", (*program(), "sentinel", "--config", config, *recording))]
    if uplink:
        parts.append(Part("uplink", (*program(), "uplink", "--config", config)))
    keeper = Keeper(
        parts,
        restore=(*program(), "restore", "--config", config),
        run_dir=run_dir,
        environment={name: os.environ[name] for name in PASSED_ON if name in os.environ},
        watchdog=watchdog,
        say=say,
        update=(*program(), "update", "run", "--by-request", "--config", config),
    )
    try:
        return keeper.run()
    finally:
        os.close(descriptor)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
