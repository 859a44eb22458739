"""What the uplink process is told: where the broker is, who we are, whom to become.

Rule 1: the process reads no configuration file; it gets these settings as one JSON object.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass

from vedette.codec import strict_json
from vedette.errors import ConfigError, ParseError

MAX_SETTINGS_BYTES = 65536


@dataclass(frozen=True, slots=True)
class UplinkSettings:
    """All that the uplink process knows.

    Attributes:
        socket: path of the sentinel's SOCK_SEQPACKET socket.
        host: name or address of the broker; checked against its certificate.
        tls_ca: file of the certificates that may have signed the broker's; "" means no TLS, and is
            refused unless the host is on loopback.
        tls_cert: our certificate chain, PEM; "" when the broker asks for none.
        tls_key: its private key, PEM, without passphrase.
        client_id: MQTT client identifier: the device's name.
        keepalive_s: MQTT 5.0 3.1.2.10; a silent broker is noticed within two and a half of them.
        will_delay_s: MQTT 5.0 3.1.3.2.2: a reconnect within it is no news.
        session_expiry_s: MQTT 5.0 3.1.2.11.2.
        earliest_s: Unix time before which no clock is believed: when this agent was built.
        puback_timeout_s: a broker that owes an acknowledgement for so long is left.
        backoff_first_s: bound of the first pause before a new connection; doubles each time.
        backoff_cap_s: the longest pause.
        user: name or uid to become when started as root; "" changes nobody.
        watches_dns: open the DNS packet socket before privileges are given up.
    """

    socket: str
    host: str
    port: int = 8883
    tls_ca: str = ""
    tls_cert: str = ""
    tls_key: str = ""
    client_id: str = ""
    keepalive_s: int = 60
    will_delay_s: int = 45
    session_expiry_s: int = 7 * 86400
    earliest_s: int = 0
    puback_timeout_s: float = 30.0
    backoff_first_s: float = 1.0
    backoff_cap_s: float = 300.0
    user: str = ""
    watches_dns: bool = False


def to_json(settings: UplinkSettings) -> bytes:
    """Settings as `from_json` reads them."""
    return json.dumps(dataclasses.asdict(settings)).encode()


def from_json(data: bytes) -> UplinkSettings:
    """Read settings.

    Raises:
        ConfigError: they are no JSON object with these names and types.
    """
    try:
        found = strict_json.parse(data, max_bytes=MAX_SETTINGS_BYTES)
    except ParseError as error:
        raise ConfigError(f"uplink settings: {error}") from error
    if not isinstance(found, dict):
        raise ConfigError("uplink settings: expected a JSON object")
    expected = {field.name: field.type for field in dataclasses.fields(UplinkSettings)}
    for name, value in found.items():
        if name not in expected:
            raise ConfigError(f"uplink settings: there is no {name[:64]!a}")
        if not _fits(value, str(expected[name])):
            raise ConfigError(f"uplink settings: expected {expected[name]} as {name}")
    try:
        return UplinkSettings(**found)  # type: ignore[arg-type] # checked above, name by name
    except TypeError as error:
        raise ConfigError(f"uplink settings: {error}") from error


def _fits(value: object, type_name: str) -> bool:
    if type_name == "bool":
        return isinstance(value, bool)
    if type_name == "str":
        return isinstance(value, str)
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return is_number or (type_name == "float" and isinstance(value, float))
