"""Tables in agent/docs/images.md that runs write, between two marks: a part for each architecture.

Rule: what a run did not measure stays as another one wrote it.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path

from vedette.errors import DeviceError


def put(
    page: Path, name: str, command: str, head: str, rows: Sequence[str], key_cells: int = 1
) -> None:
    """Write rows into the table of this name; those of the same architectures are replaced.

    Args:
        page: the Markdown page.
        name: of the table, as its marks have it.
        command: that writes it, as its first mark has it.
        head: the table's first two lines.
        rows: each with the architecture in its first cell.
        key_cells: how many cells, from the first, say what a row is about: a row stays unless
            another one is about the same.

    Raises:
        DeviceError: the page has no such marks.
    """
    begin, end = f"<!-- {name}: written by `{command}` -->", f"<!-- /{name} -->"
    text = page.read_text()
    before, found, rest = text.partition(f"{begin}\n")
    inside, is_ended, after = rest.partition(end)
    if not found or not is_ended:
        raise DeviceError(f"{page}: expected the lines {begin} and {end}")
    about = {_key(row, key_cells) for row in rows}
    kept = [row for row in inside.splitlines()[2:] if _key(row, key_cells) not in about]
    order = functools.partial(_key, cells=key_cells)
    table = "".join(f"{row}\n" for row in sorted([*kept, *rows], key=order))
    page.write_text(f"{before}{begin}\n{head}{table}{end}{after}")


def _key(row: str, cells: int) -> tuple[str, ...]:
    return tuple(cell.strip() for cell in row.split("|")[1 : cells + 1])
