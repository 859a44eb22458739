"""The kernel's texts about memory: whole, cut, and anything else."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette.codec.pressure import Memory, parse_memory, parse_stalled
from vedette.errors import ParseError

PSI = (
    "some avg10=31.50 avg60=12.00 avg300=3.00 total=123\n"
    "full avg10=22.07 avg60=7.00 avg300=1.00 total=99\n"
)
MEMINFO = (
    "MemTotal:        4018196 kB\nMemFree: 99 kB\nMemAvailable:    2000000 kB\nBuffers: 1 kB\n"
)


def test_what_a_kernel_writes_is_read() -> None:
    assert parse_stalled(PSI) == 22.07
    assert parse_memory(MEMINFO) == Memory(4018196 << 10, 2000000 << 10)


@pytest.mark.parametrize("cut", ["", PSI.partition("\n")[0], "full avg10=", "full avg10=x.00 "])
def test_pressure_that_says_nothing_of_all_tasks_is_refused(cut: str) -> None:
    with pytest.raises(ParseError, match="expected a line 'full avg10='"):
        parse_stalled(cut)


@pytest.mark.parametrize("missing", ["MemTotal", "MemAvailable"])
def test_memory_without_one_of_its_lines_is_refused(missing: str) -> None:
    with pytest.raises(ParseError, match=f"expected a line {missing}"):
        parse_memory(MEMINFO.replace(missing, "Other"))


@given(st.text())
def test_any_text_gives_a_value_or_a_parse_error(text: str) -> None:
    for parse in (parse_stalled, parse_memory):
        with suppress(ParseError):
            parse(text)
