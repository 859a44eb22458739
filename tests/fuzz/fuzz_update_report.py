"""Steps of updates and files of samples: any bytes give a value or a ParseError."""

from __future__ import annotations

from vedette.codec import rule_samples, strict_json, update_report
from vedette.errors import ParseError
from vedette.model.release import ReleaseKind
from vedette.model.sample import RuleSample, SampleEvent, SampleSet
from vedette.model.update import Cause, Step, UpdateReport

_REPORT = UpdateReport(
    "0123456789abcdef", Step.REFUSED, ReleaseKind.RULES, "fleet", "1.7", 7, "ab" * 32,
    Cause.SAMPLES, "expected shell to match", "schedule", 1, {"samples": "3"},
)  # fmt: skip
_SAMPLES = SampleSet(
    "ab" * 32, (RuleSample("a.yml:1", ("r",), True, (SampleEvent("", 0.0, {"Image": "/x"}),)),)
)
SEEDS = (strict_json.canonical(update_report.plain(_REPORT)), rule_samples.encode(_SAMPLES))


def target(data: bytes) -> None:
    """What is read as a step is a step when it is written again."""
    try:
        found = update_report.parse(strict_json.parse(data, max_bytes=1 << 16))
    except ParseError:
        pass
    else:
        again = update_report.parse(update_report.plain(found))
        assert again == found
    try:
        samples = rule_samples.decode(data)
    except ParseError:
        return
    assert rule_samples.decode(rule_samples.encode(samples)) == samples
