"""Runs the golden cases of a model and ends: `python -I -m vedette.daemon.worker PARENT REQUEST`.

REQUEST is codec/worker_link.py's; the report goes to standard output.

Rule 1: two processes: the outer one makes the namespaces and waits; the inner one, the first of its
process namespace, closes the view, gives everything up, and runs the cases one after the other.
Rule 2: the first case that fails ends the test.
Rule 3: who started it may be killed: both end with their parent.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence

from vedette.codec.strict_json import parse
from vedette.codec.worker_link import decode_request, encode_report
from vedette.core.golden import difference
from vedette.daemon import privileges
from vedette.daemon.worker import enclosure
from vedette.daemon.worker.run import Limits, run
from vedette.errors import ParseError, VedetteError
from vedette.model.golden import CaseResult, GoldenCase, GoldenRequest
from vedette.model.model_manifest import MAX_GOLDEN_BYTES

EXIT_NO_ENCLOSURE = 2


def main(arguments: Sequence[str]) -> int:
    """Run and report; 0 when the report is whole."""
    parent, text = arguments
    privileges.die_with_parent(signal.SIGKILL, int(parent))
    try:
        request = decode_request(text)
        expected = {case.name: _expected(case) for case in request.cases}
        enclosure.leave_the_others()
    except (VedetteError, OSError) as error:
        return _complain(error)
    inner = os.fork()
    if inner == 0:
        os._exit(_inside(request, expected))
    _, status = os.waitpid(inner, 0)
    return max(0, os.waitstatus_to_exitcode(status)) if os.WIFEXITED(status) else EXIT_NO_ENCLOSURE


def _inside(request: GoldenRequest, expected: dict[str, bytes]) -> int:
    """The first process of the namespaces."""
    try:
        # The parent's pid is 0 in here, dead or alive; one that has ended leaves a test that ends.
        privileges.die_with_parent(signal.SIGKILL, 0)
        enclosure.close_the_view(request.folder)
        enclosure.give_up(request.user)
        privileges.die_with_parent(signal.SIGKILL, 0)  # a change of the user clears it
        results: list[CaseResult] = []
        for case in request.cases:
            results.append(_judge(case, request, expected[case.name]))
            if results[-1].detail:
                break
        os.write(1, encode_report(results))
    except (VedetteError, OSError) as error:
        return _complain(error)
    return 0


def _judge(case: GoldenCase, request: GoldenRequest, expected: bytes) -> CaseResult:
    limits = Limits(request.time_ms, request.memory_bytes, request.output_bytes)
    ran = run(case.argv, limits)
    detail = ran.problem or _compare(case, expected, ran.output)
    return CaseResult(case.name, detail, ran.is_limit, ran.time_ms, ran.peak_bytes)


def _compare(case: GoldenCase, expected: bytes, output: bytes) -> str:
    try:
        answer = parse(output, max_bytes=MAX_GOLDEN_BYTES)
    except ParseError as error:
        return f"it did not answer with JSON: {error}"
    wanted = parse(expected, max_bytes=MAX_GOLDEN_BYTES)
    return difference(wanted, answer, absolute=case.absolute, relative=case.relative)


def _expected(case: GoldenCase) -> bytes:
    """What is expected, read while we may, and read as JSON before anything is run.

    Raises:
        ParseError: it is no JSON.
    """
    with open(case.expected, "rb") as file:  # noqa: PTH123
        data = file.read(MAX_GOLDEN_BYTES + 1)
    try:
        parse(data, max_bytes=MAX_GOLDEN_BYTES)
    except ParseError as error:
        raise ParseError(f"the answer expected of {case.name}: {error}") from error
    return data


def _complain(error: Exception) -> int:
    os.write(2, f"{error}\n".encode("utf-8", "replace"))
    return EXIT_NO_ENCLOSURE


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
