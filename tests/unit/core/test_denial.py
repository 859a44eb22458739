"""Which file may run: a table of lists and files."""

from __future__ import annotations

import pytest

from vedette.core.denial import ALLOWED, Policy
from vedette.model.denial import (
    ANY_SIZE,
    BY_DIGEST,
    BY_PATH,
    DENY_UNKNOWN,
    OBSERVE_UNKNOWN,
    UNLISTED,
    UNLISTED_OBSERVED,
    Lists,
)

GOOD, BAD, OTHER = (bytes([number]) * 32 for number in range(3))


def verdict(lists: Lists, digest: bytes, size: int, path: str = "/x") -> tuple[int, bool]:
    """The reason against a file, and whether it had to be read."""
    policy = Policy(lists)
    if reason := policy.by_path(path):
        return reason, False
    if policy.needs_digest(size):
        return policy.by_digest(digest), True
    return policy.unread(), False


DENIED = frozenset({(100, BAD)})
KNOWN = frozenset({(100, GOOD)})


@pytest.mark.parametrize(
    ("lists", "digest", "size", "expected"),
    [
        pytest.param(Lists(), BAD, 100, (ALLOWED, False), id="no list denies nothing"),
        pytest.param(Lists(denied=DENIED), BAD, 100, (BY_DIGEST, True), id="a denied content"),
        pytest.param(
            Lists(denied=DENIED), GOOD, 101, (ALLOWED, False), id="another size is not even read"
        ),
        pytest.param(
            Lists(denied=DENIED), GOOD, 100, (ALLOWED, True), id="another content of that size"
        ),
        pytest.param(
            Lists(denied=frozenset({(ANY_SIZE, BAD)})), BAD, 5, (BY_DIGEST, True),
            id="a denied content of unknown size has every file read",
        ),
        pytest.param(
            Lists(unknown=DENY_UNKNOWN, allowed=KNOWN), GOOD, 100, (ALLOWED, True), id="a known one"
        ),
        pytest.param(
            Lists(unknown=DENY_UNKNOWN, allowed=KNOWN), OTHER, 100, (UNLISTED, True),
            id="an unknown content of a known size",
        ),
        pytest.param(
            Lists(unknown=DENY_UNKNOWN, allowed=KNOWN), OTHER, 7, (UNLISTED, False),
            id="an unknown size needs no reading, however big",
        ),
        pytest.param(
            Lists(unknown=OBSERVE_UNKNOWN, allowed=KNOWN), OTHER, 7, (UNLISTED_OBSERVED, False),
            id="the unknown is observed",
        ),
        pytest.param(
            Lists(unknown=DENY_UNKNOWN, allowed=frozenset({(100, BAD)}), denied=DENIED), BAD, 100,
            (BY_DIGEST, True), id="denied wins over allowed",
        ),
        pytest.param(
            Lists(denied_paths=frozenset({"/x"}), allowed=KNOWN), GOOD, 100, (BY_PATH, False),
            id="a denied path, whatever it holds",
        ),
    ],
)  # fmt: skip
def test_verdicts(lists: Lists, digest: bytes, size: int, expected: tuple[int, bool]) -> None:
    assert verdict(lists, digest, size) == expected


@pytest.mark.parametrize(
    ("lists", "has_work"),
    [
        (Lists(), False),
        (Lists(allowed=KNOWN, essential=frozenset({"/bin/sh"})), False),
        (Lists(denied=DENIED), True),
        (Lists(denied_paths=frozenset({"/x"})), True),
        (Lists(unknown=OBSERVE_UNKNOWN), True),
    ],
)
def test_nothing_is_watched_while_nothing_could_be_denied_or_told(
    lists: Lists, *, has_work: bool
) -> None:
    assert Policy(lists).has_work is has_work
