"""Golden tests: what the worker is asked to run, and what came of it."""

from __future__ import annotations

from typing import NamedTuple


class GoldenCase(NamedTuple):
    """One run of a runner.

    Attributes:
        name: of the case.
        argv: the program and its arguments, all filled in.
        expected: the file with the JSON that it must print.
        absolute, relative: how far a number x may be off: absolute + relative * |expected|.
    """

    name: str
    argv: tuple[str, ...]
    expected: str
    absolute: float
    relative: float


class GoldenRequest(NamedTuple):
    """All cases of one model.

    Attributes:
        user: name or uid that the runner runs as; never root.
        folder: of the model's content: nothing in it may be executed.
        time_ms: of each case, on the wall.
        memory_bytes: of address space.
        output_bytes: that a run may print.
    """

    user: str
    folder: str
    cases: tuple[GoldenCase, ...]
    time_ms: int
    memory_bytes: int
    output_bytes: int


class CaseResult(NamedTuple):
    """What came of one case.

    Attributes:
        detail: what was wrong, "" where all was right.
        is_limit: it took more than it may, or did not end, rather than answer wrongly.
        time_ms: that it took.
        peak_bytes: of resident memory.
    """

    name: str
    detail: str
    is_limit: bool
    time_ms: int
    peak_bytes: int
