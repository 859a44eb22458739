"""The operator's MQTT connection: paho in its own thread, messages in a bounded queue."""

from __future__ import annotations

import queue
import secrets
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

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


class Acknowledged(NamedTuple):
    """What the broker answered to a publication (MQTT 5.0 3.4.2.1), with its words."""

    reason_code: int
    words: str


Arrived: TypeAlias = Publication | Acknowledged | str


class Listener:
    """Subscribes and hands on; connects again by itself.

    Args:
        host: of the broker.
        port: of the broker.
        filters: topics to subscribe to.
        arrived: gets publications, acknowledgements, and texts about the connection.

    Attributes:
        is_listening: the broker has granted all subscriptions.
    """

    def __init__(
        self,
        host: str,
        port: int,
        filters: Sequence[str],
        arrived: queue.Queue[Arrived],
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
        self._client.on_publish = self._published
        self._client.reconnect_delay_set(1, LONGEST_RECONNECT_S)
        self.is_listening = threading.Event()

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

    def publish(self, topic: str, body: bytes, content_type: str, expires_in_s: int) -> None:
        """Publish once, not retained; the broker forgets it after so many seconds."""
        properties: Any = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        properties.ContentType = content_type
        properties.MessageExpiryInterval = expires_in_s
        self._client.publish(topic, body, qos=1, properties=properties)

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
            self.is_listening.set()
            self._arrived.put(f"connected to {self._host}:{self._port}")

    def _disconnected(self, _client: Client, _data: object, flags: DisconnectFlags,
                      reason: ReasonCode, _more: object) -> None:  # fmt: skip
        if reason.is_failure:
            said = f" by the broker: {reason}" if flags.is_disconnect_packet_from_server else ""
            self._arrived.put(f"connection lost{said}; trying again")

    def _published(self, _client: Client, _data: object, _mid: int, reason: ReasonCode,
                   _more: object) -> None:  # fmt: skip
        self._arrived.put(Acknowledged(reason.value, str(reason)))

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
