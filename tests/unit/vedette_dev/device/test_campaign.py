"""A campaign goes on where it was ended, and its row is written of what it has by then."""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
from pathlib import Path

import pytest
from tests.unit.vedette_dev.device.test_block_log import FLUSH, SECTOR, written
from tests.unit.vedette_dev.device.test_power_cuts import (
    FIRMWARES,
    LAYOUT,
    OLD,
    disk,  # noqa: F401 (a fixture)
    pytestmark,  # noqa: F401 (debugfs is needed here too)
)

import vedette_dev.images
from vedette.cli._command_line import Parser
from vedette.errors import DeviceError
from vedette_dev.device import campaign, commands, recording
from vedette_dev.device.block_log import BlockLog
from vedette_dev.device.campaign import Campaign, Request, plan
from vedette_dev.device.cut_disk import Cut, CutDisk
from vedette_dev.device.ledger import Ledger
from vedette_dev.device.recording import Heard, Recorded
from vedette_dev.images import Image
from vedette_dev.images.layout import MIB

CUTS = 6
PAGE = "# Page\n<!-- cuts: written by `make qemu-cuts` -->\n<!-- /cuts -->\n"


@pytest.fixture
def image(disk: Path, tmp_path: Path) -> Image:  # noqa: F811
    slot = tmp_path / "slot.img"
    slot.write_bytes(OLD)
    return Image("amd64", disk, slot, LAYOUT)


@pytest.fixture
def folder(disk: Path, tmp_path: Path) -> Path:  # noqa: F811
    """Of a campaign whose recording has ten writes behind the firmware in slot a."""
    made = tmp_path / "cuts/amd64"
    place = made / recording.RECORDING
    place.mkdir(parents=True)
    shutil.copy(disk, place / recording.DISK)
    first = (LAYOUT.slot_b.start_bytes) // SECTOR
    rows = [(first + number, bytes([number]) * SECTOR, 0) for number in range(10)]
    log = written(place / "writes-0.log", *rows[:5], (0, b"", FLUSH), *rows[5:])
    end = log.stat().st_size
    heard = (Heard(0, 0, "told", 0), Heard(0, end + 1, "told after each cut", 0))
    Recorded(place, (log,), heard, FIRMWARES, MIB, 7).write()
    return made


def no_recording(*_: object) -> Recorded:
    raise DeviceError("asked to record")


def ended_at(count: int) -> object:
    """Takes lines for people until so many cuts were judged; a signal comes then."""

    def say(line: str) -> None:
        if line.startswith(f"judged     {count},"):
            os.kill(os.getpid(), signal.SIGTERM)

    return say


def options(folder: Path, page: Path, *more: str) -> argparse.Namespace:
    parser = Parser(prog="t")
    commands.add(parser.add_subparsers(parser_class=Parser))
    words = ["--arch", "amd64", "--cuts", str(CUTS), "--boots", "0", "--live", "0"]
    places = ["--folder", str(folder.parent), "--page", str(page)]
    return parser.parse_args(["qemu-cuts", *words, *places, *more])


def test_an_ended_campaign_has_its_row_and_goes_on(
    folder: Path, image: Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    monkeypatch.setattr(campaign, "JUDGED_STEP", 1)
    monkeypatch.setattr(recording, "record", no_recording)
    monkeypatch.setattr(vedette_dev.images, "built", lambda _: image)
    with monkeypatch.context() as patched:
        patched.setattr(commands, "_say", ended_at(2))
        with pytest.raises(KeyboardInterrupt):
            options(folder, page).call(options(folder, page))
    assert "| amd64 | 11 | 0 | 2 | a 2 | 0 | 0 (0) | 0 | 0 | 0 | 0 | 0 |" in page.read_text()
    before = (folder / campaign.LEDGER).read_bytes()
    assert options(folder, page).call(options(folder, page)) == 0
    assert f"| amd64 | 11 | 0 | {CUTS} | a {CUTS} |" in page.read_text()
    after = (folder / campaign.LEDGER).read_bytes()
    assert after.startswith(before), "what was judged is judged once"
    assert after.count(b"\n") == CUTS


def test_what_is_asked_for_beyond_goes_on_too(folder: Path, image: Image, tmp_path: Path) -> None:
    for count in (2, 3):
        Campaign(folder, image, print).run(tmp_path, Request(count, 0, 0))
    assert len(Ledger(folder / campaign.LEDGER).judged) >= 3


def test_two_runs_of_one_campaign_are_refused(folder: Path, image: Image, tmp_path: Path) -> None:
    def second(_line: str) -> None:
        with pytest.raises(DeviceError, match="another campaign runs in it"):
            Campaign(folder, image, print).run(tmp_path, Request(1, 0, 0))

    Campaign(folder, image, second).run(tmp_path, Request(1, 0, 0))
    assert len(Ledger(folder / campaign.LEDGER).judged) == 1


def test_a_loss_is_found_by_the_campaign(folder: Path, image: Image, tmp_path: Path) -> None:
    place = folder / recording.RECORDING
    made = recording.read(place)
    assert made is not None
    Recorded(place, made.logs, (Heard(0, 0, "never kept", 0),), FIRMWARES, MIB, 7).write()
    Campaign(folder, image, print).run(tmp_path, Request(2, 0, 0))
    report = Campaign(folder, image, print).report()
    assert report is not None
    assert report["lost_entries"] == 2


@pytest.mark.parametrize("case", ["of another image", "has all that is asked for", "anew"])
def test_it_records_anew_where_there_is_nothing_to_go_on_with(
    case: str,
    folder: Path,
    image: Image,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if case == "of another image":
        image.slot_image.write_bytes(b"another firmware")
    elif case == "has all that is asked for":
        Campaign(folder, image, print).run(tmp_path, Request(1, 0, 0))
    monkeypatch.setattr(recording, "record", no_recording)
    with pytest.raises(DeviceError, match="asked to record"):
        Campaign(folder, image, print).run(tmp_path, Request(1, 0, 0, is_anew=case == "anew"))
    assert case == "anew" or case in capsys.readouterr().out
    assert recording.read(folder / recording.RECORDING) is None
    assert Campaign(folder, image, print).report() is None


def test_a_record_that_is_none_is_told(folder: Path, image: Image, tmp_path: Path) -> None:
    for text in ("{}", "[]", '{"logs": 3}', "no JSON"):
        (folder / recording.RECORDING / recording.RECORD).write_text(text)
        with pytest.raises(DeviceError, match="expected a recording, got"):
            Campaign(folder, image, print).run(tmp_path, Request(1, 0, 0))


def test_all_cuts_of_a_plan_are_different_and_the_same_seed_has_the_same(
    folder: Path, tmp_path: Path
) -> None:
    made = recording.read(folder / recording.RECORDING)
    assert made is not None

    def planned(seed: int) -> list[Cut]:
        place = tmp_path / "plan.img"
        shutil.copy(made.disk, place)
        with BlockLog(*made.logs) as log, CutDisk(place, log) as cut_disk:
            return plan(cut_disk, log, LAYOUT, 40, random.Random(seed))

    first = planned(1)
    assert len(first) == len(set(first)) == 40
    assert first == sorted(first) == planned(1)
    assert planned(2) != first
