"""The samples of our own rules, as devices try them: all of them go as their authors say."""

from __future__ import annotations

from tests.simulators.shipped import shipped

from vedette.cli._sample_pack import pack
from vedette.codec import bundle as bundle_codec
from vedette.codec import rule_samples
from vedette.core.self_test import SelfTest


def test_our_rules_pass_their_own_samples_on_the_whole_engine() -> None:
    collected = shipped()
    bundle = bundle_codec.decode(bundle_codec.encode(collected.bundle("ours", 1, 1, 2)))
    data = rule_samples.encode(pack(collected, bundle.digest))
    samples = rule_samples.decode(data)
    assert list(SelfTest(bundle).run(samples)) == []
    assert len(samples.samples) > len(bundle.rules), "every rule has samples"
    assert len(data) < 1 << 20, "they travel with each release"
