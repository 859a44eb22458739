"""The [response] table: how far responses may go here, and the options of single responders.

Rule 1: a responder is a file in responses/; the folder is listed and nothing of it imported, since
the uplink and the keeper read the configuration too.
Rule 2: a responder's options stand here, so that a mistake in them is told with file and line
before anything starts; a responder without options needs no entry.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Literal, TypeAlias, cast

from vedette import responses as response_package
from vedette.codec.address_sets import AddressSet
from vedette.codec.flow import parse_flow
from vedette.daemon.schema import (
    AbsolutePath,
    Choice,
    Kind,
    Many,
    Mistake,
    Number,
    Text,
    WrongValueError,
    describe,
    kinds,
    read_table,
    setting,
    unknown,
)
from vedette.errors import ParseError
from vedette.ports.discover import module_names

Options: TypeAlias = Mapping[str, int | str | bool]


class FlowText(Kind[str]):
    """A flow that a device may not be without."""

    def read(self, value: object) -> str:
        """Accept what codec/flow.py does."""
        words = 'a flow such as "in tcp 502" or "out udp 123 192.0.2.0/24"'
        if not isinstance(value, str) or "," in value:
            raise WrongValueError(words, value)
        try:
            parse_flow(value)
        except ParseError as error:
            raise WrongValueError(words, value) from error
        return value


RESPONDER_OPTIONS: Mapping[str, Mapping[str, Kind[object]]] = {
    "isolate": {"allow": Many(FlowText(), 0, 64)},
}
"""By the name of the responder."""


class Address(Kind[str]):
    """An address or network."""

    def read(self, value: object) -> str:
        """Accept "192.0.2.7", "10.0.0.0/8", "fe80::/10"."""
        words = 'an address or network such as "192.0.2.7" or "10.0.0.0/8"'
        if not isinstance(value, str):
            raise WrongValueError(words, value)
        try:
            AddressSet([value])
        except ParseError as error:
            raise WrongValueError(words, value) from error
        return value


_PROFILE = Text(r"([a-z0-9][a-z0-9-]{0,63})?", "nothing, or the name of a profile")
_UNIT = Text(r"[A-Za-z0-9:_.\\@-]{1,250}", 'a unit with its suffix, such as "httpd.service"')


@dataclasses.dataclass(frozen=True, slots=True)
class Response:
    """How far responses may go on this device.

    Attributes:
        mode: "observe" keeps everything from being carried out, whatever was promoted; "enforce"
            allows what signed playbooks and operators decide.
        playbooks: where a signed set is offered; "" uses none, not even a kept one.
        profile: the profile of that set; "" takes the one for the device's class.
        nice: the sentinel's share of a busy processor, as nice(1) counts; 0 as everybody's.
        never_addresses, never_units, never_paths: never touched, beside what the agent finds out.
        disable: responders that may not be used.
        options: by the name of the responder; a list of texts is one text with commas.
    """

    mode: Literal["observe", "enforce"] = cast(
        "Literal['observe', 'enforce']", setting(Choice(("observe", "enforce")), "enforce")
    )
    playbooks: str = setting(AbsolutePath(is_optional=True), "/var/lib/vedette/playbooks.signed")
    profile: str = setting(_PROFILE, "")
    nice: int = setting(Number(-20, 0), -10)
    never_addresses: tuple[str, ...] = setting(Many(Address(), 0, 256), ())
    never_units: tuple[str, ...] = setting(Many(_UNIT, 0, 256), ())
    never_paths: tuple[str, ...] = setting(Many(AbsolutePath(), 0, 256), ())
    disable: tuple[str, ...] = ()
    options: Mapping[str, Options] = dataclasses.field(default_factory=dict)


ALL_RESPONSES = Response()


def responder_names() -> list[str]:
    """The responders there are, from their folder, without importing one."""
    return sorted({*module_names(response_package), *RESPONDER_OPTIONS})


def read_response(table: object, mistakes: list[Mistake]) -> Response:
    """Read the table; what is wrong is added to `mistakes` and left out."""
    if not isinstance(table, dict):
        mistakes.append(Mistake(("response",), f"expected a table, got {describe(table)}"))
        return ALL_RESPONSES
    names = responder_names()
    known = {**kinds(Response), "disable": Many(Choice(tuple(names)), 0, len(names))}
    plain = {name: value for name, value in table.items() if not isinstance(value, dict)}
    read = read_table(plain, ("response",), known, mistakes)
    options: dict[str, Options] = {}
    for name, value in table.items():
        if not isinstance(value, dict):
            continue
        if name not in names:
            mistakes.append(Mistake(("response", name), unknown("responder", name, names)))
            continue
        taken = RESPONDER_OPTIONS.get(name, {})
        options[name] = _flat(read_table(value, ("response", name), taken, mistakes))
    return Response(**read, options=options)  # type: ignore[arg-type] # each was read by its kind


def _flat(options: dict[str, object]) -> Options:
    """Options as a responder gets them: a list of texts becomes one text with commas."""
    return {
        name: ",".join(value) if isinstance(value, tuple) else cast("int | str | bool", value)
        for name, value in options.items()
    }
