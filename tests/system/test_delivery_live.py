"""Delivery with nothing simulated: keeper, sentinel, SQLite journal, uplink and mosquitto."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.simulators.mounts import mounted
from tests.simulators.station import Operator, Publication, operator
from tests.system import _preload
from tests.system._live import DEVICE, Live, live
from tests.system._site import Running, rule

from vedette.cli.fleet import add_device
from vedette.codec.registry import Registered
from vedette.model.finding import Severity
from vedette.model.journal import EntryDraft
from vedette.model.rule import AllOf, Match
from vedette.store.journal import SqliteJournal
from vedette.store.journal_place import JournalPlace
from vedette.store.state import FileState
from vedette.trust.keyfile import load_signer
from vedette_dev.broker import ACCESS, OPERATOR, Broker
from vedette_dev.certificates import Authority

pytestmark = pytest.mark.system

MARKED = rule("marked", "file_event", Match("TargetFilename", "endswith", ".marked", False))
MANY = [
    rule(
        f"many-{number}", "file_event", Match("TargetFilename", "endswith", f".many{number}", False)
    )
    for number in range(8)
]
"""An incident each: more changes of one are told no faster than people read."""
NO_FINDINGS = ACCESS.replace("pattern write fleet/v1/+/%u/#", "pattern write fleet/v1/+/%u/birth")
Start = Callable[..., tuple[Live, Broker]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Makes a device and a broker; neither runs yet."""
    with contextlib.ExitStack() as stack:

        def make(**options: str) -> tuple[Live, Broker]:
            try:
                device, broker = stack.enter_context(live(tmp_path, options=options))
            except FileNotFoundError as error:
                pytest.skip(str(error))
            device.site.offer(MARKED)
            return device, broker

        yield make


def touch(device: Live, name: str) -> None:
    (device.site.watched / name).write_text("x")


def incident(found: Publication) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(found.body)
    return document


def rule_of(found: Publication) -> str:
    return str(incident(found)["finding_info"]["analytic"]["uid"])


def of_rule(listener: Operator, rule_id: str) -> list[Publication]:
    return [found for found in listener.findings() if rule_of(found) == rule_id]


def uplink(device: Live) -> dict[str, Any]:
    found: dict[str, Any] = device.site.ask("status")["uplink"]
    return found


def conditions(device: Live) -> dict[str, str]:
    found: dict[str, str] = uplink(device)["conditions"]
    return found


def is_all_delivered(device: Live) -> bool:
    found = uplink(device)
    return bool(found["delivered"] == found["newest"])


def until_up(device: Live) -> None:
    device.until(lambda: uplink(device)["state"] == "up", "the session")


def fill(device: Live, count: int) -> list[bytes]:
    """Record entries as the sentinel does, in its place: it must not run. Returns their bodies."""
    bodies = [b'{"class_uid":2004,"number":%d}' % number for number in range(count)]
    site = device.site
    boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip().replace("-", "")
    site.run.mkdir(mode=0o711, exist_ok=True)

    async def story() -> None:
        journal = SqliteJournal(
            JournalPlace(site.state / "journal", site.run, boot, limit_bytes=16 << 20),
            state=FileState(site.state),
            signer=load_signer(site.folder / "device.key"),
        )
        assert await journal.open() == []
        drafts = [
            EntryDraft(
                "incident", Severity.HIGH, time.time(), body, "up/finding", f"{number:016x}",
                is_routine=False,
            )
            for number, body in enumerate(bodies)
        ]  # fmt: skip
        for first in range(0, count, 250):
            await journal.append(drafts[first : first + 250])
        await journal.close()

    asyncio.run(story())
    return bodies


def test_an_incident_arrives_with_a_signature_that_another_library_finds_good(start: Start) -> None:
    device, broker = start()
    with broker, operator(broker) as listener:
        device.start()
        touch(device, "a.marked")
        device.until(lambda: of_rule(listener, "marked"), "the incident at the operator's")
        found = of_rule(listener, "marked")[0]
        assert found.is_genuine(load_signer(device.site.folder / "device.key").public_key)
        assert found.topic == f"fleet/v1/default/{DEVICE}/up/finding"
        assert incident(found)["device"]["uid"] == DEVICE
        device.until(lambda: is_all_delivered(device), "the mark")
        assert conditions(device) == {}
        assert device.stop() == 0
        assert len({found.sequence for found in listener.findings()}) == len(listener.findings())


