"""A playbook's way on a real device: it observes, two operators let it act, one takes that back.

Command line, mosquitto, uplink and sentinel are the real ones; the files are the test's own.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.system._desk import Desk, running

from vedette.model.finding import Severity
from vedette.model.playbook import Playbook, Playbooks, Step

pytestmark = [pytest.mark.system, pytest.mark.usefixtures("as_root")]

HIDE = Playbook(
    "hide", "Hide it", ("marked",), (), Severity.LOW, (Step("quarantine", "file", 3600),), 100, 10,
    "",
)  # fmt: skip


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with running(tmp_path) as found:
        yield found


def offered(desk: Desk, *, promoted: bool) -> Playbooks:
    """Sign a set, offer it and have the running agent read it."""
    content = desk.device.site.offer_playbooks(HIDE, promoted=promoted)
    desk.device.site.ask("reload")
    return content


def outcome_of(desk: Desk, *, mode: str) -> tuple[Path, dict[str, Any]]:
    """Drop a file; returns it and what the response in this mode came to."""
    file = desk.device.site.watched / f"{secrets.token_hex(4)}.marked"
    file.write_bytes(b"#!/bin/sh\n")

    def look() -> dict[str, Any] | None:
        for entry in desk.device.site.ask("responses.list", limit=1000)["entries"]:
            if entry["phase"] == "outcome" and entry["target"].get("path") == str(file):
                return dict(entry)
        return None

    found = desk.device.until(look, f"what was done about {file.name}")
    assert found["mode"] == mode, found
    return file, found


def reported(desk: Desk, file: Path, words: str) -> None:
    """Wait until the operator's side got an incident that tells what was done about the file."""

    def look() -> bool:
        return any(
            action.startswith(f"quarantine {file}: {words}")
            for document in desk.entries("finding")
            for action in document["unmapped"].get("actions", ())
        )

    desk.device.until(look, f"an incident that tells: {words}")


def test_a_playbook_acts_once_two_operators_promoted_it_until_one_demotes_it(desk: Desk) -> None:
    (playbook,) = offered(desk, promoted=False).playbooks
    file, _ = outcome_of(desk, mode="observe")
    assert file.exists()
    reported(desk, file, "observed, ")

    done = desk.command("promote", playbook.digest, signers=("alice", "bob"))
    assert (done.code, done.receipts[0]["detail"]) == (0, "hide: enforce"), done
    file, outcome = outcome_of(desk, mode="enforce")
    assert outcome["status"] == "done", outcome
    assert not file.exists()
    reported(desk, file, "done, ")

    desk.device.kill("sentinel")  # what was decided outlives its process
    desk.device.until(
        lambda: desk.device.site.ask("status")["uplink"]["state"] == "up", "the uplink"
    )
    file, _ = outcome_of(desk, mode="enforce")
    assert not file.exists()

    done = desk.command("demote", "hide")
    assert (done.code, done.receipts[0]["detail"]) == (0, "hide: observe"), done
    file, _ = outcome_of(desk, mode="observe")
    assert file.exists()


def test_a_signed_set_promotes_and_a_later_one_demotes(desk: Desk) -> None:
    offered(desk, promoted=False)
    file, _ = outcome_of(desk, mode="observe")
    assert file.exists()
    reported(desk, file, "observed, ")
    offered(desk, promoted=True)
    file, outcome = outcome_of(desk, mode="enforce")
    assert not file.exists()
    reported(desk, file, "done, ")
    (undone,) = desk.command("undo", outcome["id"]).receipts
    assert undone["status"] == "done", undone
    assert file.read_bytes() == b"#!/bin/sh\n"
    reported(desk, file, "undone, ")
    offered(desk, promoted=False)
    file, _ = outcome_of(desk, mode="observe")
    assert file.exists()
