"""Has the essential functions probed: at each period, and when a response was carried out.

Rule 1: the probe runs in a short-lived child (daemon/essential_prober.py), never here.
Rule 2: every probe that was made is told to the core; one that could not be made says nothing about
the function, and is a finding of its own, once for each time it begins.
Rule 3: after a response they are probed at once and again FOLLOW_UP_S later: some things break
slowly.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import Callable, Mapping, Sequence

from vedette.codec.essential import MAX_REPORT_BYTES, decode_report, encode_request
from vedette.core.inputs import EssentialProbed, Guarded
from vedette.daemon.shell import Shell, now
from vedette.errors import DeviceError, ParseError
from vedette.model.essential import EssentialFunction, Probed
from vedette.model.finding import Severity
from vedette.sensors._child import Child

FOLLOW_UP_S = 4.0
GRACE_S = 6.0
"""What the child has beside the functions' own time, on a machine that is busy."""
_TRIES = 2
PROBER = (sys.executable, "-I", "-m", "vedette.daemon.essential_prober")


class Essentials:
    """The clock of the probes.

    Args:
        shell: leads to the core.
        functions: what is declared.
        every_s: seconds between two probes that nobody asks for.
        argv: of the prober, before its request.

    Attributes:
        on_probed: told after each round, when `guarded` may have changed.
    """

    def __init__(
        self,
        shell: Shell,
        functions: Sequence[EssentialFunction],
        *,
        every_s: float,
        argv: Sequence[str] = PROBER,
    ) -> None:
        self._shell, self._functions, self._every_s = shell, tuple(functions), every_s
        self._argv = tuple(argv)
        self._wanted = asyncio.Event()
        self._newest: dict[str, Probed] = {}
        self._problem = ""
        self.on_probed: Callable[[], None] = lambda: None

    @property
    def newest(self) -> Mapping[str, Probed]:
        """What the last probe of each function found."""
        return self._newest

    @property
    def functions(self) -> tuple[EssentialFunction, ...]:
        """What is declared."""
        return self._functions

    @property
    def problem(self) -> str:
        """Why the last round could not be made, or ""."""
        return self._problem

    def ask(self, reason: str) -> None:
        """Have them probed now; several questions at once are one."""
        del reason
        self._wanted.set()

    def guarded(self) -> Guarded:
        """What no response may touch for their sake, as far as it is known by now."""
        functions = self._functions
        pids = {pid for probed in self._newest.values() for pid in probed.pids}
        paths = {path for one in functions for path in (*one.paths, *one.command[:1])}
        return Guarded(
            *now(),
            pids=frozenset(pids),
            addresses=frozenset(peer for one in functions for peer in one.peers),
            units=frozenset(one.unit for one in functions if one.unit),
            paths=frozenset(paths),
        )

    async def run(self) -> None:
        """Probe until cancelled; returns at once where nothing is declared."""
        if not self._functions:
            return
        while True:
            is_asked = self._wanted.is_set()
            self._wanted.clear()
            await self.probe()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(FOLLOW_UP_S if is_asked else self._every_s):
                    await self._wanted.wait()

    async def probe(self) -> None:
        """Make one round and tell what it found."""
        try:
            found = await ask_prober(self._functions, self._argv)
        except (DeviceError, ParseError, OSError) as error:
            self._fail(str(error))
            return
        self._problem = ""
        for probed in found:
            self._newest[probed.name] = probed
            told = EssentialProbed(*now(), probed.name, probed.is_up, probed.detail)
            self._shell.tell(told)
        self.on_probed()

    def _fail(self, reason: str) -> None:
        if not self._problem:
            title = "The essential functions cannot be probed"
            fields = {"Reason": reason}
            self._shell.report("essential-unprobed", title, Severity.HIGH, fields)
        self._problem = reason


async def ask_prober(
    functions: Sequence[EssentialFunction], argv: Sequence[str] = PROBER
) -> tuple[Probed, ...]:
    """Have some functions probed once.

    Args:
        functions: at least one.
        argv: of the prober, before its request.

    Raises:
        DeviceError, ParseError, OSError: the prober could not do it; nothing is known of them.
    """
    names = [one.name for one in functions]
    limit_s = max(one.timeout_s for one in functions) * _TRIES + GRACE_S
    reading, writing = os.pipe()
    try:
        child = Child([*argv, encode_request(functions)], writing)
    finally:
        os.close(writing)
    try:
        async with asyncio.timeout(limit_s):
            report = await _read(reading)
            status = await child.wait()
    except TimeoutError as error:
        raise DeviceError(f"the prober did not end within {limit_s:g} s") from error
    finally:
        os.close(reading)
        await child.end()
    found = decode_report(report, names)
    if len(found) < len(names):
        raise DeviceError(f"the prober left with {status}, having told {len(found)} of them")
    return found


async def _read(descriptor: int) -> bytes:
    """All that comes until the other end is closed.

    Raises:
        DeviceError: it is more than a report may be; who speaks without end is not waited for.
    """
    os.set_blocking(descriptor, False)
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_reader(descriptor, ready.set)
    data = bytearray()
    try:
        while len(data) <= MAX_REPORT_BYTES:
            await ready.wait()
            ready.clear()
            with contextlib.suppress(BlockingIOError):
                piece = os.read(descriptor, 65_536)
                if not piece:
                    return bytes(data)
                data += piece
    finally:
        loop.remove_reader(descriptor)
    raise DeviceError(f"expected a report of at most {MAX_REPORT_BYTES} bytes, got more")