def test_ten_thousand_recorded_while_the_broker_was_away_arrive_in_order(start: Start) -> None:
    device, broker = start()
    broker.start()
    device.start()
    until_up(device)
    broker.stop()
    device.until(lambda: "uplink-down" in conditions(device), "the outage")
    assert device.stop() == 0
    bodies = fill(device, 10_000)
    device.start()
    device.kill("sentinel")
    device.until(lambda: uplink(device)["newest"] > len(bodies), "what was recorded")
    broker.start()
    with operator(broker) as listener:
        device.until(lambda: uplink(device)["delivered"] > 2000, "a first part")
        device.kill("sentinel")
        device.until(lambda: uplink(device)["delivered"] > 4000, "a second part")
        device.kill("uplink")
        device.until(lambda: uplink(device)["delivered"] > 6000, "a third part")
        assert device.stop() == 0
        device.start()
        device.until(lambda: is_all_delivered(device), "all")
        newest = uplink(device)["newest"]
        # The agent may have more to tell meanwhile, on a busy machine of how it was started.
        device.until(lambda: listener.queued()[-1].sequence >= newest, "the last")
        first_time: dict[int, Publication] = {}
        arrived = listener.queued()
        for found in arrived:
            before = first_time.setdefault(found.sequence, found)
            assert before.body == found.body, "a double differs"
            assert before.received.event_id == found.received.event_id
        # What was told before the broker went away was delivered before: it may not come again.
        order = list(first_time)
        assert order == list(range(order[0], order[-1] + 1)), "out of order, or some are missing"
        filled = set(bodies)
        assert [found.body for found in first_time.values() if found.body in filled] == bodies
        assert len(arrived) - len(order) <= 4 * 32, "more than a window each time"


def test_a_denied_topic_is_told_holds_nothing_else_up_and_recovers(start: Start) -> None:
    device, broker = start()
    with broker, operator(broker) as listener:
        broker.change_access(NO_FINDINGS)
        device.start()
        touch(device, "a.marked")
        device.until(lambda: "uplink-refused" in conditions(device), "the condition")
        assert "0x87" in conditions(device)["uplink-refused"]
        assert device.site.until_incident("vedette:uplink-refused")["severity_id"] == 4
        # What is on its way when a broker changes its mind may be refused, and what follows not.
        device.until(lambda: uplink(device)["in_flight"] == 0, "an answer to all that was sent")
        assert listener.findings() == []
        broker.change_access(ACCESS)
        device.until(lambda: is_all_delivered(device), "delivery once it is allowed")
        device.until(lambda: conditions(device) == {}, "the end of the condition")
        sequences = [found.sequence for found in listener.findings()]
        assert sequences == sorted(set(sequences)), "held entries keep their order"
        assert of_rule(listener, "marked")
        assert len(of_rule(listener, "vedette:uplink-refused")) == 1


def test_what_the_broker_finds_too_large_goes_reduced_and_is_told(start: Start) -> None:
    device, broker = start(max_packet_size="1900")
    with broker, operator(broker) as listener:
        device.start()
        touch(device, "a" * 200 + ".marked")
        device.until(lambda: "uplink-too-large" in conditions(device), "the condition")
        device.until(lambda: is_all_delivered(device), "delivery")
        reduced = [incident(found)["unmapped"].get("is_reduced") for found in listener.findings()]
        assert True in reduced


def test_nobody_listening_is_said_once_softly_and_not_again_after_a_restart(start: Start) -> None:
    device, broker = start()
    with broker:
        device.start()
        touch(device, "a.marked")
        told = device.site.until_incident("vedette:uplink-unheard")
        assert told["severity_id"] == Severity.LOW
        device.until(lambda: is_all_delivered(device), "delivery counts all the same")
        assert device.stop() == 0
        device.start()
        touch(device, "b.marked")
        device.until(lambda: device.site.ask("status")["incidents_open"] > 0, "the next incident")
        device.until(lambda: is_all_delivered(device), "delivery")
        unheard = [found for found in device.site.incidents() if rule_id(found).endswith("unheard")]
        assert len(unheard) == 1
        assert "uplink-unheard" in conditions(device)
        with operator(broker) as listener:
            touch(device, "c.marked")
            device.until(lambda: of_rule(listener, "marked"), "what is heard")
            device.until(lambda: conditions(device) == {}, "the end of the condition")


def test_a_broker_with_another_certificate_is_not_trusted_until_it_has_its_own_again(
    start: Start, tmp_path: Path
) -> None:
    device, broker = start()
    folder = tmp_path / "broker"
    kept = {name: (folder / name).read_bytes() for name in ("server.pem", "server.key")}
    wrong = Authority(tmp_path / "other", "somebody else").server("127.0.0.1")
    shutil.copy(wrong.certificate, folder / "server.pem")
    shutil.copy(wrong.key, folder / "server.key")
    broker.start()
    device.start()
    device.until(lambda: "uplink-down" in conditions(device), "the condition")
    assert "trust" in conditions(device)["uplink-down"]
    assert device.site.until_incident("vedette:uplink-down")
    touch(device, "a.marked")
    device.site.until_incident("marked")
    broker.stop()
    for name, data in kept.items():
        (folder / name).write_bytes(data)
    broker.start()
    with operator(broker) as listener:
        device.until(lambda: of_rule(listener, "marked"), "what waited")
        device.until(lambda: conditions(device) == {}, "the end of the condition")


