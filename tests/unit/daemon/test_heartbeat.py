"""Heartbeats: what they claim is signed, bound to the device, and complete."""

from __future__ import annotations

import json
import time

from vedette.daemon import heartbeat
from vedette.daemon.build import BUILD_S
from vedette.model.event import EventClass
from vedette.model.message import Identity
from vedette.model.tier import Tier, TierReport
from vedette.ports.journal import JournalStatus
from vedette.trust.checkpoint import verify_checkpoint
from vedette.trust.ed25519 import Ed25519Signer, Ed25519Verifier

IDENTITY = Identity("home", "cam-1", "ab" * 16)
SIGNER = Ed25519Signer(b"\x07" * 32)
JOURNAL = JournalStatus(
    epoch=3, size=12, root=b"\x11" * 32, first_index=0, newest_sequence=9, delivered=9, pending=0,
    bytes_used=1, bytes_limit=2, dropped=0, is_degraded=False, reason="",
)  # fmt: skip


def test_a_checkpoint_names_device_epoch_tree_and_baseline() -> None:
    signed = heartbeat.checkpoint(IDENTITY, JOURNAL, "cd" * 32, SIGNER)
    claim = verify_checkpoint(signed.encode(), "cam-1", SIGNER.public_key, Ed25519Verifier())
    assert claim.origin == "vedette/home/cam-1/3"
    assert (claim.size, claim.root) == (12, b"\x11" * 32)
    assert claim.extensions == (f"baseline {'cd' * 32}",)


def test_a_checkpoint_without_a_baseline_claims_none() -> None:
    signed = heartbeat.checkpoint(IDENTITY, JOURNAL, "", SIGNER)
    claim = verify_checkpoint(signed.encode(), "cam-1", SIGNER.public_key, Ed25519Verifier())
    assert claim.extensions == ()


def test_a_state_says_where_each_class_stands() -> None:
    tier = Tier(EventClass.FILE, "fanotify", 80, "all", (), ())
    body = heartbeat.state(
        IDENTITY,
        counter=2,
        uptime_s=12.6,
        newest_sequence=9,
        reports=(TierReport(EventClass.FILE, tier, ()), TierReport(EventClass.LOG, None, ())),
        rules="ef" * 32,
        profile="ab" * 32,
        incidents_open=1,
        degraded="disk full",
        checkpoint="note",
    )
    document = json.loads(body)
    assert document["tiers"] == {"file": "fanotify", "log": ""}
    assert (document["counter"], document["uptime_s"]) == (2, 13)
    assert document["degraded"] == "disk full"
    assert (document["rules"], document["profile"]) == ("ef" * 32, "ab" * 32)


def test_the_build_time_is_not_in_the_future() -> None:
    assert time.time() >= BUILD_S
