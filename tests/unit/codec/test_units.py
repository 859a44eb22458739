"""Units in text: names that may be named to systemctl, and what it says of them."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette.codec.units import PROPERTIES, UnitState, parse_state, unit_name
from vedette.errors import ParseError

SHOWN = """\
MainPID=56
ControlGroup=/system.slice/probe.service
Id=probe.service
TriggeredBy=probe.socket probe.timer
LoadState=loaded
ActiveState=active
SubState=running
CanStart=yes
CanStop=no
InvocationID=5a407e882f79428387ab7886ea5dd536
"""
"""As systemd 252 prints it: in its own order."""


def test_what_systemd_says_of_a_service_is_read_whole() -> None:
    assert parse_state(SHOWN) == UnitState(
        unit="probe.service",
        load="loaded",
        active="active",
        sub="running",
        invocation="5a407e882f79428387ab7886ea5dd536",
        main_pid=56,
        control_group="/system.slice/probe.service",
        triggers=("probe.socket", "probe.timer"),
        can_start=True,
        can_stop=False,
    )


def test_a_socket_has_no_main_process() -> None:
    text = SHOWN.replace("MainPID=56\n", "").replace("probe.service", "probe.socket")
    assert parse_state(text).main_pid == 0


@pytest.mark.parametrize("number", range(len(SHOWN.splitlines())))
def test_every_other_property_is_needed(number: int) -> None:
    lines = SHOWN.splitlines(keepends=True)
    left_out = lines.pop(number)
    if left_out.startswith(("MainPID", "ControlGroup")):
        parse_state("".join(lines))
        return
    with pytest.raises(ParseError, match="expected the properties"):
        parse_state("".join(lines))


WRONG = {
    "a line without a value": SHOWN + "Failed to connect\n",
    "a property nobody asked for": SHOWN + "Names=a b\n",
    "two units": SHOWN + "\n" + SHOWN,
    "a pid of letters": SHOWN.replace("56", "five"),
    "a pid of other digits": SHOWN.replace("56", "٥٦"),
    "a pid without end": SHOWN.replace("56", "5" * 5000),
    "a flag that is neither": SHOWN.replace("CanStop=no", "CanStop=maybe"),
    "nothing": "",
}


@pytest.mark.parametrize("text", WRONG.values(), ids=WRONG)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ParseError):
        parse_state(text)


@given(st.text())
def test_any_text_gives_a_state_or_a_parse_error(text: str) -> None:
    with contextlib.suppress(ParseError):
        parse_state(text)


@given(st.lists(st.tuples(st.sampled_from(PROPERTIES), st.text(max_size=20)), max_size=12))
def test_any_values_give_a_state_or_a_parse_error(pairs: list[tuple[str, str]]) -> None:
    with contextlib.suppress(ParseError):
        parse_state("".join(f"{name}={value}\n" for name, value in pairs))


@pytest.mark.parametrize(
    "name", ["httpd.service", "a@b.service", "dev-x\\x2dy.socket", "apt-daily.timer", "x:1.path"]
)
def test_names_of_units_that_can_be_stopped(name: str) -> None:
    assert unit_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "", "httpd", "--now.service", "-x.service", "a b.service", "../x.service", "a/b.service",
        "x@.service", "home.mount", "multi-user.target", "system.slice", "init.scope", "*.service",
        "x.service\n", "ä.service", "x" * 250 + ".service", "[a-z].service", "?.service",
    ],
)  # fmt: skip
def test_what_is_no_such_name_is_refused(name: str) -> None:
    with pytest.raises(ParseError):
        unit_name(name)
