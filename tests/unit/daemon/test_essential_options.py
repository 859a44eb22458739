"""What stays open for essential functions when a device is isolated, down to the responder."""

from __future__ import annotations

from pathlib import Path

import pytest

from vedette.codec.flow import parse_flows
from vedette.daemon import assembly
from vedette.daemon.config import parse
from vedette.daemon.essential_options import open_flows
from vedette.model.essential import EssentialFunction

OPEN = {
    "a unit alone": (EssentialFunction("f", unit="f.service"), ()),
    "a port of this device": (EssentialFunction("f", port=554), ("in tcp 554",)),
    "a port on IPv6's loopback": (EssentialFunction("f", address="::1", port=80), ("in tcp 80",)),
    "a port that may be elsewhere": (
        EssentialFunction("f", address="192.0.2.7", port=502),
        ("in tcp 502", "out tcp 502 192.0.2.7"),
    ),
    "flows of its own": (
        EssentialFunction("f", port=80, flows=("out udp 123", "in tcp 80")),
        ("in tcp 80", "out udp 123"),
    ),
}


@pytest.mark.parametrize(("function", "flows"), OPEN.values(), ids=OPEN)
def test_what_is_declared_stays_open(function: EssentialFunction, flows: tuple[str, ...]) -> None:
    assert open_flows([function, function]) == flows
    assert len(parse_flows(",".join(flows))) == len(flows)


def test_the_responder_is_told_of_them_beside_its_own(tmp_path: Path) -> None:
    config = parse(
        f'[paths]\nstate = "{tmp_path}"\nrun = "{tmp_path}"\n[uplink]\nenabled = false\n'
        '[response.isolate]\nallow = ["in tcp 22", "in tcp 554"]\n'
        '[essential.stream]\nport = 554\nflows = ["out udp 123"]\n',
        "v.toml",
    )
    isolate = assembly.responders(config).usable["isolate"]
    assert isolate.context.options["allow"] == "in tcp 22,in tcp 554,out udp 123"
    assert "declared: in tcp 22,in tcp 554,out udp 123" in isolate._open()  # type: ignore[attr-defined]


def test_where_nothing_is_declared_nothing_is_open(tmp_path: Path) -> None:
    config = parse(
        f'[paths]\nstate = "{tmp_path}"\nrun = "{tmp_path}"\n[uplink]\nenabled = false', "v.toml"
    )
    assert assembly.responders(config).usable["isolate"].context.options["allow"] == ""
