"""Figures of devices are kept by architecture and written between the marks of a page."""

from __future__ import annotations

from pathlib import Path

from vedette_dev.device.figures import Figure, put, read, write

MEMORY = Figure("arm64", "memory", 27.2, "MB", "of 236 MB", 0.115)


def test_a_new_run_replaces_the_figures_of_its_architecture(tmp_path: Path) -> None:
    path = tmp_path / "figures.jsonl"
    other = Figure("amd64", "memory", 31.0, "MB")
    write([MEMORY], path)
    write([other], path)
    write([Figure("arm64", "memory", 26.0, "MB")], path)
    assert read(path) == [other, Figure("arm64", "memory", 26.0, "MB")]


def test_a_page_gets_a_line_for_each_figure(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("<!-- figures: written by `make qemu-bench` -->\n<!-- /figures -->\n")
    put([MEMORY], page)
    assert "| arm64 | memory | 27.2 MB | of 236 MB | 0.12 |\n" in page.read_text()
