"""Who changed a file, which name an address was asked by, and that we do not report ourselves."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import socket
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.simulators import dns_bytes
from tests.simulators.shipped import shipped_bundle
from tests.system._live import live
from tests.system._site import Running, Site, rule

from vedette.model.rule import Match

pytestmark = pytest.mark.system

FILES_ONLY = """[sensors]
disable = [
  "ebpf", "audit", "proc_connector", "conntrack", "journald", "log_file", "listeners", "procnet"
]
"""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path, sensors=FILES_ONLY)
    made.offer(rule("seen", "file_event", Match("TargetFilename", "endswith", ".seen", False)))
    yield made
    shutil.rmtree(made.run, ignore_errors=True)


def scanned(site: Site, number: int) -> dict[str, Any]:
    """Wait for a scan by its number."""

    def look() -> dict[str, Any] | None:
        scan = site.ask("baseline.state")["scan"]
        return dict(scan) if scan and scan["number"] >= number else None

    return site.until(look)


def rescan(site: Site) -> None:
    scanned(site, site.ask("baseline.scan")["scan_number"])


def differences(site: Site) -> dict[str, Mapping[str, Any]]:
    return {one["path"]: one for one in site.ask("baseline.diff")["differences"]}


def test_a_difference_names_who_changed_the_file_and_is_accepted_for_the_record(
    as_root: None, site: Site
) -> None:
    kept = site.watched / "kept"
    kept.write_text("as it was")
    with Running(site) as running:
        assert scanned(site, 1)["failure"] == ""
        rescan(site)
        assert differences(site) == {}
        kept.write_text("as it is")
        marker = site.watched / "marker.seen"
        marker.mkdir()
        site.until_incident("seen")  # fanotify has told all that came before
        rescan(site)
        found = differences(site)
        assert found.keys() == {str(kept), str(marker)}
        assert found[str(kept)]["change"] == "changed"
        assert f"(pid {os.getpid()})" in found[str(kept)]["changed_by"]
        shown = site.ask("baseline.show")
        answer = site.ask("baseline.accept", paths=[str(kept)])
        assert answer["accepted"] == 1
        assert answer["digest"] != shown["digest"] != ""
        rescan(site)
        assert differences(site).keys() == {str(marker)}
        assert running.stop() == 0
    journal = b"".join(path.read_bytes() for path in (site.state / "journal").iterdir())
    assert b"trusted_on_first_use" in journal
    assert answer["digest"].encode() in journal, "the acceptance is an entry with the new digest"
    with Running(site):
        scanned(site, 1)
        assert differences(site).keys() == {str(marker)}, "accepted for good"


DNS_SENSORS = """[sensors]
disable = ["audit", "journald", "log_file", "scan", "inotify", "fanotify", "listeners"]
"""


def loopback() -> str:
    return "127.{}.{}.{}".format(*(1 + secrets.randbelow(250) for _ in range(3)))


def connect(address: str) -> None:
    with socket.create_server((address, 0)) as server:
        socket.create_connection(server.getsockname()[:2], 5).close()


def look_up(name: str, address: str) -> None:
    """Ask a server of our own and take its answer."""
    with server_and_client() as (server, client):
        client.sendto(dns_bytes.query(name), server.getsockname())
        _, asker = server.recvfrom(512)
        records = [dns_bytes.address_record(name, address)]
        server.sendto(dns_bytes.answer(name, records), asker)
        client.recv(512)


def spoof(name: str, address: str) -> None:
    """Send an answer that nobody asked for."""
    with server_and_client() as (server, client):
        records = [dns_bytes.address_record(name, address)]
        server.sendto(dns_bytes.answer(name, records), client.getsockname())
        client.recv(512)


@contextlib.contextmanager
def server_and_client() -> Iterator[tuple[socket.socket, socket.socket]]:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client,
    ):
        server.bind((loopback(), 53))
        client.bind(("127.0.0.1", 0))
        client.settimeout(5)
        server.settimeout(5)
        yield server, client


@pytest.mark.kernel
def test_an_address_has_the_name_it_was_asked_by_and_none_from_a_stray_answer(
    as_root: None, kernel: None, tmp_path: Path
) -> None:
    asked, stray = loopback(), loopback()
    with live(tmp_path / "device", sensors=DNS_SENSORS) as (device, broker):
        device.site.offer(
            rule("asked", "network_connection",
                 Match("DestinationHostname", "endswith", ".asked.example", False)),
            rule("stray", "network_connection", Match("DestinationIp", "equals", stray, False)),
        )  # fmt: skip
        broker.start()
        device.start()
        spoof("cam.stray.example", stray)
        connect(stray)
        look_up("cam.asked.example", asked)
        connect(asked)
        found = _data(device.site.until_incident("asked"))
        assert found["DestinationHostname"] == "cam.asked.example"
        assert found["DestinationIp"] == asked
        connect(stray)  # by now the stray answer has been read, if ever
        assert "DestinationHostname" not in _data(device.site.until_incident("stray"))
        assert "stray.example" not in json.dumps(device.site.incidents())
        assert device.stop() == 0


def _data(document: Mapping[str, Any]) -> dict[str, Any]:
    return dict(document["evidences"][0]["data"])


@pytest.mark.kernel
def test_our_own_proofs_and_helpers_are_no_findings(
    as_root: None, kernel: None, tmp_path: Path
) -> None:
    site = Site(tmp_path)
    site.offer(*shipped_bundle().rules)
    try:
        with Running(site) as running:
            for _ in range(3):
                assert site.ask("check")["changed"] == []
            rescan(site)
            own = _made_by(running.process.pid, site.incidents())
            assert own == [], json.dumps(own)[:3000]
    finally:
        shutil.rmtree(site.run, ignore_errors=True)


def _made_by(pid: int, documents: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Incidents with a process in them that the sentinel or one of its children was."""
    words = (f'"pid": {pid}', f'"ParentProcessId": "{pid}"', f'"ProcessId": "{pid}"')
    return [
        one
        for one in documents
        if any(word in json.dumps(one) for word in words) or "self-test" in json.dumps(one)
    ]
