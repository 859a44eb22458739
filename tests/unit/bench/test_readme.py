"""The README's table is written between its markers and nowhere else."""

from __future__ import annotations

import pytest
from tests.bench.figure import figure, from_mapping
from tests.bench.readme import BEGIN, END, replace, table


def test_figures_are_medians_beside_a_baseline() -> None:
    found = figure("x", [3.0, 1.0, 200.0], "ms", 6.0)
    assert (found.value, found.ratio) == (3.0, 0.5)
    assert from_mapping(found._asdict()) == found


def test_table_stands_between_the_markers() -> None:
    lines = [
        {"module": "machine", "name": "a machine"},
        {"module": "m", **figure("execs seen", [20000], "execs", 20000, "all")._asdict()},
        {"module": "m", **figure("bare", [0.25], "ms")._asdict()},
    ]
    text = replace(f"before\n{BEGIN}\nold\n{END}\nafter\n", table(lines))
    assert text.startswith(f"before\n{BEGIN}\nMeasured on: a machine.\n")
    assert text.endswith(f"{END}\nafter\n")
    assert "| execs seen | 20,000 execs | 20,000 execs (all) | 1.00 |" in text
    assert "| bare | 0.25 ms |  |  |" in text
    assert "old" not in text


@pytest.mark.parametrize("text", ["", BEGIN, END + BEGIN, BEGIN + END + BEGIN + END])
def test_a_readme_without_its_markers_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="once each"):
        replace(text, "x")
