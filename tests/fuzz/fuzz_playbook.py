"""Fuzz target: signed playbooks, kept responses, and addresses that nobody may block."""

from __future__ import annotations

from contextlib import suppress

from vedette.codec import host_network, kept_response
from vedette.codec import playbook as codec
from vedette.codec.address_sets import AddressSet, address_number
from vedette.codec.kept_response import KeptResponse
from vedette.errors import ParseError
from vedette.model.finding import Severity
from vedette.model.playbook import DeviceProfile, Limit, Playbook, Playbooks, Step
from vedette.model.process import ProcessKey
from vedette.model.response import Mode, Order, ProcessTarget

_STEPS = (Step("kill", "process", 0), Step("stop_unit", "unit", 9, "x.service"))
_PLAYBOOK = Playbook("a", "A", ("r",), ("attack.t1",), Severity.HIGH, _STEPS, 9, 3, "")
_PROFILE = DeviceProfile("home", ("",), {"kill": Limit(Mode.ENFORCE, 9, 0)})
_SET = Playbooks("s", 1, 0, 1, (_PLAYBOOK,), (_PROFILE,), (codec.digest_of(_PLAYBOOK),), "")
_TARGET = ProcessTarget(ProcessKey(2, 3), "/x\udcff", 1.5, (ProcessKey(4, 5),))
_ORDER = Order("0" * 16, "kill", _TARGET, Mode.ENFORCE, "r", "", "a", 60.0)
_KEPT = KeptResponse(_ORDER, {"to": "/y", "mode": 1}, "1" * 32, 2.5, 60.0)

SEEDS = (codec.encode(_SET), kept_response.encode(_KEPT), b"nameserver 10.0.0.1\n", b"fe80::/10")


def target(data: bytes) -> None:
    """Any bytes give a ParseError, or a value with one text."""
    with suppress(ParseError):
        assert codec.encode(codec.decode(data)) == data
    with suppress(ParseError):
        assert kept_response.encode(kept_response.decode(data)) == data
    with suppress(ParseError):
        AddressSet([data.decode("latin-1")])
    found = (
        *host_network.gateways(data), *host_network.gateways_v6(data), *host_network.servers(data),
    )  # fmt: skip
    assert all(address_number(address) is not None for address in found)
