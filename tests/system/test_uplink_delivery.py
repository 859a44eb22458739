"""Delivery through a real mosquitto: order, loss, restarts, and what a hostile hour brings."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import shutil
import sys
import sysconfig
from collections.abc import Callable, Coroutine, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.simulators.outbox_journal import draft
from tests.simulators.station import (
    DEVICE,
    TENANT,
    UPLINK_UID,
    Operator,
    Publication,
    Station,
    operator,
    station,
    until,
)
from tests.system import _preload

import vedette
from vedette.codec import report
from vedette.core.outbox import Condition
from vedette.model.journal import EntryDraft
from vedette_dev.broker import ACCESS, Broker, BrokerSettings
from vedette_dev.certificates import Authority

pytestmark = pytest.mark.system

MakeBroker = Callable[..., Broker]
NO_FINDINGS = f"""user operator
topic readwrite fleet/#
user {DEVICE}
topic write fleet/v1/+/{DEVICE}/birth
topic write fleet/v1/+/{DEVICE}/up/posture
"""


@pytest.fixture
def make_broker(tmp_path: Path) -> Iterator[MakeBroker]:
    made: list[Broker] = []

    def make(options: Mapping[str, str] | None = None) -> Broker:
        try:
            broker = Broker(BrokerSettings(tmp_path / "broker", options=options or {}))
        except FileNotFoundError as error:
            pytest.skip(str(error))
        broker.start()
        made.append(broker)
        return broker

    yield make
    for broker in made:
        broker.stop()


@pytest.fixture
def broker(make_broker: MakeBroker) -> Broker:
    return make_broker()


def run(story: Coroutine[Any, Any, None]) -> None:
    asyncio.run(story)


def entry(number: int, padding: int = 0, topic: str = "up/finding") -> EntryDraft:
    document = {"class_uid": 2004, "number": number, "padding": "x" * padding}
    return draft(json.dumps(document).encode(), topic=topic)


def replace(path: str, source: Path) -> None:
    Path(path).write_bytes(source.read_bytes())


def status_of(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text("utf-8").splitlines()
    return dict(line.split(":", 1) for line in lines)


def open_to_all(path: str) -> None:
    Path(path).chmod(0o666)


def sequences(listener: Operator) -> set[int]:
    return {found.sequence for found in listener.findings()}


def states(listener: Operator) -> list[Publication]:
    return [found for found in listener.got if found.topic.endswith("/state")]


def command_of(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")


async def put(device: Station, *drafts: EntryDraft) -> None:
    await device.journal.append(drafts)
    assert device.delivery is not None
    device.delivery.poke()


async def connected(device: Station) -> None:
    await until(lambda: device.delivery and device.delivery.session.is_up, "the session")


def test_an_entry_arrives_signed_and_is_marked_delivered(broker: Broker) -> None:
    async def story() -> None:
        with operator(broker) as listener, station(broker) as device:
            device.start_uplink()
            async with device.sentinel() as delivery:
                await put(device, entry(1))
                delivery.publish_state(b'{"counter":2}')
                await until(lambda: device.journal.delivered == 1, "the mark")
                await until(lambda: len(listener.got) >= 3, "birth, state and finding")
            prefix = f"fleet/v1/{TENANT}/{DEVICE}/"
            suffixes = {found.topic.removeprefix(prefix) for found in listener.got}
            assert suffixes == {"birth", "state", "up/finding"}
            assert all(found.is_genuine() for found in listener.got)
            finding = listener.findings()[0]
            assert (finding.body, finding.sequence) == (entry(1).body, 1)
            assert finding.content_type == "application/json"

    run(story())


def test_msgpack_says_the_same_as_the_journal(broker: Broker) -> None:
    async def story() -> None:
        with operator(broker) as listener, station(broker, encoding="msgpack") as device:
            device.start_uplink()
            async with device.sentinel():
                await put(device, entry(1))
                await until(listener.findings, "the finding")
            found = listener.findings()[0]
            assert found.is_genuine()
            assert report.decode(found.body, found.content_type) == json.loads(entry(1).body)
            assert found.content_type == report.MSGPACK

    run(story())


def test_a_publish_denied_by_the_access_list_is_no_success(broker: Broker) -> None:
    async def story() -> None:
        broker.change_access(NO_FINDINGS)
        with operator(broker) as listener, station(broker) as device:
            device.start_uplink()
            async with device.sentinel():
                await put(device, entry(1), entry(2), entry(3, topic="up/posture"))
                await until(lambda: device.reported(Condition.REFUSED), "the refusal")
                await until(
                    lambda: any(found.sequence == 3 for found in listener.got),
                    "the topic that is allowed",
                )
                assert "0x87" in device.reported(Condition.REFUSED)[0]
                assert device.journal.delivered == 0
                broker.change_access(ACCESS)
                await until(lambda: device.journal.delivered == 3, "delivery once it is allowed")
                assert [found.sequence for found in listener.findings()] == [1, 2]
                await until(lambda: device.reported(Condition.REFUSED)[-1] == "", "its end")
                assert len(device.reported(Condition.REFUSED)) == 2

    run(story())


@pytest.mark.parametrize("limit", ["max_packet_size", "message_size_limit"])
def test_what_is_too_large_goes_reduced_with_the_digest_of_the_whole(
    make_broker: MakeBroker, limit: str
) -> None:
    async def story() -> None:
        broker = make_broker({limit: "2000"})
        with operator(broker) as listener, station(broker) as device:
            device.start_uplink()
            async with device.sentinel():
                await put(device, entry(1), entry(2, padding=5000), entry(3))
                await until(lambda: device.journal.delivered == 3, "all three")
                await until(lambda: {1, 2, 3} == sequences(listener), "all three at the operator's")
            by_sequence = {found.sequence: found for found in listener.findings()}
            reduced = json.loads(by_sequence[2].body)["unmapped"]
            assert reduced["is_reduced"]
            assert (
                reduced["whole_sha256"] == hashlib.sha256(entry(2, padding=5000).body).hexdigest()
            )
            assert by_sequence[2].is_genuine()
            assert len(device.reported(Condition.TOO_LARGE)) == 1

    run(story())


def test_a_body_larger_than_a_frame_of_the_link_goes_reduced_too(broker: Broker) -> None:
    async def story() -> None:
        with operator(broker) as listener, station(broker) as device:
            device.start_uplink()
            async with device.sentinel():
                await put(device, entry(1, padding=100_000))
                await until(lambda: device.journal.delivered == 1, "the mark")
                await until(listener.findings, "the finding")
            assert json.loads(listener.findings()[0].body)["unmapped"]["whole_bytes"] > 100_000

    run(story())


def test_a_killed_broker_comes_back_and_nothing_is_missing(broker: Broker) -> None:
    async def story() -> None:
        with station(broker) as device:
            device.start_uplink()
            async with device.sentinel():
                await connected(device)
                broker.kill()
                await until(lambda: device.reported(Condition.OFFLINE), "the broken session")
                await put(device, *(entry(number) for number in range(1, 101)))
                broker.start()
                with operator(broker) as listener:
                    await until(lambda: device.journal.delivered == 100, "delivery")
                    await until(lambda: len(listener.findings()) >= 68, "what came while listening")
                    seen = [found.sequence for found in listener.findings()]
                    assert seen == sorted(set(seen))

    run(story())


def test_a_frozen_broker_is_left_and_taken_up_again(broker: Broker) -> None:
    async def story() -> None:
        with operator(broker) as listener, station(broker, puback_timeout_s=1.0) as device:
            device.start_uplink()
            async with device.sentinel() as delivery:
                await put(device, entry(1))
                await until(lambda: device.journal.delivered == 1, "the first")
                broker.freeze()
                try:
                    await put(device, entry(2))
                    await until(lambda: not delivery.session.is_up, "leaving the frozen broker")
                    assert "acknowledgement" in delivery.session.reason
                finally:
                    broker.thaw()
                await until(lambda: device.journal.delivered == 2, "the second")
                await until(lambda: len(listener.findings()) >= 2, "both")
            seen = [found.sequence for found in listener.findings()]
            assert seen[0] == 1
            assert set(seen[1:]) == {2}

    run(story())


def test_nobody_subscribed_is_told_and_ends_when_somebody_is(broker: Broker) -> None:
    async def story() -> None:
        with station(broker) as device:
            device.start_uplink()
            async with device.sentinel():
                await put(device, entry(1), entry(2))
                await until(lambda: device.journal.delivered == 2, "delivery counts")
                await until(lambda: device.reported(Condition.UNHEARD), "the condition")
                with operator(broker):
                    await put(device, entry(3))
                    await until(lambda: device.reported(Condition.UNHEARD)[-1] == "", "its end")
                assert len(device.reported(Condition.UNHEARD)) == 2

    run(story())


def test_a_broker_of_another_authority_gets_nothing(broker: Broker, tmp_path: Path) -> None:
    async def story() -> None:
        other = Authority(tmp_path / "other", "somebody else")
        other.file.chmod(0o644)
        with station(broker) as device:
            replace(device.settings.tls_ca, other.file)
            device.start_uplink()
            async with device.sentinel():
                await put(device, entry(1))
                await until(lambda: device.reported(Condition.OFFLINE), "the reason")
                assert "no trust in the broker" in device.reported(Condition.OFFLINE)[0]
                assert device.journal.delivered == 0

    run(story())


def test_a_broker_with_another_name_gets_nothing(make_broker: MakeBroker) -> None:
    async def story() -> None:
        broker = make_broker()
        with station(broker, host="127.0.0.2") as device:
            device.start_uplink()
            async with device.sentinel():
                await until(lambda: device.reported(Condition.OFFLINE), "the reason")
                assert device.reported(Condition.OFFLINE)[0]

    run(story())


def test_a_broker_that_does_not_know_our_certificate_is_named(
    broker: Broker, tmp_path: Path
) -> None:
    async def story() -> None:
        pair = Authority(tmp_path / "other", "somebody else").client(DEVICE)
        with station(broker) as device:
            replace(device.settings.tls_cert, pair.certificate)
            replace(device.settings.tls_key, pair.key)
            device.start_uplink()
            async with device.sentinel():
                await until(lambda: device.reported(Condition.OFFLINE), "the reason")
                assert "certificate" in device.reported(Condition.OFFLINE)[0].lower()

    run(story())


@pytest.fixture(scope="session")
def clock_in_1970(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _preload.build("fixed_clock.c", tmp_path_factory.mktemp("preload"))


def test_with_a_clock_in_1970_it_connects_and_says_so(broker: Broker, clock_in_1970: Path) -> None:
    async def story() -> None:
        built_s = int(datetime.now(UTC).timestamp()) - 86400 * 90
        with operator(broker) as listener, station(broker, earliest_s=built_s) as device:
            device.environment["LD_PRELOAD"] = str(clock_in_1970)
            device.start_uplink()
            async with device.sentinel() as delivery:
                await put(device, entry(1))
                await until(listener.findings, "the finding")
                assert "clock is wrong: it says 1970" in delivery.session.reason

    run(story())


def test_with_a_clock_in_1970_a_certificate_that_ended_before_the_build_is_refused(
    tmp_path: Path, clock_in_1970: Path, broker: Broker
) -> None:
    async def story() -> None:
        now = datetime.now(UTC)
        expired = Authority(
            tmp_path / "expired", not_before=now - timedelta(days=30), lifetime=timedelta(days=20)
        )
        pair = expired.server("127.0.0.1")
        broker.stop()
        shutil.copy(pair.certificate, tmp_path / "broker" / "server.pem")
        shutil.copy(pair.key, tmp_path / "broker" / "server.key")
        broker.start()
        with station(broker, earliest_s=int(now.timestamp()) - 86400) as device:
            replace(device.settings.tls_ca, expired.file)
            device.environment["LD_PRELOAD"] = str(clock_in_1970)
            device.start_uplink()
            async with device.sentinel():
                await until(lambda: device.reported(Condition.OFFLINE), "the reason")
                assert "expired" in device.reported(Condition.OFFLINE)[0]

    run(story())


def test_ten_thousand_queued_arrive_in_order_over_restarts_of_both_ends(broker: Broker) -> None:
    async def story() -> None:
        total = 10_000
        with operator(broker) as listener, station(broker) as device:
            await device.journal.append([entry(number) for number in range(1, total + 1)])
            device.start_uplink()
            async with device.sentinel():
                await until(lambda: device.journal.delivered > 1000, "a first part")
                device.end_uplink(is_killed=True)
                device.start_uplink()
                await until(lambda: device.journal.delivered > 3000, "a second part", 30.0)
            async with device.sentinel():
                await until(lambda: device.journal.delivered == total, "all", 60.0)
            await until(lambda: listener.findings()[-1].sequence == total, "the last")
            findings = listener.findings()
            first_time: dict[int, bytes] = {}
            order: list[int] = []
            for found in findings:
                if found.sequence in first_time:
                    assert found.body == first_time[found.sequence], "a double differs"
                else:
                    first_time[found.sequence] = found.body
                    order.append(found.sequence)
            assert order == list(range(1, total + 1))
            assert len(findings) - total <= 3 * 32
            assert all(found.is_genuine() for found in findings[::500])

    run(story())


def test_a_sentinel_that_leaves_in_order_leaves_no_will(broker: Broker) -> None:
    async def story() -> None:
        with operator(broker) as listener, station(broker) as device:
            device.start_uplink()
            async with device.sentinel() as delivery:
                delivery.publish_state(b'{"counter":7}')
                await until(lambda: states(listener), "the state")
            assert device.end_uplink(is_killed=False) == 0
            assert [found.body for found in states(listener)] == [b'{"counter":7}']
        broker.stop()
        assert f"Received DISCONNECT from {DEVICE}" in broker.log.read_text("utf-8")

    run(story())


def test_an_uplink_that_is_killed_leaves_the_signed_will(broker: Broker) -> None:
    async def story() -> None:
        with operator(broker) as listener, station(broker, will_delay_s=0) as device:
            device.start_uplink()
            async with device.sentinel():
                await connected(device)
                device.end_uplink(is_killed=True)
                await until(lambda: states(listener), "the will")
            assert states(listener)[0].received.purpose == "will"
            assert states(listener)[0].is_genuine()

    run(story())


def test_the_uplink_runs_as_its_own_user_without_any_capability(
    broker: Broker, as_root: None
) -> None:
    async def story() -> None:
        with station(broker) as device:
            device.start_uplink()
            async with device.sentinel():
                await connected(device)
                assert device.process is not None
                status = status_of(device.process.pid)
                assert status["Uid"].split() == [str(UPLINK_UID)] * 4
                assert status["Gid"].split() == [str(UPLINK_UID)] * 4
                assert status["Groups"].split() in ([], [str(UPLINK_UID)])
                for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
                    assert int(status[name], 16) == 0, name
                assert status["NoNewPrivs"].strip() == "1"

    run(story())


@pytest.fixture
def readable_interpreter() -> str:
    found = Path("/usr/bin/python3")
    wanted = f"python{sys.version_info.major}.{sys.version_info.minor}"
    if found.resolve().name != wanted or not Path(vedette.__file__).stat().st_mode & 0o004:
        pytest.skip(f"needs {wanted} of the system, so that another user can read it")
    return str(found)


def test_where_its_user_can_read_us_it_runs_anew_and_is_as_bare(
    broker: Broker, as_root: None, readable_interpreter: str
) -> None:
    async def story() -> None:
        with operator(broker) as listener, station(broker) as device:
            device.interpreter = readable_interpreter
            paths = [str(Path(vedette.__file__).parent.parent), sysconfig.get_paths()["purelib"]]
            device.environment["PYTHONPATH"] = os.pathsep.join(paths)
            device.start_uplink()
            async with device.sentinel():
                await put(device, entry(1))
                await until(listener.findings, "the finding")
                assert device.process is not None
                assert command_of(device.process.pid)[1] == "-P", "it did not exec"
                status = status_of(device.process.pid)
                assert int(status["CapBnd"], 16) == int(status["CapPrm"], 16) == 0
                assert status["Uid"].split() == [str(UPLINK_UID)] * 4

    run(story())


def test_a_peer_of_another_user_is_shut_out(broker: Broker, as_root: None) -> None:
    async def story() -> None:
        with station(broker, user=str(UPLINK_UID + 1)) as device:
            for name in ("tls_key", "tls_cert", "tls_ca"):
                os.chown(getattr(device.settings, name), UPLINK_UID + 1, -1)
            device.start_uplink()
            async with device.sentinel() as delivery:
                open_to_all(device.settings.socket)
                uplink: Any = delivery._uplink
                await until(lambda: uplink.refused_peers > 0, "the refusal")
                assert not delivery.session.is_up

    run(story())
