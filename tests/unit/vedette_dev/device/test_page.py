"""A run replaces what it measured in a page, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from vedette.errors import DeviceError
from vedette_dev.device.page import put

BEGIN, END = "<!-- cuts: written by `make qemu-cuts` -->", "<!-- /cuts -->"
HEAD = "| architecture | cuts |\n|---|---|\n"
EMPTY = f"before\n{BEGIN}\n{END}\nafter\n"


def written(page: Path, *rows: str) -> str:
    put(page, "cuts", "make qemu-cuts", HEAD, rows)
    return page.read_text()


def test_an_empty_table_is_filled_and_the_rest_is_kept(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(EMPTY)
    expected = f"before\n{BEGIN}\n{HEAD}| arm64 | 500 |\n{END}\nafter\n"
    assert written(page, "| arm64 | 500 |") == expected
    assert written(page, "| arm64 | 500 |") == expected


def test_another_architecture_stays_as_another_run_wrote_it(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(EMPTY)
    written(page, "| arm64 | 500 |")
    written(page, "| amd64 | 7 |", "| amd64 | 8 |")
    text = written(page, "| amd64 | 9 |")
    assert text.partition(HEAD)[2].startswith(f"| amd64 | 9 |\n| arm64 | 500 |\n{END}")


def test_a_row_is_about_as_many_cells_as_it_says(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(EMPTY)
    for row in ("| arm64 | clock | 1 |", "| arm64 | broken | 2 |", "| arm64 | clock | 3 |"):
        put(page, "cuts", "make qemu-cuts", HEAD, [row], key_cells=2)
    rows = page.read_text().partition(HEAD)[2]
    assert rows.startswith(f"| arm64 | broken | 2 |\n| arm64 | clock | 3 |\n{END}")


@pytest.mark.parametrize("text", ["nothing\n", f"{BEGIN}\n", f"{END}\n"])
def test_a_page_without_marks_is_refused_and_stays(text: str, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(text)
    with pytest.raises(DeviceError, match="expected the lines"):
        written(page, "| arm64 | 1 |")
    assert page.read_text() == text
