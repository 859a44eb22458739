"""The operator's MQTT connection: paho in its own thread, messages in a bounded queue."""

from __future__ import annotations

import queue
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from paho.mqtt.client import Client, DisconnectFlags, MQTTMessage, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from vedette.core.fleet import Publication
from vedette.errors import UplinkError

KEEPALIVE_S = 30
LONGEST_RECONNECT_S = 30
KEPT_S = 900
"""What is published while we are cut off for so long waits at the broker: no gap for us."""


class Listener:
    """Subscribes and hands on; connects again by itself.

    Args:
        host: of the broker.
        port: of the broker.
        filters: topics to subscribe to.
        arrived: gets publications, and texts about the connection.
    """

    def __init__(
        self,
        host: str,
        port: int,
        filters: Sequence[str],
        arrived: queue.Queue[Publication | str],
    ) -> None:
        self._host, self._port, self._filters, self._arrived = host, port, filters, arrived
        self._client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=f"vedette-watch-{secrets.token_hex(4)}",
            protocol=MQTTv5,
        )
        self._client.on_connect = self._connected
        self._client.on_subscribe = self._subscribed
        self._client.on_disconnect = self._disconnected
        self._client.on_message = self._message
        self._client.reconnect_delay_set(1, LONGEST_RECONNECT_S)

    def begin(self, ca: Path | None, certificate: Path | None, key: Path | None) -> None:
        """Connect; without a CA without TLS.

        Raises:
            UplinkError: the broker can't be reached or trusted, or a file can't be used.
        """
        try:
            if ca is not None:
                self._client.tls_set(
                    str(ca),
                    certfile=str(certificate) if certificate is not None else None,
                    keyfile=str(key) if key is not None else None,
                )
            self._client.connect(
                self._host, self._port, keepalive=KEEPALIVE_S,
                properties=_kept_for(KEPT_S, PacketTypes.CONNECT),
            )  # fmt: skip
        except (OSError, ValueError) as error:
            raise UplinkError(
                f"{self._host}:{self._port}: cannot connect: {error}; check host, port and "
                "certificate files"
            ) from error
        self._client.loop_start()

    def end(self) -> None:
        """Leave the broker and end paho's thread."""
        self._client.disconnect(properties=_kept_for(0, PacketTypes.DISCONNECT))
        self._client.loop_stop()

    def _connected(self, client: Client, _data: object, _flags: object, reason: ReasonCode,
                   _more: object) -> None:  # fmt: skip
        if reason.is_failure:
            self._arrived.put(f"the broker refuses us: {reason}")
            return
        client.subscribe([(name, SubscribeOptions(qos=1)) for name in self._filters])

    def _subscribed(self, _client: Client, _data: object, _mid: int, reasons: list[ReasonCode],
                    _more: object) -> None:  # fmt: skip
        if any(reason.is_failure for reason in reasons):
            words = ", ".join(str(reason) for reason in reasons)
            self._arrived.put(f"the broker refuses a subscription: {words}")
        else:
            self._arrived.put(f"connected to {self._host}:{self._port}")

    def _disconnected(self, _client: Client, _data: object, flags: DisconnectFlags,
                      reason: ReasonCode, _more: object) -> None:  # fmt: skip
        if reason.is_failure:
            said = f" by the broker: {reason}" if flags.is_disconnect_packet_from_server else ""
            self._arrived.put(f"connection lost{said}; trying again")

    def _message(self, _client: Client, _data: object, found: MQTTMessage) -> None:
        properties: Any = found.properties
        self._arrived.put(
            Publication(
                found.topic,
                getattr(properties, "ContentType", ""),
                tuple(getattr(properties, "UserProperty", ())),
                bytes(found.payload),
                found.retain,
            )
        )


def _kept_for(seconds: int, packet: int) -> Properties:
    """MQTT 5.0 3.1.2.11.2: how long the broker keeps our session after the connection."""
    properties = Properties(packet)  # type: ignore[no-untyped-call]
    properties.SessionExpiryInterval = seconds
    return properties
