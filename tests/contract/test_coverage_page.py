from __future__ import annotations

import pytest

from vedette_dev.coverage_page import PAGE, SETS, replaced, section


@pytest.mark.parametrize("name", SETS)
def test_the_page_is_what_the_rules_say(name: str) -> None:
    if not SETS[name].exists():
        pytest.skip(f"{SETS[name]} is not beside this checkout")
    page = PAGE.read_text()
    assert replaced(page, name, section(SETS[name])) == page, "run `make coverage`"


def test_a_page_without_its_markers_is_refused() -> None:
    with pytest.raises(ValueError, match="once each"):
        replaced("# What\n", "ours", "x")


def test_only_what_stands_between_the_markers_is_replaced() -> None:
    page = "a\n<!-- coverage ours: written by `make coverage` -->\nold\n<!-- /ours -->\nb\n"
    assert replaced(page, "ours", "new") == page.replace("old", "\nnew")
