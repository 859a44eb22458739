from __future__ import annotations

import pytest

from vedette.errors import ParseError
from vedette.kernel.perf_trace import processors


@pytest.mark.parametrize(
    ("text", "numbers"), [("0\n", [0]), ("0-1\n", [0, 1]), ("0-2,5,7-8\n", [0, 1, 2, 5, 7, 8])]
)
def test_processors_are_read_from_the_kernels_list(text: str, numbers: list[int]) -> None:
    assert processors(text) == numbers


@pytest.mark.parametrize("text", ["", "all", "0-", "1,,2"])
def test_what_is_no_list_is_told(text: str) -> None:
    with pytest.raises(ParseError, match="expected processors"):
        processors(text)
