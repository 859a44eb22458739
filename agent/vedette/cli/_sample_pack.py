"""The samples beside rules, gathered for the devices that will try them before they use the rules.

Rule: samples of filters stay here: which events a class of devices leaves out is judged by their
author, and tells nothing of whether the rules work on a device.
"""

from __future__ import annotations

from collections.abc import Iterator

from vedette.cli._rule_folder import Collected
from vedette.cli._rule_samples import Subjects, chosen, subjects
from vedette.cli._sample_file import Sample, read_samples, sample_files
from vedette.model.sample import RuleSample, SampleEvent, SampleSet


def pack(collected: Collected, bundle: str) -> SampleSet:
    """All samples of what was collected.

    Args:
        bundle: digest of the payload that was made of it.

    Raises:
        RuleError: a file of samples cannot be used.
    """
    return SampleSet(bundle, tuple(one for of in subjects(collected) for one in _of_file(of)))


def _of_file(of: Subjects) -> Iterator[RuleSample]:
    for file, is_wanted in sample_files(of.file):
        for sample in read_samples(file):
            rules = _rules(of, sample)
            if rules:
                place = f"{file.parent.name}/{file.name}:{sample.line}"
                yield RuleSample(place, rules, is_wanted, tuple(_events(sample)))


def _rules(of: Subjects, sample: Sample) -> tuple[str, ...]:
    if sample.is_sequence or not (of.rules or of.filters):
        return (chosen(of, sample).correlation.rule_id,)
    return tuple(dict.fromkeys(rule.rule_id for one in of.rules for rule in one.rules))


def _events(sample: Sample) -> Iterator[SampleEvent]:
    for event in sample.events:
        yield SampleEvent(event.category, event.at_s, event.fields)
