"""Answers `vedette baseline`: what is expected, what differs, and taking a difference as meant.

do | with | ok
-- | ---- | --
baseline.show | | {files, digest, scanning, scan: SCAN or null}
baseline.state | | {scanning, scan}: the cheap part of show, to wait for a scan
baseline.scan | | {scan_number}: a scan was begun; it is done when `scan.number` reaches this
baseline.diff | {paths: [text], limit: 1..1000} | {differences: [DIFFERENCE], total, scan: SCAN}
baseline.accept | {paths: [text]} or {all: true} | {accepted, removed, digest}

SCAN is {number, reason, at_s, duration_s, files, hashed, hashed_bytes, differences, first, failure,
skipped_files, skipped: [text]}; DIFFERENCE is as core/baseline.py describes it.

Rule 1: what is accepted is what the scan found and a person saw, not what is there by now: whatever
changed since is a difference again at the next scan.
Rule 2: every acceptance is a journal entry with the digest of the baseline before and after.
Rule 3: paths from outside select by their text or by the escaped form that people were shown.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Final, cast

from vedette.codec.ocsf import canonical
from vedette.codec.strict_json import Json
from vedette.codec.text import escape
from vedette.core.baseline import describe, to_accept, within
from vedette.daemon.control import Answer, Handler, Params, number
from vedette.errors import RequestError
from vedette.model.baseline import Difference
from vedette.ports.baseline import Baseline
from vedette.sensors.scan import ScanReport, ScanSensor

DIFFERENCES_MAX: Final = 1000
PATHS_MAX: Final = 1000
PATHS_NOTED: Final = 100

Note = Callable[[str, bytes], None]


class BaselineAnswers:
    """The handlers of `baseline.*`.

    Args:
        baseline: what is expected.
        scan: the running scan sensor, or None while there is none.
        note: records an entry of a kind in the journal.
    """

    def __init__(
        self, baseline: Baseline, scan: Callable[[], ScanSensor | None], note: Note
    ) -> None:
        self._baseline = baseline
        self._scan = scan
        self._note = note

    def handlers(self) -> dict[str, Handler]:
        """By the name of the request."""
        return {
            "baseline.show": self._show,
            "baseline.state": self._state,
            "baseline.scan": self._begin,
            "baseline.diff": self._diff,
            "baseline.accept": self._accept,
        }

    async def _show(self, params: Params) -> Answer:
        del params
        sensor = self._sensor()
        if sensor.is_scanning and sensor.report is None:
            # The first scan holds the baseline until it is whole.
            return {"files": 0, "digest": "", "scanning": True, "scan": None}
        files, digest = await asyncio.to_thread(self._sum)
        return {
            "files": files,
            "digest": digest,
            "scanning": sensor.is_scanning,
            "scan": _report(sensor),
        }

    async def _state(self, params: Params) -> Answer:
        del params
        sensor = self._sensor()
        return {"scanning": sensor.is_scanning, "scan": _report(sensor)}

    async def _begin(self, params: Params) -> Answer:
        del params
        sensor = self._sensor()
        wanted = sensor.counters()["scans"] + 1 + sensor.is_scanning
        sensor.request("operator", is_urgent=True)
        return {"scan_number": wanted}

    async def _diff(self, params: Params) -> Answer:
        sensor = self._sensor()
        report = sensor.report
        if report is None:
            raise RequestError(
                "no scan has ended yet; ask again when it has: vedette baseline show"
            )
        limit = number(params, "limit", default=DIFFERENCES_MAX, low=1, high=DIFFERENCES_MAX)
        paths = _paths(params)
        chosen = _chosen(sensor.differences, paths)
        total = len(chosen) if paths else max(len(chosen), _standing(report, sensor))
        shown = [cast("Json", dict(describe(one))) for one in chosen[:limit]]
        return {"differences": shown, "total": total, "scan": _report(sensor)}

    async def _accept(self, params: Params) -> Answer:
        sensor = self._sensor()
        paths = _paths(params)
        if bool(paths) == (params.get("all") is True):
            raise RequestError("expected paths to accept, or all of them (--all), but not both")
        chosen = _chosen(sensor.differences, paths)
        if not chosen:
            raise RequestError("there is no such difference; see: vedette baseline diff")
        before, after = await asyncio.to_thread(self._take, chosen)
        sensor.forget([one.path for one in chosen])
        if sensor.is_scanning:
            sensor.request(
                "accepted", is_urgent=True
            )  # the running one compares with what was before
        records, removed = to_accept(chosen)
        noted: Mapping[str, Json] = {
            "accepted": len(records),
            "removed": len(removed),
            "paths": [escape(one.path) for one in chosen[:PATHS_NOTED]],
            "digest_before": before,
            "digest_after": after,
        }
        self._note("baseline", canonical(noted))
        return {"accepted": len(records), "removed": len(removed), "digest": after}

    def _sensor(self) -> ScanSensor:
        sensor = self._scan()
        if sensor is None:
            raise RequestError("the scan does not run, and `vedette doctor` says why")
        return sensor

    def _sum(self) -> tuple[int, str]:
        return self._baseline.count(), self._baseline.digest()

    def _take(self, chosen: Sequence[Difference]) -> tuple[str, str]:
        before = self._baseline.digest()
        records, removed = to_accept(chosen)
        self._baseline.accept(records, removed)
        return before, self._baseline.digest()


def _paths(params: Params) -> list[str]:
    paths = params.get("paths", [])
    if not isinstance(paths, list) or len(paths) > PATHS_MAX:
        raise RequestError(f"paths: expected a list of at most {PATHS_MAX} texts")
    for path in paths:
        if not isinstance(path, str) or not path.startswith("/"):
            raise RequestError(f"paths: expected absolute paths, got {escape(str(path)[:80])}")
    return cast("list[str]", paths)


def _chosen(differences: Sequence[Difference], paths: Sequence[str]) -> list[Difference]:
    if not paths:
        return list(differences)
    by_text = within(differences, paths)
    escaped = {escape(one.path): one for one in differences}
    return list(dict.fromkeys([*by_text, *(escaped[path] for path in paths if path in escaped)]))


def _standing(report: ScanReport, sensor: ScanSensor) -> int:
    """All differences of the last scan, those beyond what is kept included."""
    is_cut = len(sensor.differences) >= DIFFERENCES_MAX
    return report.outcome.counts.differences if is_cut else 0


def _report(sensor: ScanSensor) -> Json:
    report = sensor.report
    if report is None:
        return None
    outcome = report.outcome
    return {
        "number": sensor.counters()["scans"],
        "reason": report.reason,
        "at_s": round(report.at_s, 3),
        "duration_s": round(report.duration_s, 3),
        "files": outcome.counts.files,
        "hashed": outcome.counts.hashed,
        "hashed_bytes": outcome.counts.hashed_bytes,
        "differences": outcome.counts.differences,
        "skipped": list(outcome.skipped),
        "skipped_files": outcome.counts.skipped,
        "first": outcome.is_first,
        "failure": outcome.failure,
    }
