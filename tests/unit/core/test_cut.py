from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from vedette.core.cut import HEAD_CHARS, SCAN_CHARS, cut, is_cut


@given(st.integers(0, 3 * SCAN_CHARS))
def test_what_was_longer_is_known_to_be_cut(size: int) -> None:
    value = "x" * size
    kept = cut(value)
    assert len(kept) == min(size, SCAN_CHARS)
    assert is_cut(kept) is (size > SCAN_CHARS)


def test_head_and_tail_stay_as_they_were() -> None:
    value = "h" * HEAD_CHARS + "m" * SCAN_CHARS + "the end"
    assert cut(value).startswith("h" * HEAD_CHARS)
    assert cut(value).endswith("mthe end")
    assert cut(cut(value)) == cut(value)
