"""What people read of the holder: each report has its finding."""

from __future__ import annotations

import pytest

from vedette.codec.holder_reports import Decision, Freed, Gap, Refused
from vedette.daemon import deny_words
from vedette.model.denial import (
    BY_DIGEST,
    BY_PATH,
    NO_DIGEST,
    OVERLOADED,
    QUEUE_FULL,
    TOO_BIG,
    UNLISTED,
    UNLISTED_OBSERVED,
    UNREADABLE,
    UNTOLD,
)


def decision(reason: int, *, is_late: bool = False, digest: bytes = b"\xab" * 32) -> Decision:
    return Decision(reason, 7, 3, 100, digest, "/tmp/x", is_late=is_late)


@pytest.mark.parametrize("reason", [BY_DIGEST, BY_PATH, UNLISTED])
def test_a_denial_names_file_process_and_reason(reason: int) -> None:
    report = deny_words.of_report(decision(reason))
    assert report.condition == "exec-denied"
    assert report.fields["Image"] == "/tmp/x"
    assert report.fields["ProcessId"] == "7"
    assert report.fields["Count"] == "3"
    assert report.fields["Hashes"] == "SHA256=" + "ab" * 32
    assert report.fields["Reason"] == deny_words.REASONS[reason]


def test_a_file_that_nobody_read_has_no_digest() -> None:
    assert "Hashes" not in deny_words.of_report(decision(BY_PATH, digest=NO_DIGEST)).fields


def test_what_ran_is_never_told_as_denied() -> None:
    late = deny_words.of_report(decision(BY_DIGEST, is_late=True))
    observed = deny_words.of_report(decision(UNLISTED_OBSERVED))
    assert {late.condition, observed.condition} == {"exec-denied-late", "exec-unlisted"}
    assert late.severity > observed.severity


@pytest.mark.parametrize("reason", [OVERLOADED, TOO_BIG, UNREADABLE, QUEUE_FULL, UNTOLD])
def test_every_gap_says_how_many_and_why(reason: int) -> None:
    report = deny_words.of_report(Gap(reason, 12))
    assert report.condition == "exec-unjudged"
    assert report.fields["Reason"].startswith("12 ")


def test_an_end_says_what_the_guardian_did() -> None:
    words = deny_words.of_end(Freed(3, 4, 1500, "no sign of life"))
    assert "7 waiting executions" in words
    assert "1.5 ms" in words
    assert deny_words.of_end(Refused("EPERM")) == "EPERM"
    assert "everything could be executed" in deny_words.lost(words).fields["Reason"]
    assert deny_words.lost("").fields["Reason"].startswith("it ended")
