"""Takes secrets out of what leaves the core: passwords and tokens in arguments and URLs.

Rule 1: patterns are signed content: they come with the bundle of rules.
Rule 2: a pattern's first group is the secret; a pattern without groups is the secret itself.
Rule 3: redaction happens once, where a finding is made, before journal and uplink.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

REDACTED = "[redacted]"


class Redactor:
    """Replaces what the patterns call secret."""

    def __init__(self, patterns: Iterable[str] = ()) -> None:
        self._patterns: list[re.Pattern[str]] = []
        for pattern in patterns:
            self.add(pattern)

    def add(self, pattern: str) -> None:
        """Take one more pattern into use."""
        self._patterns.append(re.compile(pattern))

    def __call__(self, text: str) -> str:
        """The text without its secrets."""
        for pattern in self._patterns:
            text = pattern.sub(_without_secret, text)
        return text


def _without_secret(match: re.Match[str]) -> str:
    whole = match.group(0)
    if match.re.groups == 0 or match.group(1) is None:
        return REDACTED
    begin, end = match.start(1) - match.start(0), match.end(1) - match.start(0)
    return whole[:begin] + REDACTED + whole[end:]
