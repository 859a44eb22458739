"""The figures of docs/units.md are those of the units."""

from __future__ import annotations

import re

import pytest

from vedette_dev import units_page


def test_the_page_has_the_figures_of_the_units_as_they_are() -> None:
    page = units_page.PAGE.read_text()
    kept = page.partition(units_page.BEGIN)[2].partition(units_page.END)[0]
    judged = re.search(r"systemd (\d+) ", kept)
    assert judged, kept
    if units_page.version() != judged[1]:
        pytest.skip(f"the figures are those of systemd {judged[1]}: each version judges otherwise")
    assert kept == units_page.table(), "write it anew: python -m vedette_dev.units_page"
