"""A device watches from its best sources; what is done to it arrives, signed, whatever fails."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

import pytest
from tests.device._device import ARCH, BEST, REPOSITORY, Device, chosen_attacks

from vedette_dev.device import suspicion
from vedette_dev.player import Attack, attacks

pytestmark = pytest.mark.device

MODULES = ("attack.t1547", "attack.t1014")
KEYS = ("attack.t1098",)


def test_the_best_sources_watch_and_doctor_says_so(device: Device) -> None:
    tiers = device.tiers()
    assert {name: tiers.get(name) for name in BEST[ARCH]} == BEST[ARCH]


def test_the_units_are_fitted_to_the_configuration_before_it_starts(device: Device) -> None:
    # A link is the drop-in that was kept: one that was made at the start is a file.
    device.guest.check("test -L /run/systemd/generator/vedette.service.d/50-vedette.conf")
    device.vedette("units --check")


@pytest.fixture(scope="module")
def played(device: Device, request: pytest.FixtureRequest) -> Mapping[str, dict[str, Any]]:
    return device.play(chosen_attacks(request, test_an_attack_arrives_at_the_broker))


@pytest.mark.parametrize("attack", attacks(REPOSITORY), ids=lambda one: one.name)
def test_an_attack_arrives_at_the_broker(
    attack: Attack, played: Mapping[str, dict[str, Any]], device: Device
) -> None:
    said = played[attack.name]
    if said["is_excused"]:
        pytest.skip(said["reason"])
    assert said["is_found"], said["reason"]
    for expected in attack.steps:
        device.expect_arrival(expected, said["words"])


def test_no_rule_was_muted_for_what_the_device_is_slow_at(
    device: Device, played: Mapping[str, dict[str, Any]]
) -> None:
    assert played
    assert device.asked("status")["rules"]["muted"] == []
    titles = [str(one.incident.get("finding_info")) for one in device.site.arrivals.all()]
    assert [title for title in titles if "muted" in title] == []


def test_a_module_out_of_a_temporary_folder_is_told_as_it_is_loaded(device: Device) -> None:
    word = "m" + secrets.token_hex(5)
    device.guest.check(
        f"zcat -f $(modinfo -n dummy) >/tmp/{word}.ko 2>/dev/null || "
        f"cp $(modinfo -n dummy) /tmp/{word}.ko; insmod /tmp/{word}.ko; rmmod dummy; "
        f"rm /tmp/{word}.ko"
    )
    device.expect_arrival(MODULES, (word,))


def test_a_key_of_root_is_told_by_its_usual_path(device: Device) -> None:
    # /root is a folder of the data partition, shown there by a bind mount.
    word = "k" + secrets.token_hex(5)
    device.guest.check(f"echo 'ssh-ed25519 AAAA {word}' >>/root/.ssh/authorized_keys")
    device.expect_arrival(KEYS, ("/root/.ssh/authorized_keys",))


def test_what_happens_while_the_broker_is_gone_arrives_when_it_is_back(device: Device) -> None:
    device.site.broker.kill()
    try:
        word = _suspicious(device)
        assert device.arrival(("attack.",), (word,), timeout_s=3.0) is None
    finally:
        device.site.broker.start()
    device.expect_arrival(("attack.",), (word,), timeout_s=150.0)


def test_what_happens_while_the_link_is_down_arrives_when_it_is_up(device: Device) -> None:
    device.guest.monitor("set_link n0 off")
    try:
        word = _suspicious(device)
        assert device.arrival(("attack.",), (word,), timeout_s=3.0) is None
    finally:
        device.guest.monitor("set_link n0 on")
    device.expect_arrival(("attack.",), (word,), timeout_s=180.0)


def test_the_packaged_cryptography_signs_and_verifies(device: Device) -> None:
    program = (
        "from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey as K; "
        "from vedette.trust.ed25519 import Ed25519Signer as S, Ed25519Verifier as V; "
        "s = S(bytes(32)); m = b'message'; k = K.from_private_bytes(bytes(32)); "
        "assert s.sign(m) == k.sign(m); assert V().verify(s.public_key, s.sign(m), m); "
        "assert not V().verify(s.public_key, s.sign(m), b'other'); print('same')"
    )
    said = device.guest.check(f'/usr/lib/vedette/bin/python3 -c "{program}"', deadline_s=60)
    assert said.strip().endswith("same")


def _suspicious(device: Device) -> str:
    """Something that every source of processes tells; returns its word."""
    word = suspicion.new_word()
    device.guest.check(suspicion.command(word))
    return word
