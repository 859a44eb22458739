from __future__ import annotations

import errno
import select
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from tests.simulators import dns_bytes
from tests.simulators.network import Namespace, give_address, join

from vedette.model.event import Event, NameQueried, NameResolved
from vedette.uplink.dns import DnsWatch
from vedette.uplink.dns_opener import open_dns_socket

pytestmark = [pytest.mark.kernel, pytest.mark.usefixtures("as_root", "kernel")]

DEADLINE_S = 5.0


class Watched:
    """A DnsWatch with what it said, read until its sentinel query was seen."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.watch = DnsWatch(open_dns_socket().detach(), self.events.extend)

    def read_until(self, name: str) -> list[Event]:
        """Packets come in order, so once `name` was asked all that was before it was read."""
        ends_at_s = time.monotonic() + DEADLINE_S
        while not any(isinstance(e, NameQueried) and e.name == name for e in self.events):
            assert time.monotonic() < ends_at_s, f"{name} never seen in {self.events}"
            if select.select([self.watch], [], [], 0.1)[0]:
                self.watch.read()
        return [e for e in self.events if not (isinstance(e, NameQueried) and e.name == name)]


@pytest.fixture
def namespace(as_root: None, kernel: None) -> Iterator[Namespace]:
    with Namespace() as made:
        yield made


def udp_socket(stack: ExitStack, address: tuple[str, int] | None = None) -> socket.socket:
    family = socket.AF_INET6 if address and ":" in address[0] else socket.AF_INET
    opened = stack.enter_context(socket.socket(family, socket.SOCK_DGRAM))
    opened.settimeout(DEADLINE_S)
    if address is not None:
        opened.bind(address)
    return opened


@pytest.mark.parametrize("address", ["127.0.0.53", "::1"])
def test_a_look_up_on_loopback_is_said_once(namespace: Namespace, address: str) -> None:
    with namespace.entered(), ExitStack() as stack:
        server = udp_socket(stack, (address, 53))
        client = udp_socket(stack, (address, 0))
        watched = Watched()
        stack.callback(watched.watch.close)
        client.sendto(dns_bytes.query("cam.example"), (address, 53))
        server.sendto(
            dns_bytes.answer("cam.example", [dns_bytes.address_record("cam.example", "192.0.2.9")]),
            server.recvfrom(512)[1],
        )
        client.sendto(dns_bytes.query("end.example", message_id=8), (address, 53))
        said = [event[1:] for event in watched.read_until("end.example")]
    assert said == [("dns", "cam.example", 1), ("dns", "cam.example", "192.0.2.9", 60)]


def test_answers_nobody_asked_for_are_ignored(namespace: Namespace) -> None:
    with namespace.entered(), ExitStack() as stack:
        server = udp_socket(stack, ("127.0.0.53", 53))
        client = udp_socket(stack, ("127.0.0.1", 0))
        watched = Watched()
        stack.callback(watched.watch.close)
        client.sendto(dns_bytes.query("cam.example"), ("127.0.0.53", 53))
        asker = server.recvfrom(512)[1]
        spoofed = [dns_bytes.address_record("cam.example", "6.6.6.6")]
        server.sendto(dns_bytes.answer("cam.example", spoofed, message_id=1234), asker)
        server.sendto(dns_bytes.answer("bank.example", spoofed), asker)
        server.sendto(dns_bytes.answer("cam.example", spoofed), ("127.0.0.1", 9999))
        client.sendto(dns_bytes.query("end.example", message_id=8), ("127.0.0.53", 53))
        said = watched.read_until("end.example")
    assert not [event for event in said if isinstance(event, NameResolved)]
    assert watched.watch.counters()["unasked"] == 3


def test_a_query_over_tcp_is_read(namespace: Namespace) -> None:
    with namespace.entered(), ExitStack() as stack:
        server = stack.enter_context(socket.create_server(("127.0.0.53", 53)))
        watched = Watched()
        stack.callback(watched.watch.close)
        client = stack.enter_context(socket.create_connection(("127.0.0.53", 53)))
        peer = stack.enter_context(server.accept()[0])
        for name, message_id in (("cam.example", 7), ("end.example", 8)):
            query = dns_bytes.query(name, message_id=message_id)
            client.sendall(len(query).to_bytes(2, "big") + query)
            peer.recv(512)
            records = [dns_bytes.address_record(name, "192.0.2.9")]
            answer = dns_bytes.answer(name, records, message_id=message_id)
            peer.sendall(len(answer).to_bytes(2, "big") + answer)
            client.recv(512)
        said = watched.read_until("end.example")
    assert any(isinstance(e, NameResolved) and e.name == "cam.example" for e in said)


def test_a_router_speaks_for_itself_only(namespace: Namespace) -> None:
    with Namespace() as client_side, Namespace() as server_side, ExitStack() as stack:
        join(namespace, "lan", client_side, "eth0")
        join(namespace, "wan", server_side, "eth0")
        for where, device, address in (
            (namespace, "lan", "10.91.1.1/24"),
            (client_side, "eth0", "10.91.1.2/24"),
            (namespace, "wan", "10.91.2.1/24"),
            (server_side, "eth0", "10.91.2.2/24"),
        ):
            give_address(where, device, address)
        client_side.run("ip", "route", "add", "default", "via", "10.91.1.1")
        namespace.run("sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward")
        namespace.run(
            "nft",
            "table ip nat { chain post { type nat hook postrouting priority srcnat; "
            'oifname "wan" masquerade; }; }',
        )
        with server_side.entered():
            server = udp_socket(stack, ("10.91.2.2", 53))
        with client_side.entered():
            client = udp_socket(stack, ("10.91.1.2", 4444))
        with namespace.entered():
            own = udp_socket(stack)
            watched = Watched()
            stack.callback(watched.watch.close)
        client.sendto(dns_bytes.query("tv.example", message_id=99), ("10.91.2.2", 53))
        assert server.recvfrom(512)[1][0] == "10.91.2.1"
        own.sendto(dns_bytes.query("end.example", message_id=8), ("10.91.2.2", 53))
        said = watched.read_until("end.example")
    assert said == []
    assert watched.watch.counters()["forwarded"] == 1


def test_other_packets_never_reach_the_reader(namespace: Namespace) -> None:
    with namespace.entered(), ExitStack() as stack:
        receiver = udp_socket(stack, ("127.0.0.1", 5353))
        opened = stack.enter_context(open_dns_socket())
        udp_socket(stack).sendto(dns_bytes.query("cam.example"), ("127.0.0.1", 5353))
        receiver.recv(512)
        with pytest.raises(BlockingIOError):
            opened.recv(512)


def test_the_filter_cannot_be_taken_off(namespace: Namespace) -> None:
    with namespace.entered(), open_dns_socket() as opened:
        with pytest.raises(PermissionError) as caught:
            opened.setsockopt(socket.SOL_SOCKET, 27, 0)  # SO_DETACH_FILTER
        assert caught.value.errno == errno.EPERM


def test_a_flood_is_counted(namespace: Namespace) -> None:
    with namespace.entered(), ExitStack() as stack:
        watched = Watched()
        stack.callback(watched.watch.close)
        sender = udp_socket(stack)
        query = dns_bytes.query("cam.example")
        for _ in range(4000):
            sender.sendto(query, ("127.0.0.53", 53))
        lost = watched.watch.losses()
        assert lost is not None
        read = 0
        while select.select([watched.watch], [], [], 0)[0]:
            watched.watch.read()
            read = watched.watch.counters()["queries"]
    assert read + lost.lost == 4000
    assert watched.watch.counters()["dropped"] == lost.lost
