"""Connects to an address that a listed name had resolved to a moment before.

A DNS responder of our own on a random loopback address answers for a random label below a name
drawn from the rules; then a listener of our own on the answered address is connected to. The
packets never leave loopback. ATT&CK T1071, T1568, T1496 as the drawn rule says.
"""

from __future__ import annotations

import secrets
import socket
import struct
import sys

from vedette_dev.stage import LINGER_S, Stage

TECHNIQUE = "T1071.001"
EXPECTS = (
    "attack.t1071",
    "attack.t1568",
    "attack.t1496",
    "attack.t1090",
    "attack.t1572",
    "attack.t1102",
)
NEEDS_ROOT = "DNS answers are read from a packet socket, which needs CAP_NET_RAW"


_CONNECT = f"""
import socket, sys, time
kept = socket.socket()
kept.connect_ex((sys.argv[2], int(sys.argv[3])))
time.sleep({LINGER_S})
"""


def act(stage: Stage) -> str:
    drawn = stage.draw(
        "network_connection", "DestinationHostname", operators=("endswith", "equals", "contains")
    ).match
    name = drawn.value.strip(".")
    if drawn.operator != "equals":
        name = f"{stage.word()}.{name}"
    address = stage.loopback()
    listener = stage.listen(address)
    stage.begin()
    answered = _resolve(stage, name, address)
    port = str(listener.getsockname()[1])
    stage.start([sys.executable, "-ISc", _CONNECT, stage.word(), answered, port])
    return address


def _resolve(stage: Stage, name: str, address: str) -> str:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client,
    ):
        server.bind((stage.loopback(), 53))
        for side in (server, client):
            side.settimeout(5)
        client.sendto(_query(name), server.getsockname())
        query, asker = server.recvfrom(512)
        server.sendto(_answer(query, address), asker)
        return socket.inet_ntoa(client.recv(512)[-4:])


def _query(name: str) -> bytes:
    # RFC 1035 4.1: recursion desired, one question of type A, class IN.
    header = secrets.token_bytes(2) + struct.pack("!5H", 0x0100, 1, 0, 0, 0)
    labels = b"".join(bytes([len(part)]) + part.encode() for part in name.split("."))
    return header + labels + struct.pack("!BHH", 0, 1, 1)


def _answer(query: bytes, address: str) -> bytes:
    # The question repeated, then one A record whose name points back at it (RFC 1035 4.1.4).
    header = query[:2] + struct.pack("!5H", 0x8180, 1, 1, 0, 0)
    record = struct.pack("!HHHIH4s", 0xC00C, 1, 1, 60, 4, socket.inet_aton(address))
    return header + query[12:] + record
