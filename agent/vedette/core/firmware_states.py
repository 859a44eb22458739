"""The states of a firmware and the ways between them, as one table.

Rule 1: a state is on the disk before its step is carried out, and each step may be carried out
again; so after a cut at any point the step of the state that is found is carried out (again).
Rule 2: until ARMED the boot loader knows nothing of the new slot; from COMMITTED on nothing of the
trial. What runs decides between them: a device that starts the old slot has fallen back.
Rule 3: no release that was rolled back is taken again.

    idle -> offered -> writing -> written -> armed -> trial -> committed -> (offered ...)
               |          |          |         |        |          |
               +----------+-> failed <---------+        +----------+-> rolled_back -> (offered ...)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from enum import StrEnum

from vedette.errors import RequestError
from vedette.model.firmware import FirmwareRecord, FirmwareState, Running
from vedette.model.release import Release
from vedette.model.update import Cause

MAX_REASON_CHARS = 400


class FirmwareEvent(StrEnum):
    """What happens to a firmware."""

    OFFER = "offer"
    """A release is to be installed."""
    BEGIN = "begin"
    """It is let in: its first byte may be written."""
    FINISH = "finish"
    """The slot was read back and is the signed image."""
    BREAK = "break"
    """It cannot be used: the image is another, or the slot or boot loader refuses."""
    ARM = "arm"
    """It is to be started next."""
    STARTED_NEW = "started_new"
    """The device started the new slot."""
    STARTED_OLD = "started_old"
    """The device started the old slot, which nobody here asked for."""
    PASS = "pass"  # noqa: S105 - no secret
    """The health gate lets it through."""
    REJECT = "reject"
    """The health gate, an operator or a clock that ran out sends it back."""


class Step(StrEnum):
    """What belongs to a state and has to be carried out when it is reached."""

    NONE = "none"
    REPORT = "report"
    """Tell it: nothing may be armed that was not told to be written."""
    WRITE = "write"
    """Fill the slot; until then nothing may start it."""
    ARM = "arm"
    """Tell the boot loader, then start the device anew."""
    WATCH = "watch"
    """Make the manifest the baseline for now, and ask the health gate."""
    COMMIT = "commit"
    """Tell the boot loader, raise the floor, keep the baseline."""
    RETURN = "return"
    """Tell the boot loader, give the baseline back, and start the old slot if it does not run."""
    CLEAN = "clean"
    """See to it that nothing starts the slot."""


_S, _E = FirmwareState, FirmwareEvent

TABLE: Mapping[tuple[FirmwareState, FirmwareEvent], FirmwareState] = {
    (_S.IDLE, _E.OFFER): _S.OFFERED,
    (_S.OFFERED, _E.OFFER): _S.OFFERED,
    (_S.OFFERED, _E.BEGIN): _S.WRITING,
    (_S.OFFERED, _E.BREAK): _S.FAILED,
    (_S.WRITING, _E.OFFER): _S.OFFERED,
    (_S.WRITING, _E.BEGIN): _S.WRITING,
    (_S.WRITING, _E.FINISH): _S.WRITTEN,
    (_S.WRITING, _E.BREAK): _S.FAILED,
    (_S.WRITTEN, _E.OFFER): _S.OFFERED,
    (_S.WRITTEN, _E.ARM): _S.ARMED,
    (_S.WRITTEN, _E.BREAK): _S.FAILED,
    (_S.ARMED, _E.ARM): _S.ARMED,
    (_S.ARMED, _E.BREAK): _S.FAILED,
    (_S.ARMED, _E.REJECT): _S.ROLLED_BACK,
    (_S.ARMED, _E.STARTED_NEW): _S.TRIAL,
    (_S.ARMED, _E.STARTED_OLD): _S.ROLLED_BACK,
    (_S.TRIAL, _E.STARTED_NEW): _S.TRIAL,
    (_S.TRIAL, _E.PASS): _S.COMMITTED,
    (_S.TRIAL, _E.REJECT): _S.ROLLED_BACK,
    (_S.TRIAL, _E.STARTED_OLD): _S.ROLLED_BACK,
    (_S.COMMITTED, _E.OFFER): _S.OFFERED,
    (_S.COMMITTED, _E.REJECT): _S.ROLLED_BACK,
    (_S.COMMITTED, _E.STARTED_OLD): _S.ROLLED_BACK,
    (_S.ROLLED_BACK, _E.OFFER): _S.OFFERED,
    (_S.FAILED, _E.OFFER): _S.OFFERED,
    # A slot that nobody armed and that runs all the same was started by hand: not by us.
    (_S.OFFERED, _E.STARTED_NEW): _S.ROLLED_BACK,
    (_S.WRITING, _E.STARTED_NEW): _S.ROLLED_BACK,
    (_S.WRITTEN, _E.STARTED_NEW): _S.ROLLED_BACK,
}
"""Every way there is; what is not in it cannot happen."""

STEPS: Mapping[FirmwareState, Step] = {
    _S.IDLE: Step.NONE,
    _S.OFFERED: Step.NONE,
    _S.WRITING: Step.WRITE,
    _S.WRITTEN: Step.REPORT,
    _S.ARMED: Step.ARM,
    _S.TRIAL: Step.WATCH,
    _S.COMMITTED: Step.COMMIT,
    _S.ROLLED_BACK: Step.RETURN,
    _S.FAILED: Step.CLEAN,
}


def offered(
    record: FirmwareRecord, release: Release, *, slot: str, running_slot: str
) -> FirmwareRecord:
    """Take an offer.

    Args:
        release: verified, and not below the floor.
        slot: where it would go: the one that does not run.

    Raises:
        RequestError: it is the one that runs, or was rolled back, or another is on trial, or the
            slot before may still be needed.
    """
    if release.target.sha256 == record.failed_sha256:
        raise RequestError(
            f"{release.title} was rolled back on this device ({record.reason}); publish another"
        )
    if release.counter <= record.running.counter and release.name == record.running.name:
        raise RequestError(
            f"{release.title}: expected a counter above {record.running.counter}, which runs"
        )
    if record.state is _S.COMMITTED and record.window_left_s > 0:
        raise RequestError(
            f"{release.title}: the slot before is kept for another {record.window_left_s} s, in "
            "which a rollback is allowed; offer it again then, or end that window"
        )
    resumes = (
        record.state is _S.WRITING
        and record.release is not None
        and record.release.target.sha256 == release.target.sha256
        and record.slot == slot
    )
    return replace(
        _moved(record, _E.OFFER),
        release=release, slot=slot, before_slot=running_slot, before=record.running,
        marked_bytes=record.marked_bytes if resumes else 0, window_left_s=0,
        cause=Cause.NONE, reason="",
    )  # fmt: skip


def moved(
    record: FirmwareRecord,
    event: FirmwareEvent,
    *,
    boot_id: str,
    cause: Cause = Cause.NONE,
    reason: str = "",
) -> FirmwareRecord:
    """Take any other event.

    Args:
        boot_id: of the boot in which it happened.
        cause: why, of BREAK, REJECT and what the device started by itself.
        reason: the same for people.

    Raises:
        RequestError: it cannot happen in this state, or the window for a rollback is over.
    """
    if event is _E.REJECT and record.state is _S.COMMITTED and not record.window_left_s:
        raise RequestError(
            "the window in which the firmware before may be started again is over: its counter is "
            "below the floor"
        )
    after = replace(
        _moved(record, event),
        boot_id=boot_id, cause=cause, reason=reason[:MAX_REASON_CHARS], counted_s=0,
    )  # fmt: skip
    release = record.release
    if release is None or after.state is record.state:
        return after
    match after.state:
        case _S.COMMITTED:
            running = Running(release.name, release.version, release.counter)
            window_s = 0 if release.closes_window else release.late_rollback_s
            return replace(after, running=running, window_left_s=window_s)
        case _S.ROLLED_BACK:
            return replace(
                after, running=record.before, window_left_s=0, failed_sha256=release.target.sha256
            )
        case _:
            return after


def elapsed(record: FirmwareRecord, *, boot_id: str, boot_s: int) -> FirmwareRecord:
    """Count running time against the window in which a rollback is allowed.

    Its end is a step of its own: the commit is carried out again, with a higher floor.

    Args:
        boot_id: of this boot.
        boot_s: seconds since its start (CLOCK_BOOTTIME); wall clocks of devices jump.
    """
    if not record.window_left_s:
        return record
    counted_s = record.counted_s if record.boot_id == boot_id else 0
    left_s = max(0, record.window_left_s - max(0, boot_s - counted_s))
    return replace(
        record,
        window_left_s=left_s, is_done=record.is_done and left_s > 0, boot_id=boot_id,
        counted_s=max(boot_s, counted_s),
    )  # fmt: skip


def without_window(record: FirmwareRecord) -> FirmwareRecord:
    """End that window now."""
    is_open = record.window_left_s > 0
    return replace(record, window_left_s=0, is_done=record.is_done and not is_open)


def floor(record: FirmwareRecord) -> int:
    """The lowest release counter that this state still accepts; it never falls with the states.

    After a commit it is the counter of the firmware before, so that its slot stays legal; when the
    window is over, or the release closes it, the committed one (DESIGN section 8).
    """
    if record.state is _S.COMMITTED and record.window_left_s:
        return record.before.counter
    return record.running.counter


def _moved(record: FirmwareRecord, event: FirmwareEvent) -> FirmwareRecord:
    state = TABLE.get((record.state, event))
    if state is None:
        raise RequestError(f"a firmware that is {record.state} cannot take: {event}")
    return replace(record, state=state, is_done=STEPS[state] is Step.NONE)
