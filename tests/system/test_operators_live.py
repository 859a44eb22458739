"""Operators and a device with nothing simulated: command line, mosquitto, uplink, sentinel.

What is done is done to a process and to files that the test made itself.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.simulators.neighbours import PEER, Neighbours
from tests.system._desk import GROUP, TENANT, Desk, running
from tests.system._live import DEADLINE_S, DEVICE

from vedette.codec import command as codec
from vedette.codec import topics

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with running(tmp_path_factory.mktemp("operators")) as found:
        yield found


def incident_of(desk: Desk, name: str) -> str:
    (desk.device.site.watched / name).write_text("#!/bin/sh\nexport TOKEN=hush\n")

    def look() -> str:
        for document in desk.entries("finding"):
            if document["evidences"][0]["data"].get("TargetFilename", "").endswith(name):
                return str(document["finding_info"]["uid"])
        return ""

    return desk.device.until(look, "the incident")


def refused_reasons(desk: Desk) -> list[str]:
    return [
        document["evidences"][0]["data"]["Reason"]
        for document in desk.entries("finding")
        if document["finding_info"]["analytic"]["uid"] == "vedette:command-refused"
    ]


def test_a_process_is_killed_by_command_and_the_receipt_is_shown(desk: Desk) -> None:
    victim = subprocess.Popen(["sleep", "300"])
    try:
        ticks = Path(f"/proc/{victim.pid}/stat").read_text().rpartition(")")[2].split()[19]
        done = desk.command("kill", f"{victim.pid}/{ticks}")
        assert [found["status"] for found in done.receipts] == ["done"], done
        assert done.code == 0
        assert victim.wait(DEADLINE_S) == -9
    finally:
        victim.kill()
        victim.wait()


def test_pid_1_is_refused_whoever_asks(desk: Desk) -> None:
    done = desk.command("kill", "1/1", signers=("alice", "bob"))
    assert (done.code, done.receipts[0]["status"]) == (1, "refused"), done


def test_a_replay_is_refused_told_and_answered(desk: Desk) -> None:
    data = desk.written("release")
    topic = topics.for_commands(TENANT, DEVICE, is_group=False)
    desk.publish(topic, data)
    desk.receipt_of(data, "done")
    desk.publish(topic, data)
    assert "it is a replay" in desk.receipt_of(data, "refused")["detail"]
    desk.device.until(
        lambda: [reason for reason in refused_reasons(desk) if "it is a replay" in reason],
        "the finding",
    )


def test_a_replay_after_a_restart_of_the_sentinel_is_refused(desk: Desk) -> None:
    data = desk.written("release")
    topic = topics.for_commands(TENANT, DEVICE, is_group=False)
    desk.publish(topic, data)
    desk.receipt_of(data, "done")
    desk.device.kill("sentinel")
    desk.device.until(
        lambda: desk.device.site.ask("status")["uplink"]["state"] == "up", "the uplink"
    )
    desk.publish(topic, data)
    assert "it is a replay" in desk.receipt_of(data, "refused")["detail"]


def test_what_a_stranger_publishes_is_refused_and_is_a_finding(desk: Desk) -> None:
    garbage = b"isolate yourself \x00\xff"
    desk.publish(topics.for_commands(TENANT, DEVICE, is_group=False), garbage)
    assert "expected an operator's command" in desk.receipt_of(garbage, "refused")["detail"]
    altered = desk.written("release").replace(b"release", b"isolate")
    desk.publish(topics.for_commands(TENANT, DEVICE, is_group=False), altered)
    assert "altered" in desk.receipt_of(altered, "refused")["detail"]


def test_a_command_for_another_device_is_refused_here(desk: Desk) -> None:
    file = desk.device.site.folder / "other"
    desk.fleet("command", "release", "--tenant", TENANT, "--device", "elsewhere",
               "--write", str(file))  # fmt: skip
    data = file.read_bytes()
    desk.publish(topics.for_commands(TENANT, DEVICE, is_group=False), data)
    assert "it is for device default/elsewhere" in desk.receipt_of(data, "refused")["detail"]


def test_a_late_command_is_refused(desk: Desk) -> None:
    data = desk.written("release", "--valid", "1")
    expires_s = codec.decode(data).expires_s
    desk.device.until(lambda: time.time() > expires_s, "its end")
    desk.publish(topics.for_commands(TENANT, DEVICE, is_group=False), data)
    assert "it is late" in desk.receipt_of(data, "refused")["detail"]


def test_a_group_is_not_isolated_by_one_key(desk: Desk) -> None:
    done = desk.fleet("command", "isolate", "--tenant", TENANT, "--group", GROUP, "--expect", "1")
    assert done.code == 1
    assert "needs 2 operators' keys, got 1" in done.receipts[0]["detail"]


def test_a_command_for_the_group_reaches_the_device(desk: Desk) -> None:
    done = desk.fleet("command", "release", "--tenant", TENANT, "--group", GROUP, "--expect", "1")
    assert (done.code, done.receipts[0]["device"]) == (0, DEVICE)


def test_promotion_is_written_by_one_operator_and_approved_by_the_other(desk: Desk) -> None:
    file = desk.device.site.folder / "promotion"
    digest = "ab" * 32
    assert desk.command("promote", digest, "--write", str(file)).code == 0
    alone = desk.command("promote", digest)
    assert "promote needs 2 operators' keys, got 1" in alone.receipts[0]["detail"]
    twice = desk.fleet("approve", str(file))
    assert "has approved this command already" in twice.said
    done = desk.fleet("approve", str(file), signers=("bob",))
    assert (done.code, done.receipts[0]["status"]) == (1, "failed")
    assert f"no playbook in force is named {digest}" in done.receipts[0]["detail"]


def test_the_evidence_of_an_incident_is_fetched_and_acknowledged(desk: Desk) -> None:
    incident = incident_of(desk, "dropper.marked")
    file = desk.device.site.folder / "evidence.json"
    done = desk.command("collect", incident, "-o", str(file))
    assert done.code == 0, done
    document = json.loads(file.read_bytes())
    assert document["incident"] == incident
    assert document["reports"][0]["finding_info"]["uid"] == incident
    (found,) = [one for one in document["files"] if one["path"].endswith("dropper.marked")]
    assert found["is_there"]
    assert len(found["sha256"]) == 64
    done = desk.command("acknowledge", incident)
    assert (done.code, done.receipts[0]["detail"]) == (0, "seen")
    unknown = desk.command("collect", "0" * 16)
    assert (unknown.code, unknown.receipts[0]["status"]) == (1, "failed")


def test_nobody_answers_for_a_device_that_is_not_there(desk: Desk) -> None:
    done = desk.fleet("command", "release", "--tenant", TENANT, "--device", "elsewhere")
    assert done.code == 2
    assert "enroll it first" in done.said


@pytest.mark.usefixtures("as_root")
def test_an_isolated_device_still_hears_its_operators_who_release_it(tmp_path: Path) -> None:
    with Neighbours() as cable, running(tmp_path, cable) as found:

        def send(*words: str) -> None:
            with cable.peer.entered():
                done = found.command(*words)
            assert done.code == 0, done

        before = cable.ruleset()
        assert cable.reaches(PEER[0])
        send("isolate")
        assert not cable.reaches(PEER[0])
        send("release")
        assert cable.reaches(PEER[0])
        assert cable.ruleset() == before

        send("isolate", "--lasts", "2")
        found.device.until(lambda: cable.reaches(PEER[0]), "its end, which nobody confirmed")

        send("block", PEER[1], "--lasts", "0")
        assert not cable.reaches(PEER[1])
        send("unblock", PEER[1])
        assert cable.reaches(PEER[1])
