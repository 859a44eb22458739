"""A recording is read a piece at a time, however it is cut, and damage is told with its place."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator

import pytest

from vedette.core.agent import AgentSettings
from vedette.core.inputs import Input, Observed, Ticked
from vedette.core.recording import MAGIC, decode, encode_header, encode_input, read
from vedette.errors import ParseError
from vedette.model.event import LogLine

SETTINGS = AgentSettings("t", "d", "0" * 32)
INPUTS: list[Input] = [
    Ticked(1.0, 2.0),
    Observed(2.0, 3.0, (LogLine(2.0, "log_file", "sshd", "a line of some length", 0),)),
    Ticked(3.0, 4.0),
]
WHOLE = encode_header(SETTINGS) + b"".join(map(encode_input, INPUTS))


def pieces(data: bytes, size: int) -> Iterator[bytes]:
    return (data[start : start + size] for start in range(0, len(data), size))


@pytest.mark.parametrize("size", [1, 2, 3, 7, 16, 10_000])
def test_it_is_the_same_however_it_is_cut(size: int) -> None:
    settings, inputs = read(pieces(WHOLE, size))
    assert settings == SETTINGS
    assert list(inputs) == INPUTS


def test_an_end_in_the_middle_gives_what_came_before_and_then_an_error() -> None:
    ends = [len(encode_header(SETTINGS))]
    for given in INPUTS:
        ends.append(ends[-1] + len(encode_input(given)))
    for end in range(ends[0], len(WHOLE)):
        _, inputs = decode(WHOLE[:end])
        complete = max(number for number, at in enumerate(ends) if at <= end)
        assert [next(inputs) for _ in range(complete)] == INPUTS[:complete]
        if end in ends:
            assert next(inputs, None) is None
        else:
            with pytest.raises(ParseError, match="end of the file") as raised:
                next(inputs)
            assert raised.value.offset == ends[complete]


@pytest.mark.parametrize("data", [b"", b"x", MAGIC[:-1], b"PK" * 40])
def test_what_is_no_recording_is_refused(data: bytes) -> None:
    with pytest.raises(ParseError, match="begins with"):
        decode(data)


def test_a_recording_without_settings_is_refused() -> None:
    with pytest.raises(ParseError, match="settings"):
        decode(MAGIC)


def test_damage_is_told_with_its_place() -> None:
    start = len(encode_header(SETTINGS))
    with pytest.raises(ParseError, match="damaged bytes") as raised:
        list(decode(WHOLE[:start] + b"\xc1" + WHOLE[start:])[1])
    assert raised.value.offset == start


@pytest.mark.thorough
def test_memory_does_not_grow_with_the_recording() -> None:
    block = encode_input(INPUTS[1]) * 1_500
    _, inputs = read(iter([encode_header(SETTINGS), *[block] * 4]))
    next(inputs)
    tracemalloc.start()
    try:
        count = sum(1 for _ in inputs)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert count == 4 * 1_500 - 1
    assert peak_bytes < 4 * len(block)
