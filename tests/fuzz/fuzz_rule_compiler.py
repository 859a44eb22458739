"""Fuzzes the compiler of rules, correlations and filters, with the bundle and engine behind it."""

from __future__ import annotations

import tempfile
from pathlib import Path

from vedette.cli._rule_folder import collect
from vedette.codec import bundle
from vedette.core.engine import Engine

_RULE = b"""\
title: A rule
id: 6f1f2f5e-8d0b-4c1e-9d7e-1f8e3c8f9a01
name: shell
author: Somebody
level: high
tags: [attack.t1059]
logsource: {product: linux, category: process_creation}
detection:
  s:
    Image|endswith: ['/sh', /ash]
    CommandLine|windash|contains|all: [' -x', 'a*b?c']
    User|re|i: '^ro+t'
    SourceIp|cidr: 10.0.0.0/8
  k: [one, 'tw\\*o', 3]
  f:
    - CommandLine|base64offset|contains: curl
    - UserId|gte: 1000
    - ParentImage|fieldref|startswith: Image
    - LogonId: null
    - a1|exists: false
  condition: s and (k or not 1 of f*)
"""
_AUDITD = b"""\
title: Records
id: 6f1f2f5e-8d0b-4c1e-9d7e-1f8e3c8f9a02
author: Somebody
level: low
logsource:
  product: linux
  service: auditd
  definition: '-w /usr/bin/wget -p x -k susp'
detection:
  a: {type: EXECVE, a0: chmod, a1: 777}
  b: {type: PATH, name|startswith: /etc/, nametype: CREATE}
  c: {type: SYSCALL, SYSCALL: [execve, ptrace], exe: /tmp/x, comm: x}
  d: {key: susp}
  condition: 1 of them
"""
_CORRELATION = b"""\
title: Many
id: 6f1f2f5e-8d0b-4c1e-9d7e-1f8e3c8f9b01
author: Somebody
level: high
correlation:
  type: value_count
  rules: [shell]
  group-by: [User, who]
  timespan: 5m
  generate: true
  condition: {field: Image, gte: 3, lt: 50}
  aliases: {who: {shell: User}}
"""
_FILTER = b"""\
title: Harmless
id: 6f1f2f5e-8d0b-4c1e-9d7e-1f8e3c8f9c01
device_class: [camera]
logsource: {product: linux, category: process_creation}
filter:
  rules: [shell]
  selection: {ParentImage: /usr/bin/updater}
  condition: not selection
"""
SEEDS = (
    b"---\n".join((_RULE, _AUDITD, _CORRELATION, _FILTER)),
    _RULE,
    _AUDITD,
    b"---\n".join((_RULE, _CORRELATION)),
    b"---\n".join((_RULE, _FILTER)),
)
_EVENT = {"Image": "/bin/sh", "CommandLine": "sh -x one", "User": "root", "LogonId": ""}


def target(data: bytes) -> None:
    """Any text gives problems with their places, or a bundle that is read back as it was written.

    What compiles runs: the engine takes every rule of it.
    """
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "rules.yml"
        file.write_bytes(data)
        collected = collect([file])
    for line in (*collected.problems, *collected.warnings):
        place = line.removeprefix(f"{file}:").split(":", 2)
        if len(place) != 3 or not all(number.isdigit() for number in place[:2]):
            raise AssertionError(f"a complaint without a place: {line!r}")
    made = collected.bundle("fuzz", 1, 0, 0)
    read = bundle.decode(bundle.encode(made))
    if (read.correlations, len(read.rules)) != (made.correlations, len(made.rules)):
        raise AssertionError("a bundle changed when it was written and read again")
    engine = Engine(read)
    if engine.refused:
        raise AssertionError(f"the compiler let pass what the engine refuses: {engine.refused}")
    for category in {rule.category for rule in read.rules}:
        engine.match(category, _EVENT)
