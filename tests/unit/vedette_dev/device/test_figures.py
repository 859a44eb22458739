"""Figures of devices are kept by architecture and written between the marks of a page."""

from __future__ import annotations

from pathlib import Path

import pytest

from vedette.errors import DeviceError
from vedette_dev.device.figures import BEGIN, END, Figure, put, read, write

MEMORY = Figure("arm64", "memory", 27.2, "MB", "of 236 MB", 0.115)


def test_a_new_run_replaces_the_figures_of_its_architecture(tmp_path: Path) -> None:
    path = tmp_path / "figures.jsonl"
    other = Figure("amd64", "memory", 31.0, "MB")
    write([MEMORY], path)
    write([other], path)
    write([Figure("arm64", "memory", 26.0, "MB")], path)
    assert read(path) == [other, Figure("arm64", "memory", 26.0, "MB")]


def test_a_page_gets_its_table_and_keeps_the_rest(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    put([MEMORY], page)
    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith(f"{END}\nafter\n")
    assert "| arm64 | memory | 27.2 MB | of 236 MB | 0.12 |" in text
    assert "old" not in text


def test_a_page_without_marks_is_refused(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("nothing\n")
    with pytest.raises(DeviceError, match="expected the lines"):
        put([MEMORY], page)
