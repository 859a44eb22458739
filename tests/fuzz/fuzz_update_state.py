"""Fuzz target: what is read of boot loaders, workers, and updates that were under way."""

from __future__ import annotations

import json
from contextlib import suppress

from vedette.codec import (
    firmware_record,
    grub_environment,
    model_trial,
    rauc_status,
    rule_samples,
    uboot_environment,
    update_report,
    worker_link,
)
from vedette.errors import ParseError
from vedette.model.firmware import FirmwareRecord
from vedette.model.release import ReleaseKind
from vedette.model.update import Cause, Step, UpdateReport

_REPORT = UpdateReport(
    "0" * 16, Step.REFUSED, ReleaseKind.MODEL, "person", "2", 2, "0a" * 32, Cause.GOLDEN, "why",
    "schedule", 1_800_000_000, {"golden": "1"},
)  # fmt: skip

SEEDS = (
    firmware_record.encode(FirmwareRecord()).encode(),
    grub_environment.encode({"vedette_slot": "a", "vedette_trial": "b"}),
    b"bslot=a\ntslot=b\ntries=3\n",
    json.dumps(update_report.plain(_REPORT)).encode(),
    model_trial.encode(model_trial.Trial("0a" * 32, "0b" * 32, "")),
    b'{"compatible":"cam","variant":"","booted":"A","boot_primary":"rootfs.0","slots":[]}',
)


def target(data: bytes) -> None:
    """Any bytes give a ParseError, or a value with one text."""
    text = data.decode("utf-8", "replace")
    with suppress(ParseError):
        found = firmware_record.decode(text)
        assert firmware_record.decode(firmware_record.encode(found)) == found
    with suppress(ParseError):
        values = grub_environment.decode(data)
        with suppress(ParseError):  # what comes in is not all that we would write
            assert grub_environment.decode(grub_environment.encode(values)) == values
    with suppress(ParseError):
        trial = model_trial.decode(data)
        assert model_trial.decode(model_trial.encode(trial)) == trial
    with suppress(ParseError):
        uboot_environment.decode(text)
    with suppress(ParseError):
        rauc_status.decode(text)
    with suppress(ParseError):
        rule_samples.decode(data)
    with suppress(ParseError):
        worker_link.decode_request(text)
    with suppress(ParseError):
        worker_link.decode_report(data, ["one"])
    with suppress(ParseError, ValueError, RecursionError):
        report = update_report.parse(json.loads(data))
        assert update_report.parse(update_report.plain(report)) == report
