"""Where a reader stands in its chains: read back, cut, and anything else."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette.codec import kept_chains
from vedette.codec.chain_link import Link, extensions, parse_link
from vedette.codec.note import Checkpoint
from vedette.errors import ParseError


def link(number: int) -> Link:
    lines = extensions("ab" * 32, number, bytes(32), bytes(range(32)))
    return parse_link(Checkpoint("vedette/acme/cam-7/1", 5, bytes(32), lines))


LINKS = {("acme", "cam-7"): link(3), ("acme", "cam-8"): link(400)}


@pytest.mark.parametrize("links", [{}, LINKS])
def test_what_is_written_is_read_back(links: dict[tuple[str, str], Link]) -> None:
    assert kept_chains.parse(kept_chains.encode(links)) == links


def test_every_truncation_is_refused() -> None:
    data = kept_chains.encode(LINKS).rstrip()
    for size in range(len(data)):
        with pytest.raises(ParseError):
            kept_chains.parse(data[:size])


@pytest.mark.parametrize(
    "data",
    [b"[]", b"{}", b'{"chains":[],"version":2}', b'{"chains":{},"version":1}',
     b'{"chains":[1],"version":1}',
     b'{"chains":[{"tenant":"a","device":"../b","link":"x"}],"version":1}',
     b'{"chains":[{"tenant":"a","device":"b","link":"x"}],"version":1}'],
)  # fmt: skip
def test_another_file_is_refused(data: bytes) -> None:
    with pytest.raises(ParseError, match="expected"):
        kept_chains.parse(data)


@given(st.binary())
def test_any_bytes_give_chains_or_a_parse_error(data: bytes) -> None:
    with suppress(ParseError):
        kept_chains.parse(data)
