"""What the doctor says of denying executions, and that what cannot be denied is detected."""

from __future__ import annotations

from functools import cache

import pytest
from tests.simulators.shipped import shipped_bundle

from vedette.cli import _deny_text
from vedette.codec.strict_json import Json
from vedette.core.engine import Engine
from vedette.daemon.config import Deny

ON = Deny(enabled=True)
WELL: dict[str, Json] = {
    "running": True, "file_systems": 3, "cached": True, "bans": 2, "asked": 40, "denied": 1,
    "problems": [],
}  # fmt: skip


@cache
def engine() -> Engine:
    return Engine(shipped_bundle())


INSTEAD = {
    "a file in memory is made": (
        "kernel_activity",
        {"Activity": "memfd_create", "Target": "x", "Image": "/usr/bin/python3.11"},
    ),
    "a file in memory is run": (
        "process_creation", {"Image": "/memfd:x (deleted)", "CommandLine": "x"},
    ),
    "an interpreter is given a script": (
        "process_creation", {"Image": "/bin/sh", "CommandLine": "sh /tmp/x.sh"},
    ),
    "the loader is given a program": (
        "process_creation",
        {"Image": "/lib/ld-linux-armhf.so.3", "CommandLine": "/lib/ld-linux-armhf.so.3 /tmp/x"},
    ),
    "a library is forced on all programs": (
        "file_event", {"TargetFilename": "/etc/ld.so.preload", "Action": "created"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", INSTEAD)
def test_what_cannot_be_denied_is_detected(name: str) -> None:
    category, fields = INSTEAD[name]
    assert list(engine().match(category, fields))


def test_where_it_is_off_one_line_says_so() -> None:
    (fact,) = _deny_text.facts(Deny(), None)
    assert fact.is_good
    assert "enabled = false" in fact.found


def test_where_it_is_on_all_that_it_cannot_deny_is_said() -> None:
    first, *limits = _deny_text.facts(ON, WELL)
    assert first.is_good
    assert "2 files denied; 3 file systems" in first.found
    assert [limit.found.removeprefix("deny ") for limit in limits] == list(_deny_text.CANNOT)


@pytest.mark.parametrize("word", ["memfd", "interpreter", "BusyBox", "ld.so", "remote"])
def test_no_limit_is_forgotten(word: str) -> None:
    assert any(word in words for words in _deny_text.CANNOT)


def test_a_holder_that_does_not_run_is_no_good_device() -> None:
    facts = _deny_text.facts(ON, {**WELL, "running": False})
    assert not facts[0].is_good
    assert facts[0].advice


def test_what_is_not_watched_is_advised_on() -> None:
    facts = _deny_text.facts(ON, {**WELL, "problems": ["/mnt (nfs): left out", 7]})
    assert [fact.advice for fact in facts if not fact.is_good] == ["/mnt (nfs): left out", "7"]


def test_an_old_kernel_is_told() -> None:
    assert "each execution" in _deny_text.facts(ON, {**WELL, "cached": False})[0].found
