"""The table of a firmware's states: what leads where, and what never can."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest
from tests.simulators.images import firmware, image

from vedette.core.firmware_states import (
    STEPS,
    TABLE,
    FirmwareEvent,
    Step,
    elapsed,
    floor,
    moved,
    offered,
    without_window,
)
from vedette.errors import RequestError
from vedette.model.firmware import FirmwareRecord, FirmwareState, Running

S, E = FirmwareState, FirmwareEvent
CONTENT = image(1, 5000)
OLD = Running("cam", "1.0", 1)


def taken(record: FirmwareRecord, *events: FirmwareEvent) -> FirmwareRecord:
    for event in events:
        record = moved(record, event, boot_id="boot")
    return record


def offered_record(late_rollback_s: int = 0, *, closes_window: bool = False) -> FirmwareRecord:
    release = firmware(CONTENT, 2, late_rollback_s=late_rollback_s, closes_window=closes_window)
    record = FirmwareRecord(running=OLD)
    return offered(record, release, slot="b", running_slot="a")


def test_the_good_way() -> None:
    record = taken(
        offered_record(60), E.BEGIN, E.FINISH, E.ARM, E.STARTED_NEW, E.STARTED_NEW, E.PASS
    )
    assert record.state is S.COMMITTED
    assert not record.is_done
    assert record.running == Running("cam", "2.0", 2)
    assert record.before == OLD
    assert record.window_left_s == 60


def test_the_way_back_from_a_trial_and_from_a_commit() -> None:
    trial = taken(offered_record(60), E.BEGIN, E.FINISH, E.ARM, E.STARTED_NEW)
    for record in (trial, taken(trial, E.PASS)):
        back = moved(record, E.REJECT, boot_id="boot", reason="unwell")
        assert back.state is S.ROLLED_BACK
        assert back.running == OLD
        assert back.reason == "unwell"
        assert back.failed_sha256 == firmware(CONTENT).target.sha256


def test_what_was_rolled_back_is_not_taken_again_and_another_is() -> None:
    trial = taken(offered_record(), E.BEGIN, E.FINISH, E.ARM, E.STARTED_NEW)
    back = moved(trial, E.REJECT, boot_id="boot", reason="unwell")
    with pytest.raises(RequestError, match="was rolled back on this device"):
        offered(back, firmware(CONTENT, 3), slot="b", running_slot="a")
    again = offered(back, firmware(image(2, 5000), 3), slot="b", running_slot="a")
    assert again.state is S.OFFERED
    assert not again.reason


def test_what_runs_or_is_older_is_not_taken() -> None:
    record = FirmwareRecord(running=Running("cam", "2.0", 2))
    for counter in (1, 2):
        with pytest.raises(RequestError, match="expected a counter above 2"):
            offered(record, firmware(CONTENT, counter), slot="b", running_slot="a")


def test_the_floor_follows_the_window() -> None:
    record = taken(offered_record(60), E.BEGIN, E.FINISH, E.ARM, E.STARTED_NEW)
    assert floor(record) == 1
    committed = replace(taken(record, E.PASS), is_done=True)
    assert floor(committed) == 1
    later = elapsed(committed, boot_id="boot", boot_s=59)
    assert (later.window_left_s, later.is_done, floor(later)) == (1, True, 1)
    assert elapsed(later, boot_id="boot", boot_s=59) == later
    over = elapsed(later, boot_id="boot", boot_s=60)
    assert (over.window_left_s, over.is_done, floor(over)) == (0, False, 2)
    assert elapsed(replace(over, is_done=True), boot_id="boot", boot_s=99).is_done


def test_a_window_is_counted_over_starts_in_running_time() -> None:
    record = taken(offered_record(60), E.BEGIN, E.FINISH, E.ARM, E.STARTED_NEW, E.PASS)
    for boot, boot_s, left_s in [("boot", 20, 40), ("boot", 10, 40), ("b2", 5, 35), ("b2", 9, 31)]:
        record = elapsed(record, boot_id=boot, boot_s=boot_s)
        assert record.window_left_s == left_s
    assert without_window(replace(record, is_done=True)).is_done is False


def test_a_release_that_closes_the_window_leaves_none() -> None:
    record = taken(
        offered_record(60, closes_window=True), E.BEGIN, E.FINISH, E.ARM, E.STARTED_NEW, E.PASS
    )
    assert record.window_left_s == 0
    assert floor(record) == 2
    with pytest.raises(RequestError, match=r"window .* is over"):
        moved(record, E.REJECT, boot_id="boot")


def test_nothing_is_written_over_the_slot_that_a_window_keeps() -> None:
    record = taken(offered_record(60), E.BEGIN, E.FINISH, E.ARM, E.STARTED_NEW, E.PASS)
    newer = firmware(image(3, 5000), 3)
    with pytest.raises(RequestError, match="another 60 s"):
        offered(record, newer, slot="a", running_slot="b")
    after = offered(without_window(record), newer, slot="a", running_slot="b")
    assert after.state is S.OFFERED


def test_a_mark_outlives_the_same_offer_alone() -> None:
    writing = replace(taken(offered_record(), E.BEGIN), marked_bytes=4096)
    same = offered(writing, firmware(CONTENT, 2), slot="b", running_slot="a")
    assert same.marked_bytes == 4096
    other = offered(writing, firmware(image(9, 5000), 3), slot="b", running_slot="a")
    assert other.marked_bytes == 0
    failed = taken(writing, E.BREAK)
    assert offered(failed, firmware(CONTENT, 2), slot="b", running_slot="a").marked_bytes == 0


@pytest.mark.parametrize(("state", "event"), list(product(FirmwareState, FirmwareEvent)))
def test_what_is_not_in_the_table_cannot_happen(state: FirmwareState, event: FirmwareEvent) -> None:
    record = replace(offered_record(60), state=state, window_left_s=60)
    if (state, event) in TABLE:
        after = moved(record, event, boot_id="boot")
        assert after.state is TABLE[state, event]
        assert after.is_done is (STEPS[after.state] is Step.NONE)
    else:
        with pytest.raises(RequestError, match=f"is {state} cannot take: {event}"):
            moved(record, event, boot_id="boot")


def test_no_way_leads_around_reading_back_or_the_trial() -> None:
    before = {
        S.WRITTEN: {S.WRITING}, S.ARMED: {S.WRITTEN, S.ARMED}, S.TRIAL: {S.ARMED, S.TRIAL},
        S.COMMITTED: {S.TRIAL},
    }  # fmt: skip
    for (state, _), after in TABLE.items():
        if after in before:
            assert state in before[after], f"{state} leads to {after}"


def test_every_state_has_a_step_and_a_way_on() -> None:
    assert STEPS.keys() == set(FirmwareState)
    assert {state for state, _ in TABLE} == set(FirmwareState)
