"""Between the installer and the worker: which golden cases to run, and what came of them.

Rule: the worker runs a model that may have taken it over: its report is read like any other input,
is bounded, and names the cases that were asked, in their order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from vedette.codec import strict_fields as strict
from vedette.codec.strict_json import Json, canonical, parse
from vedette.codec.text import escape
from vedette.codec.values import from_plain, to_plain
from vedette.errors import ParseError
from vedette.model.golden import CaseResult, GoldenRequest

MAX_REQUEST_BYTES = 120 * 1024
"""execve(2): one argument has at most 128 KB."""
MAX_REPORT_BYTES = 64 * 1024
MAX_DETAIL_CHARS = 300

_RESULT = frozenset({"detail", "limit", "name", "peak", "time-ms"})


def encode_request(request: GoldenRequest) -> str:
    """A request as one argument of a command line.

    Raises:
        ParseError: it is too long for one.
    """
    text = canonical(to_plain(request)).decode()
    if len(text.encode()) > MAX_REQUEST_BYTES:
        raise ParseError(f"expected golden cases that take at most {MAX_REQUEST_BYTES} bytes")
    return text


def decode_request(text: str) -> GoldenRequest:
    """The opposite of `encode_request`.

    Raises:
        ParseError: it was not made by `encode_request`.
    """
    found = parse(text.encode("utf-8", "replace"), max_bytes=MAX_REQUEST_BYTES)
    request: GoldenRequest = from_plain(GoldenRequest, found, "request")
    return request


def encode_report(results: Sequence[CaseResult]) -> bytes:
    """What came of the cases that were run; the last of them may have failed."""
    rows: list[Json] = [_plain(one) for one in results]
    return canonical(rows)


def decode_report(data: bytes, asked: Sequence[str]) -> tuple[CaseResult, ...]:
    """Read what a worker wrote before it ended.

    Args:
        data: all of it.
        asked: the names of the cases.

    Raises:
        ParseError: it is not of this form, or names other cases. All were run, or the last one
            that was run failed.
    """
    value = parse(data, max_bytes=MAX_REPORT_BYTES)
    results = strict.rows(value, "results", len(asked), _result)
    names = [one.name for one in results]
    if names != list(asked[: len(names)]):
        raise ParseError("expected the cases that were asked, in their order")
    is_short = len(names) < len(asked)
    if is_short and not (results and results[-1].detail):
        raise ParseError(f"expected {len(asked)} cases, or the reason to stop, got {len(names)}")
    return results


def _plain(one: CaseResult) -> Json:
    detail = escape(one.detail)[:MAX_DETAIL_CHARS]
    return cast("Json", dict(zip(sorted(_RESULT), (
        detail, one.is_limit, one.name, one.peak_bytes, one.time_ms
    ), strict=True)))  # fmt: skip


def _result(value: object) -> CaseResult:
    found = strict.fields(value, "a result", _RESULT)
    return CaseResult(
        strict.visible(found["name"], "the name of a case", 64),
        strict.visible(found["detail"], "a detail", MAX_DETAIL_CHARS),
        strict.truth(found["limit"], "limit"),
        strict.number(found["time-ms"], "time-ms", 0),
        strict.number(found["peak"], "peak", 0),
    )
