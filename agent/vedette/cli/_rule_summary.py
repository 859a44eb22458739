"""What several rule commands say of a rule and of what was refused."""

from __future__ import annotations

import sys

from vedette.cli._rule_folder import Collected
from vedette.cli._sigma_compiler import Compiled
from vedette.codec.text import escape


def describe(compiled: Compiled) -> dict[str, object]:
    """A rule for programs: plain values by name."""
    rule = compiled.rule
    return {
        "id": rule.rule_id,
        "title": rule.title,
        "author": rule.author,
        "level": rule.severity.name.lower(),
        "category": rule.category,
        "tags": list(rule.tags),
        "file": str(compiled.document.file),
        "warnings": list(compiled.warnings),
    }


def complain(collected: Collected) -> None:
    """Tell on stderr what was refused and what authors should know."""
    for line in collected.problems:
        print(escape(f"refused {line}"), file=sys.stderr)
    for line in collected.warnings:
        print(escape(f"warning {line}"), file=sys.stderr)
