"""The [firmware] table: what is read, and what is told to be wrong, with its place."""

from __future__ import annotations

import pytest

from vedette.daemon.config import parse
from vedette.daemon.firmware_options import NO_FIRMWARE
from vedette.errors import ConfigError
from vedette.ports.slot_backend import MAX_TRIES

WHOLE = """
[firmware]
backend = "grub"
settle_s = 30
restart = ["/usr/bin/systemctl", "reboot"]
[firmware.slots]
environment = "/boot/grubenv"
[firmware.health.page]
port = 80
[firmware.health.key]
file = "/etc/key"
"""


def test_a_device_takes_no_firmware_unless_it_says_how() -> None:
    assert parse("", "t").firmware == NO_FIRMWARE
    assert not NO_FIRMWARE.backend


def test_a_trial_gets_as_many_starts_as_a_boot_loader_counts() -> None:
    assert parse("", "t").firmware.tries == MAX_TRIES
    assert parse("[firmware]\ntries = 1", "t").firmware.tries == 1


def test_all_of_it_is_read() -> None:
    firmware = parse(WHOLE, "t").firmware
    assert (firmware.backend, firmware.settle_s, firmware.trial_s) == ("grub", 30, 600)
    assert firmware.restart == ("/usr/bin/systemctl", "reboot")
    assert firmware.slots == {"environment": "/boot/grubenv"}
    assert [(one.name, one.port, one.file) for one in firmware.health] == [
        ("page", 80, ""), ("key", 0, "/etc/key"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('backend = "lilo"', "one of"),
        ("firmware = 3", "expected a table"),
        ("settle_s = 700", "settle_s: expected at most trial_s"),
        ("settle_s = 0", "settle_s"),
        ("tries = 0", "tries"),
        ("tries = 4", "tries"),
        ('restart = ["reboot"]', "absolute path"),
        ("slots = 3", "a table of at most"),
        ("slots = {a = 3}", "text of one line"),
        ('slots = {a = "x\\ny"}', "text of one line"),
        ('slots = {"A b" = "x"}', "name of an option"),
        ("health = 3", "tables of probes"),
        ("health = {page = {}}", "a unit, a port, a file or a command"),
        ("health = {page = {port = 0}}", "port"),
        ("speed = 3", 'unknown key "speed"'),
    ],
)
def test_mistakes_are_told_with_their_place(text: str, words: str) -> None:
    document = text if text.startswith("firmware") else f"[firmware]\n{text}"
    with pytest.raises(ConfigError, match=words) as told:
        parse(document, "t")
    assert str(told.value).startswith("t:")
