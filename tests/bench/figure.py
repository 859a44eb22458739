"""One figure of `make bench`: a value, its unit, what stands beside it, and their ratio."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple


class Figure(NamedTuple):
    """A measured value.

    Attributes:
        name: what was measured, unique, such as "exec storm, audit: CPU per exec".
        value: the median of the runs.
        unit: of value and baseline.
        baseline: measured in the same run by other means, or the budget of DESIGN section 11; None
            where nothing is comparable.
        ratio: value by baseline.
        note: what the baseline is and anything a reader has to know.
    """

    name: str
    value: float
    unit: str
    baseline: float | None = None
    ratio: float | None = None
    note: str = ""


def figure(
    name: str, values: Sequence[float], unit: str, baseline: float | None = None, note: str = ""
) -> Figure:
    """The median of some runs beside a baseline."""
    value = statistics.median(values)
    ratio = value / baseline if baseline else None
    return Figure(name, value, unit, baseline, ratio, note)


def to_line(found: Figure) -> str:
    """One line of JSON."""
    document = found._asdict()
    for name in ("value", "baseline", "ratio"):
        number = document[name]
        document[name] = None if number is None else float(f"{number:.4g}")
    return json.dumps(document)


def from_mapping(found: Mapping[str, Any]) -> Figure:
    """A figure from its JSON object.

    Raises:
        KeyError, TypeError: it is none.
    """
    baseline, ratio = found.get("baseline"), found.get("ratio")
    return Figure(
        str(found["name"]),
        float(found["value"]),
        str(found["unit"]),
        None if baseline is None else float(baseline),
        None if ratio is None else float(ratio),
        str(found.get("note", "")),
    )
