"""One MQTT 5 session over one connection: paho speaks the protocol, the loop does the waiting.

Rule 1: a paho client lives as long as its connection. What was unacknowledged is sent again by the
sentinel; paho, left alive, would send it too, and for ever if the broker refuses its size.
Rule 2: paho says "published" for what the broker denied: only the reason code of PUBACK counts.
Rule 3: paho has no thread here: idle, the loop wakes four times a keepalive.
Rule 4: what others publish for this device is handed on as it came, and read by nobody here.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable
from typing import Any

from paho.mqtt.client import (
    MQTT_LOG_ERR,
    Client,
    ConnectFlags,
    DisconnectFlags,
    MQTTMessage,
    MQTTv5,
)
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from vedette.codec import cloudevents, topics
from vedette.codec.link import MAX_DOWN_BYTES, Open
from vedette.errors import UplinkError
from vedette.kernel.ticks import next_tick_s
from vedette.model.message import Message, Outcome, SessionChanged
from vedette.uplink.settings import UplinkSettings

CONNACK_TIMEOUT_S = 20.0
LEAVE_TIMEOUT_S = 2.0

PACKET_TOO_LARGE = 0x95  # MQTT 5.0 2.4
PROTOCOL_ERROR = 0x82
DISCONNECT_WITH_WILL = 0x04
UNLIMITED_PACKET = 2**28 - 1 + 5
"""The largest that the format allows (MQTT 5.0 1.5.5), where the broker names no maximum."""
LARGEST_DOWN = MAX_DOWN_BYTES + 4096
"""Packets above it are not sent to us (MQTT 5.0 3.1.2.11.4): a command, topic and properties."""

_TICKS = 4
_DEFAULT_RECEIVE_MAXIMUM = 65535  # MQTT 5.0 3.2.2.3.3
_QOS = 1
_NOTHING_GRANTED = SessionChanged(is_up=False, reason="", maximum_packet_bytes=0, receive_maximum=0)


class Session:
    """From a connected stream to its end.

    Args:
        settings: client id, keepalive, expiry.
        opening: topics, birth and will.
        stream: connected and non-blocking; the session closes it.
        on_outcome: one call for each publication that the broker answered.
        on_down: takes what others publish for this device and its groups.
        on_hearing: why the broker does not let us hear that, or "" when it does.
    """

    def __init__(
        self,
        settings: UplinkSettings,
        opening: Open,
        stream: socket.socket,
        on_outcome: Callable[[Outcome], None],
        *,
        on_down: Callable[[bytes], None],
        on_hearing: Callable[[str], None],
    ) -> None:
        self._settings = settings
        self._opening = opening
        self._on_outcome = on_outcome
        self._on_down = on_down
        self._on_hearing = on_hearing
        self._stream = stream
        self._loop = asyncio.get_running_loop()
        self._over: asyncio.Future[str] = self._loop.create_future()
        self._granted: asyncio.Future[SessionChanged] = self._loop.create_future()
        self._drained = asyncio.Event()
        self._in_flight: dict[int, tuple[Message, float]] = {}
        self._born_mid: int | None = None
        self._grant = _NOTHING_GRANTED
        self._paho_error = ""
        self._tick_timer: asyncio.TimerHandle | None = None
        self._client = self._make_client()

    async def begin(self) -> SessionChanged:
        """Connect, leave the will, publish birth and wait until the broker has it.

        Returns:
            What the broker grants: window and packet size. The outcome of birth was given to
            `on_outcome` before.

        Raises:
            UplinkError: the broker refuses us, or does not answer.
        """
        host, port, keepalive_s = (
            self._settings.host,
            self._settings.port,
            self._settings.keepalive_s,
        )
        self._client.connect(
            host, port, keepalive_s, clean_start=False, properties=self._connect_properties()
        )
        self._loop.add_reader(self._stream, self._read)
        self._tick()
        await asyncio.wait(
            (self._over, self._granted),
            timeout=CONNACK_TIMEOUT_S,
            return_when=asyncio.FIRST_COMPLETED,
        )
        if self._granted.done():
            return self._granted.result()
        reason = self._over.result() if self._over.done() else "no answer to CONNECT and birth"
        self.end()
        raise UplinkError(f"{host}:{port}: {reason}")

    async def lost(self) -> str:
        """Wait for the end of the session; returns the reason for people."""
        return await asyncio.shield(self._over)

    def publish(self, message: Message) -> None:
        """Publish; the outcome follows, unless the session ends before."""
        self._publish(message)

    async def leave(self, *, with_will: bool) -> None:
        """Wait a moment for what is in flight, then disconnect, with or without the will."""
        if not self._over.done():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LEAVE_TIMEOUT_S):
                    await self._empty()
            reason = ReasonCode(
                PacketTypes.DISCONNECT, identifier=DISCONNECT_WITH_WILL if with_will else 0
            )
            self._client.disconnect(reasoncode=reason)
            self._client.loop_write()  # at once: the loop may not come round again
        self.end()

    def end(self) -> None:
        """Close the connection, if it is still open, and forget all."""
        self._finish("ended")
        if self._tick_timer is not None:
            self._tick_timer.cancel()
        with contextlib.suppress(OSError):
            self._stream.close()

    async def _empty(self) -> None:
        while self._in_flight and not self._over.done():
            self._drained.clear()
            await self._drained.wait()

    def _make_client(self) -> Client:
        client = _ConnectedClient(
            CallbackAPIVersion.VERSION2, client_id=self._settings.client_id, protocol=MQTTv5
        )
        client.stream = self._stream
        client.max_inflight_messages_set(_DEFAULT_RECEIVE_MAXIMUM)
        client.on_connect = self._connected
        client.on_publish = self._published
        client.on_subscribe = self._subscribed
        client.on_message = self._heard
        client.on_disconnect = self._disconnected
        client.on_log = self._logged
        client.on_socket_register_write = self._want_write
        client.on_socket_unregister_write = self._want_no_write
        client.on_socket_close = self._closing
        will, opening = self._opening.will, self._opening
        client.will_set(
            topics.build(opening.tenant, opening.device, will.suffix),
            will.body,
            _QOS,
            will.retain,
            properties=self._will_properties(will),
        )
        return client

    def _will_properties(self, will: Message) -> Properties:
        properties = _properties(will, PacketTypes.WILLMESSAGE)
        properties.WillDelayInterval = self._settings.will_delay_s
        return properties

    def _connect_properties(self) -> Properties:
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = self._settings.session_expiry_s
        properties.MaximumPacketSize = LARGEST_DOWN
        return properties

    def _connected(
        self,
        _client: Client,
        _userdata: object,
        _flags: ConnectFlags,
        reason: ReasonCode,
        properties: Properties | None,
    ) -> None:
        if reason.is_failure:
            self._finish(f"the broker refuses the connection: {reason} ({reason.value:#04x})")
            return
        self._client.on_connect = None
        self._grant = SessionChanged(
            is_up=True,
            reason="connected",
            maximum_packet_bytes=getattr(properties, "MaximumPacketSize", UNLIMITED_PACKET),
            receive_maximum=getattr(properties, "ReceiveMaximum", _DEFAULT_RECEIVE_MAXIMUM),
        )
        self._subscribe()
        self._born_mid = self._publish(self._opening.birth)

    def _subscribe(self) -> None:
        opening = self._opening
        names = [topics.for_commands(opening.tenant, opening.device, is_group=False)]
        names += [topics.for_commands(opening.tenant, g, is_group=True) for g in opening.groups]
        # A retained command would be heard, and refused as a replay, at each connect.
        options = SubscribeOptions(qos=_QOS, retainHandling=SubscribeOptions.RETAIN_DO_NOT_SEND)
        self._client.subscribe([(name, options) for name in names])

    def _subscribed(
        self,
        _client: Client,
        _userdata: object,
        _mid: int,
        reasons: list[ReasonCode],
        _properties: Properties,
    ) -> None:
        refused = next((reason for reason in reasons if reason.is_failure), None)
        words = f"the broker refuses a subscription: {refused}" if refused is not None else ""
        self._on_hearing(words)

    def _heard(self, _client: Client, _userdata: object, message: MQTTMessage) -> None:
        self._on_down(bytes(message.payload))

    def _publish(self, message: Message) -> int | None:
        topic = topics.build(self._opening.tenant, self._opening.device, message.suffix)
        if cloudevents.packet_bytes(message, topic) > self._grant.maximum_packet_bytes:
            self._on_outcome(Outcome(message.sequence, PACKET_TOO_LARGE))
            self._born(message)
            return None
        info = self._client.publish(
            topic,
            message.body,
            _QOS,
            message.retain,
            properties=_properties(message, PacketTypes.PUBLISH),
        )
        self._in_flight[info.mid] = (message, self._loop.time())
        return info.mid

    def _published(
        self,
        _client: Client,
        _userdata: object,
        mid: int,
        reason: ReasonCode,
        _properties: Properties,
    ) -> None:
        found = self._in_flight.pop(mid, None)
        if found is None:
            return
        self._on_outcome(Outcome(found[0].sequence, reason.value))
        if mid == self._born_mid:
            self._born(found[0])
        if not self._in_flight:
            self._drained.set()

    def _born(self, message: Message) -> None:
        if message is self._opening.birth and not self._granted.done():
            self._granted.set_result(self._grant)

    def _disconnected(
        self,
        _client: Client,
        _userdata: object,
        flags: DisconnectFlags,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        if flags.is_disconnect_packet_from_server:
            if reason.value == PACKET_TOO_LARGE:
                self._blame(max(self._in_flight.values(), key=_body_bytes, default=None))
            self._finish(f"the broker disconnects: {reason} ({reason.value:#04x})")
        elif reason.value == PROTOCOL_ERROR:
            # mosquitto answers a body above its message_size_limit by a PUBACK with 0x95, which is
            # none (MQTT 5.0 3.4.2.1), and paho stops there. Answers come in order (4.6).
            self._blame(next(iter(self._in_flight.values()), None))
            self._finish("the broker answered with what is no MQTT 5.0")
        elif not self._granted.done():
            self._finish(
                f"the broker hung up before it accepted us ({self._paho_error or reason}); it may "
                "not know our certificate, or another client may use our name"
            )
        else:
            self._finish(self._paho_error or f"connection lost: {reason}")

    def _blame(self, flying: tuple[Message, float] | None) -> None:
        """A broker that names no maximum tells only by hanging up that a packet was above it."""
        if flying is not None:
            self._on_outcome(Outcome(flying[0].sequence, PACKET_TOO_LARGE))

    def _logged(self, _client: Client, _userdata: object, level: int, text: str) -> None:
        if level == MQTT_LOG_ERR:
            self._paho_error = text

    def _read(self) -> None:
        self._check(self._client.loop_read())
        # TLS may hold whole packets that no further readiness of the socket announces.
        while (
            not self._over.done()
            and isinstance(self._stream, ssl.SSLSocket)
            and self._stream.pending()
        ):
            self._check(self._client.loop_read())

    def _write(self) -> None:
        self._check(self._client.loop_write())

    def _check(self, code: MQTTErrorCode) -> None:
        if code not in (MQTTErrorCode.MQTT_ERR_SUCCESS, MQTTErrorCode.MQTT_ERR_AGAIN):
            self._finish(self._paho_error or f"connection lost: {code.name}")

    def _want_write(self, _client: Client, _userdata: object, stream: Any) -> None:
        self._loop.add_writer(stream, self._write)

    def _want_no_write(self, _client: Client, _userdata: object, stream: Any) -> None:
        self._loop.remove_writer(stream)

    def _closing(self, _client: Client, _userdata: object, stream: Any) -> None:
        self._loop.remove_reader(stream)
        self._loop.remove_writer(stream)

    def _tick(self) -> None:
        if self._over.done():
            return
        period_s = self._settings.keepalive_s / _TICKS
        if self._in_flight:
            period_s = min(period_s, self._settings.puback_timeout_s / _TICKS)
        due_s = next_tick_s(self._loop.time(), period_s)
        self._tick_timer = self._loop.call_at(due_s, self._tick)
        self._check(self._client.loop_misc())
        self._check_acknowledgements()

    def _check_acknowledgements(self) -> None:
        timeout_s = self._settings.puback_timeout_s
        oldest = next(iter(self._in_flight.values()), None)
        if oldest is not None and self._loop.time() - oldest[1] > timeout_s:
            self._finish(f"the broker owes an acknowledgement for more than {timeout_s:g} s")

    def _finish(self, reason: str) -> None:
        if self._over.done():
            return
        self._over.set_result(reason)
        self._drained.set()
        if self._stream.fileno() >= 0:
            self._loop.remove_reader(self._stream)
            self._loop.remove_writer(self._stream)


class _ConnectedClient(Client):
    """A paho client that is given its connection: its own way to connect blocks."""

    stream: socket.socket

    def _create_socket(self) -> Any:
        return self.stream


def _body_bytes(flying: tuple[Message, float]) -> int:
    return len(flying[0].body)


def _properties(message: Message, packet: int) -> Properties:
    properties = Properties(packet)  # type: ignore[no-untyped-call]
    properties.ContentType = message.content_type
    properties.UserProperty = cloudevents.user_properties(message)
    if message.expiry_s:
        properties.MessageExpiryInterval = message.expiry_s
    return properties
