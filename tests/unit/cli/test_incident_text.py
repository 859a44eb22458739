"""An incident for people: one line that cannot be forged, and all of it."""

from __future__ import annotations

import time

import pytest

from vedette.cli._incident_text import clock, details, line
from vedette.cli._terminal import Painter
from vedette.codec.report import Link, Report
from vedette.model.finding import Severity

PLAIN = Painter(is_coloured=False)
REPORT = Report(
    incident_id="3f2a9c0112345678",
    status="created",
    revision=1,
    severity=Severity.HIGH,
    title="Program run from a temporary folder",
    rule_id="6d0b2a6e-0000-4000-8000-000000000001",
    author="Vedette",
    tier="audit",
    times=3,
    time_ms=1_795_219_200_000,
    chain=(
        Link(42, "/tmp/x", "/tmp/x --flag"),
        Link(41, "/bin/sh", "sh -c /tmp/x"),
        Link(7, "", ""),
    ),
    fields=(("CommandLine", "/tmp/x --flag"), ("User", "root")),
    actions=(),
    losses=(),
    is_reduced=False,
    whole_sha256="",
)


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()


def test_one_line_says_it_all() -> None:
    assert line(REPORT, PLAIN) == (
        "2026-11-21 00:00:00  high      3f2a9c01  Program run from a temporary folder  x3  "
        "7 > sh > x  /tmp/x --flag  [created; nothing done]"
    )


def test_a_hostile_report_stays_one_line_without_control_characters() -> None:
    evil = REPORT._replace(
        title="a\x1b[2J\nb",
        chain=(Link(1, "/tmp/\u202ex\n", ""),),
        fields=(("CommandLine", "\r" + "y" * 5000),),
        actions=("killed\x07",),
        losses=("process: 3 at kernel\x1b",),
    )
    text = line(evil, PLAIN)
    assert len(text) < 400
    assert text.isprintable()
    assert all(part.isprintable() for part in details(evil, PLAIN))
    assert "some events of this time were lost" in text


def test_colours_follow_severity() -> None:
    assert "\x1b[31mhigh" in line(REPORT, Painter(is_coloured=True))


def test_details_show_fields_chain_and_losses() -> None:
    report = REPORT._replace(losses=("process: some at kernel",))
    text = "\n".join(details(report, PLAIN))
    assert text.startswith("Program run from a temporary folder\n  incident")
    assert "sh -c /tmp/x (pid 41)" in text
    assert "  User         root\n" in text
    assert "lost in its window: process: some at kernel" in text


def test_a_time_that_no_clock_has_is_said() -> None:
    assert clock(10**30) == "unknown time"
