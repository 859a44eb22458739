"""Looking processes up: whoever began after the event is not the one that is meant."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from vedette.core.commands import Subject
from vedette.daemon import facts

OWN = os.getpid()


def began_s() -> float:
    own = facts.lookup(OWN)
    assert own is not None
    return facts.began_s(own.start_ticks)


def boot_s() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def test_a_process_is_found_with_its_ancestors() -> None:
    found = facts.lookup_chains({OWN: boot_s()}, known=())
    assert [process.pid for process in found[:2]] == [OWN, os.getppid()]


def test_a_process_that_began_after_the_event_is_another_one() -> None:
    assert facts.lookup_chains({OWN: began_s() - 1.0}, known=()) == ()
    assert facts.lookup_chains({OWN: began_s()}, known=())


def test_a_pid_used_again_before_the_event_is_told_as_somebody_else() -> None:
    began = began_s()
    was_another = Subject(OWN, 0, "/bin/former", began - 5.0, began + 5.0)
    ended_later = Subject(OWN, 0, "/bin/former", began - 5.0, began - 1.0)
    itself = Subject(OWN, 0, str(Path("/proc/self/exe").readlink()), began + 0.1, began + 5.0)
    details = facts.Facts().resolve((was_another, ended_later, itself))
    assert [detail.is_other for detail in details] == [True, False, False]
    assert [bool(detail.start_ticks) for detail in details] == [False, False, True]


def test_who_is_gone_is_unknown_and_nobody_else() -> None:
    (detail,) = facts.Facts().resolve((Subject(2**22 + 1, 7, "/gone", 0.0, 1.0),))
    assert (detail.start_ticks, detail.is_other, detail.sha256) == (0, False, "")


@pytest.mark.parametrize("known_s", [0.001, -0.010])
def test_so_close_together_the_program_tells_who_is_who(known_s: float) -> None:
    began = began_s()
    image = str(Path("/proc/self/exe").readlink())
    same, other = (
        Subject(OWN, 0, program, began + known_s, began + 5.0) for program in (image, "/bin/former")
    )
    details = facts.Facts().resolve((same, other))
    assert [detail.is_other for detail in details] == [False, True]
