"""What the player says of an attack on an agent that enforces."""

from __future__ import annotations

import pytest

from vedette.codec.strict_json import Json
from vedette_dev.containment import Contained, _conclude, _excused, _is_of, _judge, _line
from vedette_dev.player import Attack

ATTACK = Attack("cron drop", "T1053.003", (("attack.t1053",),), "", lambda _: "word")
DONE: dict[str, Json] = {"status": "done", "responder": "kill", "wall_s": 100.25, "detail": "ok"}
GONE: dict[str, Json] = {
    "status": "failed", "responder": "kill", "wall_s": 100.5, "detail": "it had ended",
}  # fmt: skip


def judge(*outcomes: dict[str, Json], undone: tuple[str, ...] = (), problem: str = "") -> Contained:
    return _judge(ATTACK, outcomes, undone, 100.0, problem)


def test_time_runs_to_the_first_response_that_was_carried_out() -> None:
    later: dict[str, Json] = {**DONE, "responder": "quarantine", "wall_s": 101.0}
    found = judge(GONE, later, DONE, undone=("undone",))
    assert found.after_s == pytest.approx(0.25)
    assert found.by == ("quarantine", "kill")
    assert not found.is_missed


def test_what_was_over_before_is_named_and_no_miss() -> None:
    found = judge(GONE)
    assert (found.by, found.is_missed) == ((), False)
    assert found.reason == "over before: it had ended"


def test_a_killed_player_program_is_no_problem_when_it_was_contained() -> None:
    assert judge(DONE, problem="cp died with signal 9").by == ("kill",)


def test_an_attack_that_could_not_be_played_is_a_miss() -> None:
    assert judge(problem="busybox is missing").is_missed


def test_an_attack_that_no_response_can_act_on_is_a_miss() -> None:
    found = judge()
    assert found.is_missed
    assert "no response was tried within" in found.reason


def test_what_names_nobody_is_excused_where_the_source_is_another_than_the_attack_needs() -> None:
    sweep = ATTACK._replace(answer_needs_tier=("network", "ebpf", "conntrack"))
    missed = _judge(sweep, (), (), 100.0, "")
    excused = _excused(missed, {"network": "procnet"})
    assert (missed.is_missed, excused.is_missed) == (True, False)
    assert excused.reason.startswith("nobody to answer: network is watched by procnet")
    assert excused.reason.endswith("ebpf or conntrack tells who")
    assert _excused(missed, {"network": "ebpf"}) is missed
    assert _excused(missed, {"network": "conntrack"}) is missed
    assert _excused(judge(), {"network": "procnet"}).is_missed


@pytest.mark.parametrize(
    ("found", "code"),
    [
        (judge(DONE, undone=("undone",)), 0),
        (judge(DONE), 0),
        (judge(GONE), 0),
        (judge(DONE, undone=("undone", "failed")), 1),
        (judge(problem="busybox is missing"), 1),
    ],
)
def test_the_exit_code_says_whether_all_was_contained_and_undone(
    found: Contained, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _conclude([found]) == code
    assert ("NOT UNDONE" in capsys.readouterr().out) == ("failed" in found.undone)


def test_a_line_names_attack_outcome_time_and_undo() -> None:
    line = _line(judge(DONE, undone=("undone",)))
    for word in ("cron drop", "T1053.003", "contained", "250 ms", "kill", "undone"):
        assert word in line


def test_who_ended_the_shell_of_a_command_says_so() -> None:
    by_twin: dict[str, Json] = {**DONE, "cause": "some-rule-below"}
    assert judge(GONE, by_twin).by == ("kill its shell",)


def test_a_file_of_an_earlier_attack_is_not_taken_for_this_ones() -> None:
    late: dict[str, Json] = {**GONE, "target": {"path": "/tmp/runearlier/file"}}
    own: dict[str, Json] = {**DONE, "target": {"path": "/tmp/runword/file"}}
    process: dict[str, Json] = {**DONE, "target": {"pid": 7, "image": "/bin/sh"}}
    system: dict[str, Json] = {**GONE, "target": {"path": "/root/etc/passwd"}}
    told = [_is_of(one, ["runword"], "run") for one in (late, own, process, system)]
    assert told == [False, True, True, True]
