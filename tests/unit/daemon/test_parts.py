"""A sentinel's parts are made whole or not at all, and nothing of them runs."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.simulators.still_parts import StillParts

from vedette.core.recording import decode
from vedette.daemon import config as configuration
from vedette.daemon.parts import Parts
from vedette.errors import TrustError
from vedette.trust.keyfile import key_id


@pytest.fixture
def still(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StillParts]:
    still = StillParts(tmp_path, monkeypatch)
    yield still
    still.close()


def test_nothing_runs_and_nothing_is_open_yet(still: StillParts) -> None:
    before = set(threading.enumerate())
    parts = still.make()
    assert set(threading.enumerate()) == before
    assert not (parts.state_dir / "journal").exists()
    assert not parts.run_dir.exists()
    assert parts.outgoing.delivery is None
    assert parts.watching.guard is None
    assert parts.scanning.sensor is None
    assert parts.exec_holder is None, "denying is opt-in"


@pytest.mark.parametrize("name", ["device.key", "trust.json"])
def test_what_refuses_the_start_is_read_before_anything_is_made(
    still: StillParts, name: str
) -> None:
    (still.site.folder / name).write_bytes(b"rubbish")
    with pytest.raises(TrustError, match=name.partition(".")[0]):
        still.make()
    assert not still.record.exists()
    assert not (still.site.state / "journal").exists()


def test_a_device_that_had_a_key_gets_no_second_one_in_silence(still: StillParts) -> None:
    signer = still.make().signer
    key = still.site.folder / "device.key"
    kept = key.read_bytes()
    key.unlink()
    with pytest.raises(TrustError, match="had one"):
        still.make()
    assert not key.exists()
    key.write_bytes(kept)
    key.chmod(0o600)
    still.record.unlink()
    assert key_id(still.make().signer.public_key) == key_id(signer.public_key)


def test_a_recording_begins_with_who_the_device_is_and_is_never_overwritten(
    still: StillParts,
) -> None:
    parts = still.make()
    settings, inputs = decode(still.record.read_bytes())
    assert (settings.device, settings.boot) == ("site", parts.identity.boot)
    assert list(inputs) == []
    with pytest.raises(FileExistsError):
        still.make()


def test_a_changed_baseline_is_told_to_whoever_stands_on_it(still: StillParts) -> None:
    still.site.write_config("[deny]\nenabled = true")
    asked: list[str] = []

    async def story() -> None:
        async with still.open() as parts:
            assert parts.exec_holder is not None
            parts.exec_holder.refresh = lambda: asked.append("lists")  # type: ignore[method-assign]
            parts.heart.baseline_digest = "of before"
            parts.scanning.changed()
            assert (parts.heart.baseline_digest, asked) == ("", ["lists"])

    asyncio.run(story())


def test_drills_rehearse_against_the_first_essential_unit(still: StillParts) -> None:
    still.site.write_config(
        '[essential.port]\nport = 8080\naddress = "127.0.0.1"\n'
        '[essential.stream]\nunit = "streamer.service"\n[essential.web]\nunit = "web.service"\n'
    )
    assert still.make().drills._unit == "streamer.service"


def test_without_a_recording_nothing_is_written(still: StillParts) -> None:
    Parts(configuration.load(still.site.config), still.site.config, None)
    assert not still.record.exists()
