"""The development folder belongs to one user and one run at a time."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from vedette.daemon import config
from vedette.errors import DeviceError
from vedette.trust.document import verify_initial
from vedette.trust.ed25519 import Ed25519Verifier
from vedette_dev import identity, settings
from vedette_dev.workbench import Workbench, find_workbench, only_one, open_workbench


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workbench]:
    with tempfile.TemporaryDirectory(dir="/tmp") as short:
        monkeypatch.setattr("vedette_dev.workbench._passing_place", lambda: Path(short))
        yield open_workbench(tmp_path / ".dev")


def test_folders_are_private_and_found_again(bench: Workbench) -> None:
    assert stat.S_IMODE(bench.folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(bench.keys.stat().st_mode) == 0o700
    assert stat.S_IMODE(bench.run.stat().st_mode) == 0o700
    assert find_workbench(bench.folder) == bench


def test_folder_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".dev").mkdir()
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    with pytest.raises(DeviceError, match=r"got one of .*Remove it \(`sudo rm -r "):
        open_workbench(tmp_path / ".dev")


def test_link_in_the_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / ".dev").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DeviceError, match="expected a folder of"):
        open_workbench(tmp_path / ".dev")


def test_second_run_is_told_who_holds_it(bench: Workbench) -> None:
    with (
        only_one(bench),
        pytest.raises(DeviceError, match=f"in use by pid {os.getpid()}.*make attack"),
        only_one(bench),
    ):
        pass
    with only_one(bench):
        pass


def test_keys_are_reused_and_trusted(bench: Workbench) -> None:
    identity.make_trust(bench)
    first = bench.trust.read_bytes()
    identity.make_trust(bench)
    assert bench.trust.read_bytes() == first
    document = verify_initial(first, Ed25519Verifier())
    rules = identity.signer(bench.keys / identity.RULES)
    assert list(document.purposes["rules"].keys.values()) == [rules.public_key]


def test_trust_follows_a_lost_key(bench: Workbench) -> None:
    identity.make_trust(bench)
    (bench.keys / identity.RULES).unlink()
    identity.make_trust(bench)
    document = verify_initial(bench.trust.read_bytes(), Ed25519Verifier())
    rules = identity.signer(bench.keys / identity.RULES)
    assert list(document.purposes["rules"].keys.values()) == [rules.public_key]


def test_configuration_is_one_the_agent_reads(bench: Workbench) -> None:
    settings.write(bench, port=18883)
    read = config.load(bench.config)
    assert read.uplink.enabled
    assert (read.uplink.host, read.uplink.port) == ("127.0.0.1", 18883)
    assert str(bench.watched) in read.files.watch
    assert set(config.WATCHED) < set(read.files.watch)


@pytest.mark.parametrize(
    ("host", "name"),
    [("Kitchen.Cam_2", "kitchen-cam-2"), ("-", "this-machine"), ("a" * 80, "a" * 60)],
)
def test_device_name_fits_a_topic(host: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: host)
    assert settings.device_name() == name
