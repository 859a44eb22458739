"""The note of a trial: read back as written, and anything else refused."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette.codec.model_trial import Trial, decode, encode
from vedette.errors import ParseError

DIGESTS = st.binary(min_size=32, max_size=32).map(bytes.hex)


@given(digest=DIGESTS, before=DIGESTS | st.just(""), last_good=DIGESTS | st.just(""))
def test_what_is_written_is_read(digest: str, before: str, last_good: str) -> None:
    trial = Trial(digest, before, last_good)
    assert decode(encode(trial)) == trial


def test_cut_anywhere_or_with_a_tail_it_is_refused() -> None:
    data = encode(Trial("a" * 64, "", "b" * 64))
    for wrong in (*(data[:size] for size in range(len(data))), data + b"x", data + b"\n"):
        with pytest.raises(ParseError):
            decode(wrong)


@given(data=st.binary(max_size=300))
def test_any_bytes_give_a_trial_or_a_parse_error(data: bytes) -> None:
    with contextlib.suppress(ParseError):
        decode(data)
