"""What the tests of booted devices came to: a line of JSON for each test, tables made of them.

Rule 1: a line is written when its test ends: whoever ends a run, and however, leaves what it saw.
Rule 2: of each file of tests its last run counts, whole: a test that is gone since is not in it.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vedette.errors import DeviceError
from vedette_dev.device import campaign
from vedette_dev.device import page as table

TEST = "test"
"""What a line of this kind says it is; the file has others."""
HEAD = (
    "| architecture | file | passed | failed | skipped | minutes | commit | when (UTC) |\n"
    "|---|---|---|---|---|---|---|---|\n"
)
KEY_CELLS = 2
NONE = "No outcome of a test is in {folder}: `make qemu-test` plays them.\n"
NOT_CUT = "No cuts were made in this clone of: {arches} (`make qemu-cuts`).\n"


@dataclass(frozen=True, slots=True)
class Outcome:
    """Of one test.

    Attributes:
        arch: of the device.
        file: of the test, "enforcing" of tests/device/test_enforcing.py.
        test: its name within the file, with its parameters.
        outcome: "passed", "failed" or "skipped".
        why: it was skipped; "" for others.
        took_s: with making and ending what it needs.
        run: when its run began (Unix time), the same for all of a run.
        commit: of the clone, "+" behind it where files were changed since.
    """

    arch: str
    file: str
    test: str
    outcome: str
    why: str
    took_s: float
    run: int
    commit: str


def line(outcome: Outcome) -> str:
    """As the file has it, without its end."""
    return json.dumps({"what": TEST, **asdict(outcome)})


def read(path: Path) -> list[Outcome]:
    """Those of a file; nothing where there was no run. A last line that was cut short is dropped.

    Raises:
        DeviceError: another line is none of ours.
    """
    if not path.exists():
        return []
    *lines, _cut_short = path.read_text().split("\n")
    found = []
    for number, text in enumerate(lines, 1):
        try:
            fields: dict[str, Any] = json.loads(text)
            if fields.pop("what") == TEST:
                found.append(Outcome(**fields))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise DeviceError(
                f"{path}:{number}: expected a line of `make qemu-test`, got {text[:80]!a}: "
                "remove the file, the next run begins it anew"
            ) from error
    return found


def rows(outcomes: Iterable[Outcome]) -> list[str]:
    """One for each architecture and file, as Markdown."""
    by_file: dict[tuple[str, str], list[Outcome]] = {}
    for one in outcomes:
        seen = by_file.setdefault((one.arch, one.file), [])
        if seen and seen[-1].run != one.run:
            seen.clear()
        seen.append(one)
    return [_row(key, seen) for key, seen in sorted(by_file.items())]


def write(folder: Path, cuts: Mapping[str, Path]) -> str:
    """Make the report of a clone's runs, `report.md` in their folder.

    Args:
        folder: with the outcomes, a file of JSON lines for each architecture.
        cuts: architecture -> report of its campaign of cuts, which need not be there.

    Returns:
        The report.

    Raises:
        DeviceError: a file is none of ours.
    """
    played = rows(_all(folder))
    text = f"{HEAD}{_lines(played)}" if played else NONE.format(folder=folder)
    cut = [json.loads(path.read_text()) for path in cuts.values() if path.exists()]
    if cut:
        text += f"\n{campaign.HEAD}{_lines([campaign.row(report) for report in cut])}"
    if missing := [arch for arch, path in cuts.items() if not path.exists()]:
        text += f"\n{NOT_CUT.format(arches=', '.join(missing))}"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.md").write_text(text)
    return text


def put(folder: Path, page: Path) -> None:
    """Write the table into a page; the rows of other architectures and files stay.

    Raises:
        DeviceError: the page has no marks for it, or a file is none of ours.
    """
    table.put(page, "tests", "make qemu-report", HEAD, rows(_all(folder)), KEY_CELLS)


def _all(folder: Path) -> list[Outcome]:
    return [one for path in sorted(folder.glob("*.jsonl")) for one in read(path)]


def _lines(rows_of: Sequence[str]) -> str:
    return "".join(f"{one}\n" for one in rows_of)


def _row(key: tuple[str, str], seen: Sequence[Outcome]) -> str:
    counts = Counter(one.outcome for one in seen)
    cells = (
        *key, *(counts[name] for name in ("passed", "failed", "skipped")),
        f"{sum(one.took_s for one in seen) / 60:.1f}", seen[-1].commit,
        time.strftime("%Y-%m-%d", time.gmtime(seen[-1].run)),
    )  # fmt: skip
    return f"| {' | '.join(map(str, cells))} |"
