"""Fuzzes the linter and the tester with YAML of rules and of samples."""

from __future__ import annotations

import tempfile
from pathlib import Path

from vedette.cli._lint import lint
from vedette.cli._rule_folder import collect
from vedette.cli._rule_samples import run_file, subjects
from vedette.cli._sample_file import read_samples
from vedette.errors import RuleError

_RULE = b"""\
title: Shell of a web server
id: 6f1f2f5e-8d0b-4c1e-9d7e-1f8e3c8f9a01
description: d
author: a
level: high
tags: [attack.execution, attack.t1059.004]
falsepositives: [Unlikely]
logsource: {product: linux, category: process_creation}
detection:
  shell:
    Image|endswith: [/sh, '*/b?sh']
    CommandLine|re: 'a[bc]{0,9}d'
  parent: {ParentImage|contains|all: [a, b], User: null, ProcessId|gt: 5}
  words: [one, two]
  quiet: {CommandLine|contains: health, SourceIp|cidr: 10.0.0.0/8}
  condition: (shell or words) and not 1 of quiet*
"""
_CORRELATION = b"""\
title: Three
id: 6f1f2f5e-8d0b-4c1e-9d7e-1f8e3c8f9a02
author: a
level: low
correlation:
  type: event_count
  rules: [6f1f2f5e-8d0b-4c1e-9d7e-1f8e3c8f9a01]
  group-by: [User]
  timespan: 60s
  condition: {gte: 3}
"""
_SAMPLES = b"- {Image: /bin/sh, User: u}\n- [{Image: /bin/sh, at: 3s, times: 3, every: 1}]\n"
_SPLIT = b"\n====\n"

SEEDS = (
    _RULE + _SPLIT + _SAMPLES,
    _RULE + b"---\n" + _CORRELATION + _SPLIT + _SAMPLES,
    _RULE.replace(b"quiet:", b"quiet|x:") + _SPLIT + b"- {a: b}\n",
)


def target(data: bytes) -> None:
    """Any bytes as a rule and its samples give diagnostics with a place, and outcomes or errors."""
    rule, _, samples = data.partition(_SPLIT)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        file, sample = folder / "a.yml", folder / "a.match.yml"
        file.write_bytes(rule)
        sample.write_bytes(samples)
        for found in lint([folder]).found:
            if found.line < 1 or found.column < 1 or found.file.parent != folder:
                raise AssertionError(f"a diagnostic without a place: {found}")
        try:
            read_samples(sample)
        except RuleError as error:
            if not str(error).startswith(f"{sample}:"):
                raise AssertionError(f"an error without a place: {error}") from error
        _run(folder)


def _run(folder: Path) -> None:
    collected = collect([folder])
    bundle = collected.bundle("fuzz", 0, 0, 0)
    for of in subjects(collected):
        try:
            list(run_file(of, bundle))
        except RuleError as error:
            if not str(error).startswith(f"{folder}"):
                raise AssertionError(f"an error without a place: {error}") from error
