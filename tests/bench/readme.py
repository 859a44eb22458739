"""`python -m tests.bench.readme`: writes build/bench.jsonl into the documents, between markers.

Rule: the README shows the figures that have a budget, docs/figures.md shows all of them.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent.parent
README = ROOT / "README.md"
FIGURES = ROOT / "agent" / "docs" / "figures.md"
HEADLINES = re.compile(
    r"exec storm, (ebpf and 210 rules|audit), /bin/true: CPU"
    r"|engine, 210 .*every event new"
    r"|exec to broker, beyond|memory idle, sentinel and uplink: Pss|memory growth"
    r"|idle: (CPU|wake-ups|written to disk)$|start|baseline scan of .*wall beside"
)
"""The figures that stand in the README, by their names."""
MAX_HEADLINES = 13
RESULTS = ROOT / "build" / "bench.jsonl"
BEGIN = "<!-- bench: written by `make bench-readme` -->"
END = "<!-- /bench -->"


def headlines(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The machine and the figures that stand in the README."""
    found = [line for line in lines if HEADLINES.match(line["name"])][:MAX_HEADLINES]
    return [line for line in lines if line["module"] == "machine"] + found


def table(lines: list[dict[str, Any]]) -> str:
    """The figures as a Markdown table, the machine named above it."""
    machine = next((line["name"] for line in lines if line["module"] == "machine"), "unknown")
    rows = ["| figure | value | beside | ratio |", "|---|---|---|---|"]
    rows += [_row(line) for line in lines if line["module"] != "machine"]
    return f"Measured on: {machine}.\n\n" + "\n".join(rows)


def replace(readme: str, new: str) -> str:
    """The README with the text between the markers replaced.

    Raises:
        ValueError: the markers are not there once each, in order.
    """
    head, begin, rest = readme.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end or BEGIN in tail or END in tail:
        raise ValueError(f"expected {BEGIN} and {END} once each, in this order")
    return f"{head}{BEGIN}\n{new}\n{END}{tail}"


def _row(line: dict[str, Any]) -> str:
    beside = "" if line["baseline"] is None else f"{_number(line['baseline'])} {line['unit']}"
    note = f" ({line['note']})" if line.get("note") else ""
    ratio = "" if line["ratio"] is None else f"{line['ratio']:.2f}"
    value = f"{_number(line['value'])} {line['unit']}"
    return "| " + " | ".join((line["name"], value, beside + note, ratio)) + " |"


def _number(value: float) -> str:
    if value == int(value) and abs(value) < 1e9:
        return f"{int(value):,}"
    return f"{value:,.3g}" if abs(value) < 1000 else f"{value:,.0f}"


def main() -> int:
    """Write the table; returns 1 when there is nothing to write."""
    if not RESULTS.exists():
        print(f"{RESULTS}: expected figures, found none: run make bench first", file=sys.stderr)
        return 1
    lines = [json.loads(line) for line in RESULTS.read_text().splitlines()]
    README.write_text(replace(README.read_text(), table(headlines(lines))))
    FIGURES.write_text(replace(FIGURES.read_text(), table(lines)))
    print(f"{README}: {len(headlines(lines)) - 1} figures; {FIGURES}: {len(lines) - 1}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
