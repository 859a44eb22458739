"""The note of a running trial: what is tried, and both links as they were before.

One line each: digest, digest before or "-", last good before that or "-".
"""

from __future__ import annotations

import re
from typing import NamedTuple

from vedette.errors import ParseError

_TRIAL = re.compile(r"([0-9a-f]{64})\n([0-9a-f]{64}|-)\n([0-9a-f]{64}|-)\n")


class Trial(NamedTuple):
    """Digests of contents; "" for none.

    Attributes:
        digest: what is tried.
        before: what was in use.
        last_good: what was the last good one then.
    """

    digest: str
    before: str
    last_good: str


NONE = Trial("", "", "")


def encode(trial: Trial) -> bytes:
    """The content of its file."""
    return f"{trial.digest}\n{trial.before or '-'}\n{trial.last_good or '-'}\n".encode()


def decode(data: bytes) -> Trial:
    """Read the content of its file.

    Raises:
        ParseError: it was cut, or never was one.
    """
    match = _TRIAL.fullmatch(data.decode("ascii", "replace"))
    if match is None:
        raise ParseError("expected three lines with a digest each")
    digest, before, last_good = match.groups()
    return Trial(digest, before.strip("-"), last_good.strip("-"))
