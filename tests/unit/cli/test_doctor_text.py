"""The doctor's report: its verdicts, and its text as a whole."""

from __future__ import annotations

import pytest

from vedette.cli._doctor_text import (
    BLIND,
    DEGRADED,
    GOOD,
    ClassReport,
    Diagnosis,
    Failure,
    from_answer,
    from_reports,
    profile_facts,
    render,
    to_json,
    verdict,
)
from vedette.cli._terminal import Painter
from vedette.codec.strict_json import Json
from vedette.daemon.health import Fact
from vedette.model.event import EventClass
from vedette.model.tier import Tier, TierReport

WELL = Fact("memory", is_good=True, found="312 MB of 512 MB available")
CLOCK = Fact("clock", is_good=False, found="1970-01-01 00:00:07 UTC", advice="set it")


def seen(name: str, *failures: Failure) -> ClassReport:
    return ClassReport(name, "source", f"every {name}", ("some",), failures)


def blind(name: str) -> ClassReport:
    return ClassReport(name, "", "", ("everything",), ())


ALL = (seen("process"), seen("file"), seen("network"), seen("kernel"), seen("log"))
LESS = Failure("fanotify", "EPERM \x1b[2J", ("CONFIG_FANOTIFY=y", "run as root"))

VERDICTS = {
    "all at their best": (Diagnosis("o", ALL, (WELL,)), GOOD),
    "a better source failed": (Diagnosis("o", (*ALL[:4], seen("log", LESS)), (WELL,)), DEGRADED),
    "the clock is wrong": (Diagnosis("o", ALL, (WELL, CLOCK)), DEGRADED),
    "no log source": (Diagnosis("o", (*ALL[:4], blind("log")), (WELL,)), DEGRADED),
    "no file source": (Diagnosis("o", (ALL[0], blind("file"), *ALL[2:]), (WELL,)), BLIND),
    "a vital class is not even named": (Diagnosis("o", ALL[1:], (WELL,)), BLIND),
    "nothing at all": (Diagnosis("o", (), ()), BLIND),
}


@pytest.mark.parametrize("name", VERDICTS)
def test_verdict(name: str) -> None:
    diagnosis, expected = VERDICTS[name]
    assert verdict(diagnosis) == expected
    assert to_json(diagnosis)["verdict"] == ("good", "degraded", "blind")[expected]


GOLDEN = """\
what watches this device (no agent runs: probed)

process  source
  sees   every process
  misses some

file     inotify
  sees   changes below the watched trees, up to the limit of watches that this kernel was given for
         each user
  misses who changed a file
  better fanotify: EPERM \\e[2J
  do     CONFIG_FANOTIFY=y
  do     run as root

network  nothing
  misses everything

what else matters
  ok  memory   312 MB of 512 MB available
  !!  clock    1970-01-01 00:00:07 UTC
      do     set it

BLIND: nothing watches network; file could be watched better; see to clock"""


def test_the_text_as_a_whole() -> None:
    sees = (
        "changes below the watched trees, up to the limit of watches that this kernel was given "
        "for each user"
    )
    file = ClassReport("file", "inotify", sees, ("who changed a file",), (LESS,))
    diagnosis = Diagnosis(
        "no agent runs: probed", (seen("process"), file, blind("network")), (WELL, CLOCK)
    )
    assert "\n".join(render(diagnosis, Painter(is_coloured=False))) == GOLDEN
    coloured = "\n".join(render(diagnosis, Painter(is_coloured=True)))
    assert "\x1b[31mBLIND\x1b[0m" in coloured
    assert "\x1b[2J" not in coloured


def test_a_probe_and_an_answer_give_the_same_classes() -> None:
    tier = Tier(EventClass.FILE, "inotify", 50, "changes", ("who",), ())
    reports = (
        TierReport(EventClass.FILE, tier, (("fanotify", "EPERM"),)),
        TierReport(EventClass.LOG, None, ()),
    )
    probed = from_reports(reports, {("file", "fanotify"): ("run as root",)})
    assert probed[0].failures == (Failure("fanotify", "EPERM", ("run as root",)),)
    assert from_answer(to_json(Diagnosis("", probed, ()))["classes"]) == probed


@pytest.mark.parametrize("answer", [None, 3, [], [1], [{"class": 1, "failures": [1, {}]}]])
def test_any_answer_is_read(answer: object) -> None:
    classes = from_answer(answer)  # type: ignore[arg-type] # an answer of any shape
    render(Diagnosis("", classes, ()), Painter(is_coloured=False))


def test_the_profile_and_the_learning_run_are_facts_of_a_running_agent() -> None:
    assert profile_facts({}) == ()
    (none,) = profile_facts({"profile": {"state": "none", "reason": ""}})
    assert (none.is_good, none.name) == (True, "profile")
    (refused,) = profile_facts({"profile": {"state": "none", "reason": "a foreign key"}})
    assert not refused.is_good
    assert "a foreign key" in refused.advice
    (stale,) = profile_facts({"profile": {"state": "stale", "reason": "learnt on os 1"}})
    assert not stale.is_good
    (past,) = profile_facts(
        {"profile": {"state": "in force", "name": "cam", "firmware": "os 1", "expired": True}}
    )
    assert (past.is_good, past.found) == (False, "cam of os 1 is in force")
    in_force, learning = profile_facts(
        {
            "profile": {"state": "in force", "name": "cam", "firmware": "os 1", "reason": ""},
            "learning": {"state": "learning", "elapsed_s": 5, "wanted_s": 9},
        }
    )
    assert in_force.is_good
    assert learning.found == "5 of 9 s; what it sees is trusted"


def test_what_of_the_agent_itself_is_not_watched_is_a_fact_with_its_advice() -> None:
    (found,) = profile_facts({"guard": {"lacks": ["memory of the agent: no fanotify"]}})
    assert (found.name, found.is_good) == ("guard", False)
    assert found.found == "memory of the agent: no fanotify"
    assert "CONFIG_FANOTIFY" in found.advice
    odd: list[Json] = [{}, [], {"lacks": None}, {"lacks": [1]}]
    for value in odd:
        assert profile_facts({"guard": value}) == ()
