"""The clock of the probes: what is told, when it is asked, and a prober that lets it down."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping, Sequence

import pytest

from vedette.codec.essential import encode_report
from vedette.core.inputs import EssentialProbed, Input
from vedette.daemon import essentials
from vedette.daemon.essentials import Essentials
from vedette.model.essential import EssentialFunction, Probed
from vedette.model.finding import Severity

FUNCTIONS = (
    EssentialFunction("web", port=80, peers=("10.0.0.0/8",), paths=("/srv",)),
    EssentialFunction("cam", unit="cam.service", command=("/bin/check",)),
)
FOUND = (Probed("web", True, "takes connections", (7,)), Probed("cam", False, "it is failed", ()))


class Shell:
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.told: list[EssentialProbed] = []
        self.reports: list[tuple[str, Mapping[str, str]]] = []

    def tell(self, given: Input) -> None:
        assert isinstance(given, EssentialProbed)
        self.told.append(given)

    def report(
        self, condition: str, title: str, severity: Severity, fields: Mapping[str, str]
    ) -> None:
        assert title
        assert severity is Severity.HIGH
        self.reports.append((condition, fields))


def reporting(found: Sequence[Probed], status: int = 0) -> tuple[str, ...]:
    """A prober that says this."""
    code = f"import os; os.write(1, {encode_report(found)!r}); raise SystemExit({status})"
    return (sys.executable, "-IS", "-c", code)


def made(shell: Shell, argv: Sequence[str], every_s: float = 3600.0) -> Essentials:
    return Essentials(shell, FUNCTIONS, every_s=every_s, argv=argv)  # type: ignore[arg-type]


def test_what_a_probe_finds_is_told() -> None:
    shell = Shell()
    found = made(shell, reporting(FOUND))
    asyncio.run(found.probe())
    assert [(one.name, one.is_up, one.detail) for one in shell.told] == [
        ("web", True, "takes connections"), ("cam", False, "it is failed"),
    ]  # fmt: skip
    assert found.newest["web"] == FOUND[0]


def test_what_they_need_is_guarded_and_their_processes_once_they_are_known() -> None:
    found = made(Shell(), reporting(FOUND))
    looked: list[frozenset[int]] = []
    found.on_probed = lambda: looked.append(found.guarded().pids)
    guarded = found.guarded()
    assert guarded.units == {"cam.service"}
    assert guarded.addresses == {"10.0.0.0/8"}
    assert guarded.paths == {"/srv", "/bin/check"}
    assert guarded.pids == frozenset()
    asyncio.run(found.probe())
    assert looked == [frozenset({7})]


LETTING_DOWN = {
    "ends without a word": ("-c", "raise SystemExit(5)"),
    "tells of one only": ("-c", f"import os; os.write(1, {encode_report(FOUND[:1])!r})"),
    "speaks nonsense": ("-c", "print('up')"),
    "speaks without end": ("-c", "while True: print('x' * 65536)"),
}


@pytest.mark.parametrize("words", LETTING_DOWN.values(), ids=LETTING_DOWN)
def test_a_prober_that_lets_us_down_says_nothing_of_the_functions(words: tuple[str, ...]) -> None:
    shell = Shell()
    found = made(shell, (sys.executable, "-IS", *words))
    asyncio.run(found.probe())
    assert shell.told == []
    assert [condition for condition, _ in shell.reports] == ["essential-unprobed"]
    assert found.problem
    assert "did not end within" not in found.problem  # none of them is waited for


def test_a_prober_that_is_not_there_is_told_once_until_it_is_back() -> None:
    shell = Shell()
    found = made(shell, ("/nowhere/python",))
    asyncio.run(found.probe())
    asyncio.run(found.probe())
    assert len(shell.reports) == 1
    found._argv = reporting(FOUND)
    asyncio.run(found.probe())
    assert found.problem == ""


def test_a_prober_that_hangs_is_ended_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(essentials, "GRACE_S", 0.2 - 10.0)  # its functions have 5 s, twice
    shell = Shell()
    found = made(shell, (sys.executable, "-IS", "-c", "import time; time.sleep(60)"))
    asyncio.run(found.probe())
    assert "did not end within 0.2 s" in shell.reports[0][1]["Reason"]


def test_they_are_probed_when_it_is_asked_and_again_a_little_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(essentials, "FOLLOW_UP_S", 0.05)

    async def play() -> int:
        shell = Shell()
        found = made(shell, reporting(FOUND))
        rounds = asyncio.Semaphore(0)
        found.on_probed = rounds.release
        async with asyncio.timeout(30), asyncio.TaskGroup() as group:
            running = group.create_task(found.run())
            await rounds.acquire()
            found.ask("after kill")
            await rounds.acquire()
            await rounds.acquire()  # the follow-up, though the period is an hour
            running.cancel()
        return len(shell.told)

    assert asyncio.run(play()) == 3 * len(FUNCTIONS)


def test_where_nothing_is_declared_nothing_runs() -> None:
    asyncio.run(Essentials(Shell(), (), every_s=0.0).run())  # type: ignore[arg-type]
