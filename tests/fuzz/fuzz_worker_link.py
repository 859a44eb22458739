"""Fuzz target: what the worker reports, and answers of models beside what was expected."""

from __future__ import annotations

from vedette.codec.strict_json import parse
from vedette.codec.worker_link import decode_report, decode_request, encode_report, encode_request
from vedette.core.golden import difference
from vedette.errors import ParseError
from vedette.model.golden import CaseResult, GoldenCase, GoldenRequest

CASE = GoldenCase("a", ("/usr/lib/runner", "/in"), "/out", 0.5, 0.0)
SEEDS = [
    encode_report([CaseResult("a", "", is_limit=False, time_ms=1, peak_bytes=1)]),
    encode_request(GoldenRequest("nobody", "/m", (CASE,), 1, 1 << 20, 1)).encode(),
    b'{"y": [[1, 2.5], ["person"]]}',
]


def target(data: bytes) -> None:
    """Any bytes give a report about the cases that were asked, or a ParseError; any two answers
    can be compared, and one is always right beside itself.
    """
    try:
        report = decode_report(data, ["a", "b"])
        assert [one.name for one in report] == ["a", "b"][: len(report)]
    except ParseError:
        pass
    try:
        request = decode_request(data.decode("utf-8", "replace"))
        assert decode_request(encode_request(request)) == request
    except ParseError:
        pass
    try:
        answer = parse(data, max_bytes=1 << 20)
    except ParseError:
        return
    difference({"y": [[1, 2.5]]}, answer, absolute=0.5, relative=0.5)
    assert difference(answer, answer, absolute=0.0, relative=0.0) == ""
