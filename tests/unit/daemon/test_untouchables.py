"""What may never be touched, found out from files of the test's own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from vedette.core.inputs import Guarded
from vedette.daemon.config import Config, parse
from vedette.daemon.untouchables import KEEPER, Untouchables

ROUTE = "Iface Destination Gateway Flags\neth0 00000000 0102A8C0 0003\n"


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    folder = tmp_path / "proc"
    (folder / "net").mkdir(parents=True)
    (folder / "net/route").write_text(ROUTE)
    return folder


def thread(proc: Path, pid: int, children: str) -> None:
    folder = proc / str(pid) / "task" / str(pid)
    folder.mkdir(parents=True)
    (folder / "children").write_text(children)


class Bench:
    def __init__(self, config: Config, proc: Path, etc: Path) -> None:
        self.told: list[Guarded] = []
        self.untouchables = Untouchables(config, self.told.append, proc=proc, etc=etc)

    def look(self) -> Guarded:
        self.untouchables.look()
        return self.told[-1]


def test_ours_and_what_the_network_stands_on(proc: Path, tmp_path: Path) -> None:
    (tmp_path / "resolv.conf").write_text("nameserver 192.0.2.53\n")
    thread(proc, os.getpid(), "4001 4002 ")
    config = parse('[uplink]\nhost = "127.0.0.1"\n[paths]\nstate = "/var/x"\n', "v.toml")
    found = Bench(config, proc, tmp_path).look()
    assert {1, os.getpid(), 4001, 4002} == found.pids
    assert {"192.168.2.1", "192.0.2.53", "127.0.0.1"} <= found.addresses
    assert {"/var/x", "/bin", "/usr", "/etc/vedette"} <= found.paths
    assert "vedette.service" in found.units


def test_a_keeper_and_its_parts_are_ours_and_whoever_else_started_us_is_not(
    proc: Path, tmp_path: Path
) -> None:
    thread(proc, os.getppid(), "5001 ")
    bench = Bench(Config(), proc, tmp_path)
    (proc / str(os.getppid()) / "cmdline").write_bytes(b"/bin/bash\0")
    assert 5001 not in bench.look().pids
    (proc / str(os.getppid()) / "cmdline").write_bytes(b"python\0-m\0" + KEEPER + b"\0")
    assert {5001, os.getppid()} <= bench.look().pids


def test_what_the_owner_adds_is_kept(proc: Path, tmp_path: Path) -> None:
    text = (
        '[response]\nnever_addresses = ["10.0.0.0/8"]\nnever_units = ["plc.service"]\n'
        'never_paths = ["/opt/plc"]\n'
    )
    found = Bench(parse(text, "v.toml"), proc, tmp_path).look()
    assert "10.0.0.0/8" in found.addresses
    assert "plc.service" in found.units
    assert "/opt/plc" in found.paths


def test_it_is_told_only_when_it_changed(proc: Path, tmp_path: Path) -> None:
    bench = Bench(Config(), proc, tmp_path)
    bench.look()
    bench.look()
    assert len(bench.told) == 1
    (tmp_path / "resolv.conf").write_text("nameserver 192.0.2.54\n")
    assert "192.0.2.54" in bench.look().addresses
    assert len(bench.told) == 2


def test_the_address_that_the_uplink_is_connected_to_is_protected(
    proc: Path, tmp_path: Path
) -> None:
    uid = os.geteuid() or 61874  # as root, the user that the configuration names
    row = f"0: 0100007F:9C40 076433C6:22B3 01 0:0 00:0 0 {uid} 0 12345 1\n"
    (proc / "net/tcp").write_text("  sl local rem st\n" + row)
    config = parse(
        f'[uplink]\nhost = "broker.example"\nport = 8883\nuser = {uid}\nca = "/x"\n', "v.toml"
    )
    found = Bench(config, proc, tmp_path).look()
    assert "198.51.100.7" in found.addresses
