"""The [uplink] table: the broker, how it is reached and known, and what may be sent there."""

from __future__ import annotations

import dataclasses
import re
from typing import Literal, cast

from vedette.daemon.schema import (
    AbsolutePath,
    Choice,
    Flag,
    Mistake,
    Number,
    Text,
    UserName,
    enabled_by,
    read_section,
    setting,
)

_HOST = Text(
    r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?|[0-9A-Fa-f:.]{2,45}",
    "a host name or address without port and brackets",
)


@dataclasses.dataclass(frozen=True, slots=True)
class Uplink:
    """The broker. Unless it is said, the uplink is enabled where a host is given.

    Attributes:
        ca: certificates that may have signed the broker's; "" only for a broker on loopback.
        user: name or uid that the uplink runs as when the agent runs as root.
        budget_bytes_per_day: what may be sent a day; 0 means no limit.
    """

    enabled: bool = setting(Flag(), default=False)
    host: str = setting(_HOST, "")
    port: int = setting(Number(1, 65_535), 8883)
    ca: str = setting(AbsolutePath(is_optional=True), "")
    certificate: str = setting(AbsolutePath(is_optional=True), "")
    key: str = setting(AbsolutePath(is_optional=True), "")
    user: str = setting(UserName(), "vedette-uplink")
    encoding: Literal["json", "msgpack"] = cast(
        "Literal['json', 'msgpack']", setting(Choice(("json", "msgpack")), "json")
    )
    budget_bytes_per_day: int = setting(Number(0, 2**40), 0)
    keepalive_s: int = setting(Number(10, 65_535), 60)


NO_UPLINK = Uplink()


def read_uplink(table: object, mistakes: list[Mistake]) -> Uplink:
    """Read the table; what is wrong is added to `mistakes` and left out."""
    uplink = read_section(Uplink, table, ("uplink",), mistakes)
    uplink = enabled_by("host", "the broker's host", uplink, table, ("uplink",), mistakes)
    if bool(uplink.certificate) != bool(uplink.key):
        present = "certificate" if uplink.certificate else "key"
        words = "expected certificate and key together; add the other one, or remove this"
        mistakes.append(Mistake(("uplink", present), f"{present}: {words}"))
    if uplink.enabled and not uplink.ca and not is_loopback(uplink.host):
        words = "host: expected ca beside a broker that is not on loopback; name the CA's file"
        mistakes.append(Mistake(("uplink", "host"), words))
    return uplink


def is_loopback(host: str) -> bool:
    """Whether a host of the configuration can only be this machine."""
    return host in {"", "localhost", "::1"} or re.fullmatch(r"127(\.\d{1,3}){3}", host) is not None
