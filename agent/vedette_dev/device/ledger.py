"""What a campaign of power cuts found, one JSON line each, kept as it goes.

Rule 1: a line is on the disk before the next thing is tried: whoever ends a campaign, and however,
loses at most what was under way. A last line that was cut short is dropped.
Rule 2: the report is made of these lines alone, so that it is the same whether one run wrote them
or several did.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from vedette.errors import DeviceError
from vedette.store import durable
from vedette_dev.device.cut_disk import Cut
from vedette_dev.device.power_cuts import Verdict

MAX_PROBLEMS = 50
"""In a report; the file has all."""


class Start(NamedTuple):
    """How a device was started after a cut.

    Attributes:
        wrong: what did not go well, the last time; "" for nothing.
        silent: where the console of each start that stood still lies: it was started once again.
        took_s: all of it.
    """

    wrong: str
    silent: tuple[str, ...] = ()
    took_s: int = 0


class LiveCut(NamedTuple):
    """A cut of a device that ran, and what became of it.

    Attributes:
        life: how many times a device had begun anew from the recording's disk, from 1.
        moment: when the power went.
        lost_writes: how many requests that the device had been told were done it lost.
        lost_bytes: of these.
        verdict: of the disk.
        start: after it.
    """

    life: int
    moment: str
    lost_writes: int
    lost_bytes: int
    verdict: Verdict
    start: Start


class Ledger:
    """The file of one campaign.

    Args:
        path: made where it is missing.

    Attributes:
        judged: what was found of each cut.
        started: how the device did after each cut that was started.
        live: in their order.

    Raises:
        DeviceError: it holds something else.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.judged: dict[Cut, Verdict] = {}
        self.started: dict[Cut, Start] = {}
        self.live: list[LiveCut] = []
        for number, line in enumerate(_whole_lines(path), start=1):
            try:
                self._take(json.loads(line))
            except (ValueError, KeyError, TypeError) as error:
                raise DeviceError(
                    f"{path}, line {number}: expected a line of a campaign, got {error!r}: remove "
                    "the file to judge all again"
                ) from error

    def add_judged(self, cut: Cut, verdict: Verdict) -> None:
        """Keep what was found of a cut.

        Raises:
            StoreError: the disk is full; nothing was kept.
        """
        self._add({"judged": cut, "verdict": verdict._asdict()})

    def add_started(self, cut: Cut, start: Start) -> None:
        """Keep how a device did.

        Raises:
            StoreError: as `add_judged`.
        """
        self._add({"started": cut, "start": start._asdict()})

    def add_live(self, cut: LiveCut) -> None:
        """Keep what became of a cut of a device that ran.

        Raises:
            StoreError: as `add_judged`.
        """
        nested = {"verdict": cut.verdict._asdict(), "start": cut.start._asdict()}
        self._add({"live": {**cut._asdict(), **nested}})

    def _add(self, values: Mapping[str, Any]) -> None:
        line = json.dumps(values)
        durable.append(self.path, line.encode() + b"\n")
        self._take(json.loads(line))

    def _take(self, values: dict[str, Any]) -> None:
        if "judged" in values:
            self.judged[_cut(values["judged"])] = _verdict(values["verdict"])
        elif "started" in values:
            self.started[_cut(values["started"])] = _start(values["start"])
        else:
            live = values["live"]
            parts = {"verdict": _verdict(live["verdict"]), "start": _start(live["start"])}
            self.live.append(LiveCut(**{**live, **parts}))

    def report(self) -> dict[str, object]:
        """All of it in figures, with the first problems in words."""
        verdicts = [*self.judged.values(), *(one.verdict for one in self.live)]
        starts = [*self.started.values(), *(one.start for one in self.live)]
        return {
            "cuts": len(self.judged),
            "boots": len(self.started),
            "live_cuts": len(self.live),
            "live_lost_writes": sum(one.lost_writes for one in self.live),
            "repeated": sum(len(one.silent) for one in starts),
            "bricks": sum(map(_is_brick, verdicts)) + sum(bool(one.wrong) for one in starts),
            "lost_entries": sum(len(one.lost) for one in verdicts),
            "by_slot": dict(sorted(Counter(one.slot for one in self.judged.values()).items())),
            "mended": sum(one.is_mended for one in verdicts),
            "problems": list(self._problems())[:MAX_PROBLEMS],
            "silent": [place for one in starts for place in one.silent],
        }

    def _problems(self) -> Iterator[str]:
        for cut, verdict in self.judged.items():
            yield from _said(str(cut), verdict)
        for cut, start in self.started.items():
            if start.wrong:
                yield f"{cut}: {start.wrong}"
        for number, live in enumerate(self.live, start=1):
            what = f"live cut {number} ({live.moment})"
            yield from _said(what, live.verdict)
            if live.start.wrong:
                yield f"{what}: {live.start.wrong}"


def _said(what: str, verdict: Verdict) -> Iterator[str]:
    return (f"{what}: {line}" for line in (*verdict.bricks, *verdict.lost, *verdict.problems))


def _is_brick(verdict: Verdict) -> bool:
    return bool(verdict.bricks)


def _whole_lines(path: Path) -> Sequence[bytes]:
    """The lines of a file; one that was cut short at its end is taken off it."""
    if not path.exists():
        return ()
    data = path.read_bytes()
    whole = data[: data.rfind(b"\n") + 1]
    if whole != data:
        durable.write(path, whole)
    return whole.splitlines()


def _cut(values: Sequence[Any]) -> Cut:
    after, kept, torn_at = values
    return Cut(after, tuple(kept), torn_at)


def _verdict(values: dict[str, Any]) -> Verdict:
    words = {name: tuple(values[name]) for name in ("bricks", "lost", "problems")}
    return Verdict(**{**values, **words})


def _start(values: dict[str, Any]) -> Start:
    return Start(**{**values, "silent": tuple(values["silent"])})