def test_on_a_full_disk_and_with_a_frozen_broker_nothing_is_lost_and_the_order_stays(
    as_root: None, tmp_path: Path
) -> None:
    """The state lies on a tmpfs of 8 MB that is filled while entries are on their way."""
    with mounted(tmp_path / "small", "size=8m") as folder, live(folder) as (device, broker):
        device.site.offer(MARKED, *MANY)
        device.configure(keepalive_s=10)
        broker.start()
        with operator(broker) as listener:
            device.start()
            until_up(device)
            broker.freeze()
            touch(device, "before.marked")
            device.site.until_incident("marked")
            ballast = fill_up(folder)
            for number in range(3):
                (device.site.watched / f"x.many{number}").mkdir()
            device.until(lambda: device.site.ask("status")["journal"]["degraded"], "no room")
            device.until(lambda: "uplink-down" in conditions(device), "leaving the broker")
            broker.thaw()
            device.until(lambda: is_all_delivered(device), "delivery from memory")
            ballast.unlink()
            device.until(lambda: not device.site.ask("status")["journal"]["degraded"], "room")
            assert device.stop() == 0
            first_time = list(dict.fromkeys(found.sequence for found in listener.queued()))
            assert first_time == list(range(1, first_time[-1] + 1))
            told = {rule_of(found) for found in listener.findings()}
            assert told >= {"marked", "many-0", "many-1", "many-2"}


def fill_up(folder: Path) -> Path:
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as stream, contextlib.suppress(OSError):
        while stream.write(b"x" * 4096):
            pass
    assert shutil.disk_usage(folder).free < 4096
    return ballast


