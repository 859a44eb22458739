"""Drop-ins follow the configuration; the unit files are those of the default one."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from vedette.daemon import config as configuration
from vedette.daemon import units

REPOSITORY = Path(__file__).parents[3]
SYSTEMD = REPOSITORY / "packaging/systemd"


def settings(unit: str, text: str = "") -> dict[str, str]:
    """The last value of each setting in a unit's drop-in."""
    made = units.drop_ins(configuration.parse(text, "a test"))[unit]
    pairs = (line.partition("=") for line in made.splitlines() if "=" in line)
    return {name: value for name, _, value in pairs}


def test_a_unit_file_is_what_the_default_configuration_needs() -> None:
    for unit in (units.SENTINEL, units.UPLINK, units.UPDATE):
        lines = (SYSTEMD / unit).read_text().splitlines()
        for name, value in settings(unit).items():
            assert f"{name}={value}" in lines, unit


@pytest.mark.parametrize(
    ("text", "capability"),
    {
        "no audit": ('[sensors]\ndisable = ["audit"]\n', "CAP_AUDIT_CONTROL"),
        "no eBPF": ('[sensors]\ndisable = ["ebpf"]\n', "CAP_BPF"),
        "no haste": (
            '[response]\nnice = 0\n[sensors]\ndisable = ["proc_connector"]\n',
            "CAP_SYS_NICE",
        ),
        "no change of files": (
            '[response]\ndisable = ["quarantine", "restore_file"]\n',
            "CAP_DAC_OVERRIDE",
        ),
    }.values(),
)
def test_what_is_disabled_takes_its_capability_along(text: str, capability: str) -> None:
    assert capability in settings(units.SENTINEL)["CapabilityBoundingSet"].split()
    assert capability not in settings(units.SENTINEL, text)["CapabilityBoundingSet"].split()


def test_denying_executions_brings_what_the_holder_needs() -> None:
    more = settings(units.SENTINEL, "[deny]\nenabled = true\n")["CapabilityBoundingSet"].split()
    assert {"CAP_SYS_ADMIN", "CAP_LEASE", "CAP_IPC_LOCK"} <= set(more)


def test_the_file_system_is_read_only_where_no_response_changes_files() -> None:
    assert settings(units.SENTINEL)["ProtectSystem"] == "no"
    text = '[paths]\nstate = "/data/v"\n[response]\ndisable = ["quarantine", "restore_file"]\n'
    found = settings(units.SENTINEL, text)
    assert found["ProtectSystem"] == "strict"
    assert found["ReadWritePaths"] == "/data/v /run/vedette"


def test_a_path_stays_one_word_and_no_specifier() -> None:
    text = "[models]\nfolder = '/data/my %h \"models\"'\n"
    written = '"-/data/my %%h \\"models\\""'
    assert settings(units.UPDATE, text)["ReadWritePaths"].endswith(f" {written}")


def test_only_probed_addresses_are_open() -> None:
    assert settings(units.SENTINEL)["IPAddressAllow"] == "localhost"
    text = '[essential.page]\naddress = "192.0.2.7"\nport = 80\n'
    assert settings(units.SENTINEL, text)["IPAddressAllow"] == "localhost 192.0.2.7"


def test_a_device_runs_the_units_that_it_is_configured_for() -> None:
    assert "Wants" not in settings(units.SENTINEL)
    made = units.drop_ins(
        configuration.parse(
            '[uplink]\nhost = "127.0.0.1"\nuser = "61874"\n[updates]\nsource = "/srv/r"\n', "a test"
        )
    )
    wanted = [line for line in made[units.SENTINEL].splitlines() if line.startswith("Wants=")]
    assert wanted == ["Wants=vedette-uplink.service", "Wants=vedette-update.path"]
    assert "User=61874" in made[units.UPLINK].splitlines()


def test_firmware_opens_the_disks_to_the_update_alone() -> None:
    found = settings(units.UPDATE, '[firmware]\nbackend = "uboot"\n')
    assert (found["ProtectSystem"], found["DevicePolicy"]) == ("no", "auto")
    assert settings(units.UPDATE)["ProtectSystem"] == "strict"


def test_what_is_kept_is_current_until_the_configuration_changes(tmp_path: Path) -> None:
    kept, first = tmp_path / "units", configuration.parse("", "a test")
    assert len(units.write(first, kept, "digest")) == len(units.drop_ins(first))
    assert units.write(first, kept, "digest") == []
    assert units.stale(first, kept) == []
    other = configuration.parse('[sensors]\ndisable = ["audit"]\n', "a test")
    assert units.stale(other, kept) == [units.SENTINEL]
    assert {file.stat().st_mode & 0o777 for file in kept.iterdir()} == {0o644}


def test_the_generator_shows_what_is_kept_and_asks_anew_when_it_is_old(tmp_path: Path) -> None:
    etc, home, out = tmp_path / "etc", tmp_path / "home", tmp_path / "out"
    for folder in (etc, home, out):
        folder.mkdir()
    (home / units.BUILD).write_text("one\n")
    (etc / "vedette.toml").write_text("")
    given = configuration.parse("", "a test")
    units.write(given, etc / units.FOLDER, units.source_digest(etc, home))
    generator = _generator(tmp_path, etc, home)
    subprocess.run([generator, out, out, out], check=True)
    link = out / f"{units.SENTINEL}.d" / units.DROP_IN
    assert link.read_text() == units.drop_ins(given)[units.SENTINEL]
    (etc / "enrolled.toml").write_text("[device]\n")
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    subprocess.run([generator, fresh, fresh, fresh], check=True)
    assert (fresh / "asked").read_text() == f"units --generate {fresh}\n"


def test_generated_drop_ins_lie_where_systemd_looks(tmp_path: Path) -> None:
    given = configuration.parse("", "a test")
    units.generate(given, tmp_path)
    assert (tmp_path / "vedette-uplink.service.d" / units.DROP_IN).read_text() == (
        units.drop_ins(given)[units.UPLINK]
    )


def _generator(folder: Path, etc: Path, home: Path) -> Path:
    """The generator on folders of the test; its `vedette` writes down what it is asked for."""
    command = folder / "vedette"
    command.write_text('#!/bin/sh\necho "$@" >"$3/asked"\n')
    text = (SYSTEMD / "generator").read_text()
    for place, here in (
        ("/usr/bin/vedette", command), ("/usr/lib/vedette", home), ("/etc/vedette", etc),
    ):  # fmt: skip
        assert place in text
        text = text.replace(place, str(here))
    made = folder / "generator"
    made.write_text(text)
    for program in (command, made):
        program.chmod(0o755)
    return made
