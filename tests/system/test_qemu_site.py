"""The host's side of devices in QEMU hears what their keys signed, through a real broker."""

from __future__ import annotations

import shutil
from base64 import b64encode
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from vedette.codec import cloudevents, ocsf, report, topics
from vedette.codec.envelope import Purpose, signed_bytes
from vedette_dev import identity
from vedette_dev.certificates import KeyPair
from vedette_dev.device import campaign
from vedette_dev.device.site import TENANT, Site
from vedette_dev.player import Arrival, is_of

pytestmark = pytest.mark.system

REPOSITORY = Path(__file__).parents[2]
DEVICE, BOOT, SUFFIX = "cut-test", "b" * 32, "up/finding"
HEARD_S = 15.0
SILENCE_S = 0.5


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    rules = campaign.one_rule(REPOSITORY, folder / "rules")
    try:
        with Site(folder / "host", DEVICE, rules=rules) as entered:
            entered.reader.await_listening()
            yield entered
    except FileNotFoundError as error:
        pytest.skip(str(error))


def says(site: Site, sequence: int, word: str, pair: KeyPair | None = None) -> None:
    """Publish an incident of the device as its outbox does, until the broker has it."""
    info = {"uid": word, "title": f"A shell {word}"}
    found = {"class_uid": 2004, "activity_id": 1, "severity_id": 4, "finding_info": info}
    body = ocsf.canonical({**found, "message": word})
    given = cloudevents.attributes(
        Purpose.INCIDENT, TENANT, DEVICE, BOOT, sequence, 1_795_264_807.0, "", body
    )
    message = signed_bytes(
        Purpose.INCIDENT, TENANT, DEVICE, BOOT, sequence, SUFFIX, report.JSON, given, body
    )
    signature = identity.signer(site.folder / "device.key").sign(message)
    properties: Any = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    properties.ContentType = report.JSON
    properties.UserProperty = [*given, ("vsig", b64encode(signature).decode())]
    pair = pair or site.broker.clients[DEVICE]
    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=DEVICE, protocol=mqtt.MQTTv5)
    client.tls_set(str(site.broker.authority.file), str(pair.certificate), str(pair.key))
    client.connect("127.0.0.1", site.broker.port)
    client.loop_start()
    try:
        topic = topics.build(TENANT, DEVICE, SUFFIX)
        client.publish(topic, body, qos=1, properties=properties).wait_for_publish(HEARD_S)
    finally:
        client.disconnect()
        client.loop_stop()


def copied(pair: KeyPair, folder: Path) -> KeyPair:
    """What a device has of its own, whatever the site writes afterwards."""
    folder.mkdir()
    return KeyPair(Path(shutil.copy(pair.certificate, folder)), Path(shutil.copy(pair.key, folder)))


def holds(word: str, arrival: Arrival) -> bool:
    return is_of(arrival.incident, ("",), (word,))


def test_a_device_whose_disk_went_back_is_heard_by_who_begins_to_listen(site: Site) -> None:
    says(site, 7, "told")
    assert site.arrivals.wait_for(partial(holds, "told"), HEARD_S) is not None
    with site.listening() as arrivals:
        says(site, 3, "again")
        assert arrivals.wait_for(partial(holds, "again"), HEARD_S) is not None
    # Who had heard it further is right not to believe it: a broker can play old messages again.
    assert site.arrivals.wait_for(partial(holds, "again"), SILENCE_S) is None


def test_a_site_that_goes_on_hears_the_devices_from_before(site: Site, tmp_path: Path) -> None:
    rules = campaign.one_rule(REPOSITORY, tmp_path / "rules")
    with Site(tmp_path / "host", DEVICE, rules=rules) as before:
        pair = copied(before.broker.clients[DEVICE], tmp_path / "device")
        published = sorted(path.name for path in before.desk.served.rglob("*"))
    told: list[tuple[str, int]] = []
    with Site(tmp_path / "host", DEVICE, rules=rules, is_kept=True) as after:
        assert sorted(path.name for path in after.desk.served.rglob("*")) == published
        with after.listening(lambda word, counter: told.append((word, counter))) as arrivals:
            says(after, 3, "later", pair)
            assert arrivals.wait_for(partial(holds, "later"), HEARD_S) is not None
    assert told == [("later", 0)]