@pytest.fixture(scope="module")
def slow_sync(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _preload.build("slow_sync.c", tmp_path_factory.mktemp("preload"))


def test_on_a_slow_disk_entries_go_out_in_order(start: Start, slow_sync: Path) -> None:
    device, broker = start()
    site = device.site
    site.offer(*MANY)
    command = [sys.executable, "-m", "vedette.cli", "uplink", "--config", str(site.config)]
    with broker, operator(broker) as listener:
        with Running(site, environment={"LD_PRELOAD": str(slow_sync)}) as sentinel:
            uplink_process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
            try:
                for number in range(len(MANY)):
                    touch(device, f"x.many{number}")
                    site.until(lambda: site.find(f"many-{number}"))  # noqa: B023 (called at once)
                device.until(lambda: is_all_delivered(device), "all")
                assert sentinel.stop() == 0
            finally:
                uplink_process.terminate()
                uplink_process.wait(10)
        sequences = [found.sequence for found in listener.queued()]
        assert sequences == list(range(1, len(sequences) + 1))
        assert len(sequences) >= len(MANY)


def test_what_was_spent_of_the_day_is_known_after_a_kill_and_critical_goes_without_any(
    start: Start,
) -> None:
    device, broker = start()
    worst = replace(MARKED, rule_id="worst", severity=Severity.CRITICAL)
    ends = Match("TargetFilename", "endswith", ".worst", False)
    device.site.offer(MARKED, replace(worst, condition=AllOf((ends,))), *MANY)
    device.configure(budget_bytes_per_day=25_000)
    with broker, operator(broker) as listener:
        device.start()
        touch(device, "a.marked")
        device.until(lambda: of_rule(listener, "marked") and is_all_delivered(device), "the first")
        spent = uplink(device)["spent_bytes"]
        assert spent > 1000
        device.kill("sentinel")
        device.until(lambda: uplink(device)["spent_bytes"] >= spent, "what was spent before")
        for number in range(len(MANY)):
            touch(device, f"x.many{number}")
        device.until(lambda: "uplink-budget" in conditions(device), "the limit")
        assert 25_000 >= uplink(device)["spent_bytes"] > spent
        touch(device, "b.worst")
        device.until(lambda: of_rule(listener, "worst"), "what is critical")
        shown = subprocess.run(
            [sys.executable, "-m", "vedette.cli", "status", "--config", str(device.site.config)],
            capture_output=True, text=True, check=False,
        ).stdout  # fmt: skip
        assert re.search(r"of 25 kB sent today; .*uplink-budget: \d+ of 25000 bytes", shown)


def test_a_changed_uplink_section_is_refused_whole_until_a_restart(start: Start) -> None:
    device, broker = start()
    with broker, operator(broker) as listener:
        device.start()
        until_up(device)
        before = device.pid("uplink")
        device.configure(encoding='"msgpack"')
        assert device.keeper is not None
        device.keeper.send_signal(signal.SIGHUP)
        refused = device.site.until_incident("vedette:reload-refused")
        assert "[uplink] changed" in refused["evidences"][0]["data"]["Reason"]
        assert "restart" in refused["evidences"][0]["data"]["Reason"]
        device.until(lambda: of_rule(listener, "vedette:reload-refused"), "in JSON still")
        assert device.pid("uplink") == before
        assert device.stop() == 0
        device.start()
        touch(device, "a.marked")
        device.until(lambda: listener.findings()[-1].content_type.endswith("msgpack"), "the new")


HASTY = """
import sys
from vedette.daemon import keeper, watchdog
keeper.SILENT_S = watchdog.SILENT_S = 6.0
watchdog.PERIOD_S = 1.0
sys.exit(keeper.main(sys.argv[1:]))
"""


def test_a_sentinel_that_hangs_is_ended_with_its_traceback_and_told_once(start: Start) -> None:
    device, broker = start()
    site = device.site
    site.run.mkdir(mode=0o711)
    with broker, operator(broker) as listener:
        device.start((sys.executable, "-c", HASTY, str(site.run), str(site.config), "uplink", ""))
        before = device.pid("sentinel")
        device.kill("sentinel", signal.SIGSTOP)
        device.until(lambda: device.pid("sentinel") != before, "another sentinel")
        device.until(lambda: of_rule(listener, "vedette:part-restarted"), "the finding")
        assert "Fatal Python error: Aborted" in device.log.read_text("utf-8")
        told = of_rule(listener, "vedette:part-restarted")
        assert [incident(found)["count"] for found in told] == [1]
        reason = incident(told[0])["evidences"][0]["data"]["Reason"]
        assert reason == "hung for 6 s and was ended by SIGABRT"
        device.kill("sentinel")
        device.until(lambda: len(of_rule(listener, "vedette:part-restarted")) > 1, "the second")
        last = incident(of_rule(listener, "vedette:part-restarted")[-1])["evidences"][0]["data"]
        assert (last["Reason"], last["Restarts"]) == ("was ended by SIGKILL", "1")


def rule_id(document: dict[str, Any]) -> str:
    return str(document["finding_info"]["analytic"]["uid"])


@contextlib.contextmanager
def watching(device: Live, broker: Broker) -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """`vedette fleet watch` as an operator runs it; gives what it has told so far."""
    folder = device.site.folder
    registry, out, errors = folder / "fleet.json", folder / "watch.json", folder / "watch.log"
    key = load_signer(folder / "device.key").public_key
    add_device(registry, Registered("default", DEVICE, key, ""), is_replacing=False)
    pair = broker.clients[OPERATOR]
    command = [
        sys.executable, "-m", "vedette.cli", "fleet", "watch", "--json", "--all",
        "--registry", str(registry), "--host", "127.0.0.1", "--port", str(broker.port),
        "--ca", str(broker.authority.file),
        "--certificate", str(pair.certificate), "--key", str(pair.key),
    ]  # fmt: skip
    with out.open("wb") as stream, errors.open("wb") as log:
        watcher = subprocess.Popen(command, stdout=stream, stderr=log)

    def told() -> list[dict[str, Any]]:
        whole = out.read_text("utf-8").rpartition("\n")[0]
        return [json.loads(line) for line in whole.splitlines()]

    try:
        device.until(lambda: b"connected" in errors.read_bytes(), "the watcher")
        yield told
        watcher.send_signal(signal.SIGINT)
        assert watcher.wait(10) == 0
    finally:
        watcher.kill()
        watcher.wait()


def test_a_restarted_sentinel_is_no_replay_and_no_gap_for_those_who_watch(start: Start) -> None:
    device, broker = start()
    with broker, watching(device, broker) as told:

        def kinds() -> list[str]:
            return [str(note["kind"]) for note in told()]

        device.start()
        device.until(lambda: "state" in kinds(), "the first state")
        touch(device, "a.marked")
        device.until(lambda: "incident" in kinds(), "the incident")
        device.until(lambda: "checkpoint" in kinds(), "the first link of the chain")
        device.kill("sentinel")
        device.until(lambda: kinds().count("state") > 1, "a state of the next sentinel")
        device.until(lambda: kinds().count("incident") > 1, "that it was restarted")
        device.until(lambda: "restarted" in kinds(), "that its counter began anew")
        device.until(lambda: kinds().count("checkpoint") > 1, "the chain to go on")
        expected = {"state", "birth", "will", "incident", "double", "ended"}
        assert set(kinds()) <= expected | {"restarted", "checkpoint"}
