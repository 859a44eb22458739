"""Of a recording, each enclosure gets what its own processes did, and nothing else."""

from __future__ import annotations

from vedette.core.agent import AgentSettings
from vedette.core.inputs import Input, LookedUp, Observed, RulesLoaded, Seeded
from vedette.model.event import Event, FileChanged, KernelActivity, ProcessStarted
from vedette.model.finding import Severity
from vedette.model.rule import Bundle, Match, Rule
from vedette_dev.seen import Seen, findings_alone, seen_by_word

SPANS = {"oneword": (1.0, 2.0), "twoword": (3.0, 4.0)}
RULE = Rule(
    rule_id="r",
    title="Odd program",
    author="a",
    severity=Severity.HIGH,
    tags=("attack.t1059",),
    category="process_creation",
    condition=Match("Image", "endswith", "/odd", is_cased=False),
    fields=("Image",),
)
RULES = RulesLoaded(0.0, 0.0, Bundle("b", 1, 0, 0, (RULE,), (), "digest"))


def started(at_s: float, pid: int, ppid: int, image: str) -> ProcessStarted:
    return ProcessStarted(
        at_s, "audit", pid, ppid, 0, image, image, image, True, 0, 0, "", "", 0, 0
    )


def changed(at_s: float, pid: int, path: str) -> FileChanged:
    return FileChanged(at_s, "fanotify", "modified", path, "", pid, -1, -1, False, "")


def sort(*events: Event | Input) -> dict[str, Seen]:
    inputs: list[Input] = [RULES, Seeded(0.1, 0.1, (started(0.1, 5, 1, "/bin/host"),), {})]
    for event in events:
        is_input = isinstance(event, LookedUp)
        inputs.append(event if is_input else Observed(event.at_s, event.at_s, (event,)))  # type: ignore[arg-type]
    return seen_by_word(inputs, SPANS)[0]


def test_children_of_the_launcher_belong_to_its_word() -> None:
    found = sort(
        started(1.1, 10, 5, "/oneword"),
        started(1.2, 11, 10, "/bin/sh"),
        started(1.3, 12, 11, "/bin/odd"),
        started(1.3, 13, 5, "/bin/odd"),
    )
    assert found["oneword"].pids == {10, 11, 12}
    assert found["oneword"].programs == 2
    assert not found["twoword"].is_anything


def test_a_shell_alone_is_nothing() -> None:
    found = sort(started(1.1, 10, 5, "/oneword"), started(1.2, 11, 10, "/bin/sh"))
    assert not found["oneword"].is_anything


def test_a_pid_used_again_by_somebody_else_leaves() -> None:
    found = sort(
        started(1.1, 10, 5, "/oneword"),
        started(1.3, 10, 5, "/bin/odd"),
        KernelActivity(1.4, "audit", "mount", 5, 0, "/bin/mount", ""),
    )
    assert found["oneword"].others == 0


def test_a_child_of_an_unnamed_subshell_belongs_to_the_one_that_was_open() -> None:
    found = sort(started(1.1, 10, 5, "/oneword"), started(1.5, 30, 29, "/bin/odd"))
    assert 30 in found["oneword"].pids
    late = sort(started(1.1, 10, 5, "/oneword"), started(2.5, 30, 29, "/bin/odd"))
    assert 30 not in late["oneword"].pids


def test_a_process_that_was_looked_up_joins_its_parent() -> None:
    looked_up = LookedUp(1.2, 1.2, (started(1.2, 11, 10, "/bin/sh"),))
    found = sort(started(1.1, 10, 5, "/oneword"), looked_up, changed(1.3, 11, "/x"))
    assert found["oneword"].changes == 1
    assert looked_up in found["oneword"].inputs


def test_a_change_by_nobody_known_counts_below_the_root_and_in_time_only() -> None:
    path = "/watched/oneword/root/etc/x"
    assert sort(changed(1.5, 0, path))["oneword"].changes == 1
    assert sort(changed(2.5, 0, path))["oneword"].changes == 0
    assert sort(started(0.5, 7, 1, "/host"), changed(1.5, 7, path))["oneword"].changes == 0


def test_findings_are_made_of_one_enclosure_alone() -> None:
    settings = AgentSettings(device="d", boot="b", tenant="t", quiet_s=60.0)
    found = sort(
        started(1.1, 10, 5, "/oneword"),
        started(1.3, 12, 10, "/bin/odd"),
        started(1.4, 12, 10, "/bin/odd"),
        started(3.1, 20, 5, "/twoword"),
    )
    titles = [finding.title for finding in findings_alone(settings, RULES, found["oneword"])]
    assert titles == ["Odd program"]
    assert findings_alone(settings, RULES, found["twoword"]) == []
