from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from tests.simulators.neighbours import DEVICE, PATIENCE_S, PEER, Neighbours, family_of
from tests.simulators.network import Namespace, give_address, route
from tests.system.test_block_peer import no_owner, passes

from vedette.errors import ResponseError
from vedette.kernel import resolvers
from vedette.model.response import DeviceTarget, Mode, Order, ResponseStatus
from vedette.ports.responder import ResponderContext, UplinkPeer
from vedette.responses import _held_table
from vedette.responses._isolation_rules import NAME
from vedette.responses.isolate import Isolate

pytestmark = pytest.mark.usefixtures("as_root")
__all__ = ["no_owner"]  # a fixture

UPLINK_UID = 64_998
OTHER_UID = 64_997
RESOLVER_UID = 64_996
BROKER_PORT = 8883
NAMED_BROKER = UplinkPeer("broker.example.org", BROKER_PORT, UPLINK_UID)
KNOWN_BROKER = NAMED_BROKER._replace(host=PEER[0])
BOTH = pytest.mark.parametrize("version", [0, 1], ids=["IPv4", "IPv6"])


@pytest.fixture
def cable(as_root: None) -> Iterator[Neighbours]:
    with Neighbours() as made:
        yield made


@pytest.fixture(autouse=True)
def resolv_conf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A resolv.conf of our own, with no server in it."""
    file = tmp_path / "resolv.conf"
    file.write_text("search example.org\n")
    monkeypatch.setattr(resolvers, "RESOLV_CONF", file)
    return file


def order(number: int = 1, lasts_s: float = 600.0) -> Order:
    return Order(
        f"{number:016x}", "isolate", DeviceTarget(), Mode.ENFORCE, "rule", "1", "", lasts_s
    )


def isolating(folder: Path, uplink_peer: UplinkPeer | None = None, *, allow: str = "") -> Isolate:
    return Isolate(
        ResponderContext(folder, folder, options={"allow": allow}, uplink_peer=uplink_peer)
    )


@contextmanager
def isolated(
    folder: Path, uplink_peer: UplinkPeer | None = None, *, allow: str = ""
) -> Iterator[Isolate]:
    responder = isolating(folder, uplink_peer, allow=allow)
    outcome = responder.act(order(), responder.plan(order()))
    assert outcome.status is ResponseStatus.DONE, outcome
    try:
        yield responder
    finally:
        outcome = responder.undo(order(), {"table": NAME})
        assert outcome.status is ResponseStatus.UNDONE, outcome


@contextmanager
def as_user(uid: int) -> Iterator[None]:
    """Sockets made meanwhile are this user's."""
    os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(0)


def connects(
    cable: Neighbours, to: str, port: int, *, uid: int = OTHER_UID, source_port: int = 0
) -> bool:
    """Whether TCP comes about between the two, begun at the other end than `to`; with an answer."""
    with ExitStack() as stack:
        there, here = (cable.peer, cable.device) if to in PEER else (cable.device, cable.peer)
        with there.entered():
            server = stack.enter_context(socket.create_server((to, port), family=family_of(to)))
            server.settimeout(PATIENCE_S)
        with here.entered(), as_user(uid):
            client = stack.enter_context(socket.socket(family_of(to), socket.SOCK_STREAM))
        client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        client.settimeout(PATIENCE_S)
        try:
            client.bind(("", source_port))
            client.connect((to, port))
            accepted, _ = server.accept()
            stack.enter_context(accepted)
            accepted.sendall(b"x")
            return client.recv(1) == b"x"
        except OSError:
            return False


def asks(
    cable: Neighbours, to: str, port: int, *, uid: int = OTHER_UID, source_port: int = 0
) -> bool:
    """Whether a datagram of the device to the peer's port comes through, and its answer back."""
    with ExitStack() as stack:
        with cable.peer.entered():
            server = stack.enter_context(socket.socket(family_of(to), socket.SOCK_DGRAM))
            server.bind((to, port))
            server.settimeout(PATIENCE_S)
        with as_user(uid):
            client = stack.enter_context(socket.socket(family_of(to), socket.SOCK_DGRAM))
        client.settimeout(PATIENCE_S)
        try:
            client.bind(("", source_port))
            client.sendto(b"?", (to, port))
            _, sender = server.recvfrom(1)
            server.sendto(b"!", sender)
            return client.recv(1) == b"!"
        except OSError:
            return False


def tells(cable: Neighbours, to: str, port: int, *, source_port: int) -> bool:
    """Whether a datagram that nobody asked for comes through to the device."""
    with ExitStack() as stack:
        receiver = stack.enter_context(socket.socket(family_of(to), socket.SOCK_DGRAM))
        receiver.bind((to, port))
        receiver.settimeout(PATIENCE_S)
        with cable.peer.entered():
            sender = stack.enter_context(socket.socket(family_of(to), socket.SOCK_DGRAM))
        sender.bind(("", source_port))
        sender.sendto(b"x", (to, port))
        try:
            return receiver.recv(1) == b"x"
        except TimeoutError:
            return False


@BOTH
def test_nothing_passes_but_loopback_and_all_of_it_again_afterwards(
    cable: Neighbours, tmp_path: Path, version: int
) -> None:
    cable.device.run("nft", "table ip nat { chain o { type nat hook output priority -100; }; }")
    before = cable.ruleset()
    with isolated(tmp_path):
        for end in (PEER[version], DEVICE[version]):
            assert not cable.reaches(end)
            assert not cable.hears(end)
        own = (DEVICE[version], ("127.0.0.1", "::1")[version])
        for address in own:
            with socket.create_server((address, 0), family=family_of(address)) as server:
                socket.create_connection(server.getsockname()[:2], timeout=5).close()
    assert cable.ruleset() == before
    for end in (PEER[version], DEVICE[version]):
        assert cable.reaches(end)
        assert cable.hears(end)


@BOTH
def test_the_uplink_stays_open_for_its_user_and_its_port_alone(
    cable: Neighbours, tmp_path: Path, version: int
) -> None:
    broker = PEER[version]
    with isolated(tmp_path, NAMED_BROKER):
        assert connects(cable, broker, BROKER_PORT, uid=UPLINK_UID)
        assert not connects(cable, broker, BROKER_PORT, uid=OTHER_UID)
        assert not connects(cable, broker, BROKER_PORT + 1, uid=UPLINK_UID)
        assert not connects(cable, DEVICE[version], BROKER_PORT, source_port=BROKER_PORT)
        assert not tells(cable, DEVICE[version], 5000, source_port=BROKER_PORT)


def test_a_configured_address_is_the_only_one_the_uplink_reaches(
    cable: Neighbours, tmp_path: Path
) -> None:
    give_address(cable.peer, "eth0", "10.97.0.3/24")
    with isolated(tmp_path, KNOWN_BROKER):
        assert connects(cable, PEER[0], BROKER_PORT, uid=UPLINK_UID)
        with cable.peer.entered():
            other = socket.create_server(("10.97.0.3", BROKER_PORT))
        with other, as_user(UPLINK_UID), pytest.raises(OSError):  # noqa: PT011 - by kernel
            socket.create_connection(other.getsockname(), timeout=PATIENCE_S)


def test_a_connection_of_the_uplink_goes_on(cable: Neighbours, tmp_path: Path) -> None:
    with ExitStack() as stack:
        with cable.peer.entered():
            server = stack.enter_context(socket.create_server((PEER[0], BROKER_PORT)))
        with as_user(UPLINK_UID):
            client = stack.enter_context(socket.create_connection((PEER[0], BROKER_PORT)))
        broker, _ = server.accept()
        stack.enter_context(broker)
        stack.enter_context(isolated(tmp_path, NAMED_BROKER))
        client.settimeout(10)
        client.sendall(b"incident")
        assert broker.recv(100) == b"incident"
        broker.sendall(b"command")
        assert client.recv(100) == b"command"


@BOTH
def test_the_uplink_asks_the_name_servers_and_nobody_else_does(
    cable: Neighbours, tmp_path: Path, resolv_conf: Path, version: int
) -> None:
    server = PEER[version]
    resolv_conf.write_text(f"nameserver {server}\n")
    with isolated(tmp_path, NAMED_BROKER):
        assert asks(cable, server, 53, uid=UPLINK_UID)
        assert connects(cable, server, 53, uid=UPLINK_UID)
        assert not asks(cable, server, 53, uid=OTHER_UID)
        assert not asks(cable, server, 54, uid=UPLINK_UID)
        assert not asks(cable, PEER[1 - version], 53, uid=UPLINK_UID)
        assert not tells(cable, DEVICE[version], 5000, source_port=53)


def test_an_address_needs_no_names(cable: Neighbours, tmp_path: Path, resolv_conf: Path) -> None:
    resolv_conf.write_text(f"nameserver {PEER[0]}\n")
    with isolated(tmp_path, KNOWN_BROKER):
        assert not asks(cable, PEER[0], 53, uid=UPLINK_UID)


def test_a_resolver_on_the_device_goes_on_asking(
    cable: Neighbours, tmp_path: Path, resolv_conf: Path
) -> None:
    resolv_conf.write_text("nameserver 127.0.0.53\n")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stub:
        os.fchown(stub.fileno(), RESOLVER_UID, -1)  # the uid that sock_diag tells
        stub.bind(("127.0.0.53", 53))
        with isolated(tmp_path, NAMED_BROKER):
            for port in (53, 853):
                assert asks(cable, PEER[0], port, uid=RESOLVER_UID)
                assert connects(cable, PEER[1], port, uid=RESOLVER_UID)
            assert not asks(cable, PEER[0], 123, uid=RESOLVER_UID)
            assert not asks(cable, PEER[0], 53, uid=OTHER_UID)
            assert not asks(cable, PEER[0], 53, uid=UPLINK_UID)


def test_new_name_servers_are_followed(
    cable: Neighbours, tmp_path: Path, resolv_conf: Path
) -> None:
    with isolated(tmp_path, NAMED_BROKER) as responder:
        assert not asks(cable, PEER[0], 53, uid=UPLINK_UID)
        resolv_conf.write_text(f"nameserver {PEER[0]}\n")
        assert responder.holds(order(), {"table": NAME})
        assert asks(cable, PEER[0], 53, uid=UPLINK_UID)
        resolv_conf.write_text(f"nameserver {PEER[1]}\n")
        assert responder.holds(order(), {"table": NAME})
        assert asks(cable, PEER[1], 53, uid=UPLINK_UID)
        assert not asks(cable, PEER[0], 53, uid=UPLINK_UID)


@pytest.mark.parametrize(
    ("version", "client", "server"), [(0, 68, 67), (1, 546, 547)], ids=["IPv4", "IPv6"]
)
def test_an_address_is_renewed(
    cable: Neighbours, tmp_path: Path, version: int, client: int, server: int
) -> None:
    with isolated(tmp_path):
        assert asks(cable, PEER[version], server, source_port=client, uid=0)
        assert not asks(cable, PEER[version], server, source_port=0, uid=0)


def test_neighbours_of_ipv6_are_still_found(cable: Neighbours, tmp_path: Path) -> None:
    with isolated(tmp_path, allow="in tcp 502, out tcp 502"):
        for where in (cable.device, cable.peer):
            where.run("ip", "-6", "neighbour", "flush", "dev", "eth0")
        assert connects(cable, DEVICE[1], 502)
        for where in (cable.device, cable.peer):
            where.run("ip", "-6", "neighbour", "flush", "dev", "eth0")
        assert connects(cable, PEER[1], 502)


def test_a_device_with_ipv6_alone_is_isolated_but_for_its_uplink(
    cable: Neighbours, tmp_path: Path
) -> None:
    cable.forget_ipv4()
    with isolated(tmp_path, NAMED_BROKER, allow="in tcp 502"):
        assert not cable.reaches(PEER[1])
        assert connects(cable, PEER[1], BROKER_PORT, uid=UPLINK_UID)
        assert connects(cable, DEVICE[1], 502)
    assert cable.reaches(PEER[1])


@BOTH
def test_what_is_declared_comes_in_from_its_network_and_opens_nothing_else(
    cable: Neighbours, tmp_path: Path, version: int
) -> None:
    networks = ("10.97.0.0/30", "fd97::/126")[version], ("10.97.9.0/24", "fd98::/16")[version]
    device, peer = DEVICE[version], PEER[version]
    allow = f"in tcp 502 {networks[0]}, in tcp 503 {networks[1]}, in udp 504"
    with isolated(tmp_path, allow=allow):
        assert connects(cable, device, 502)
        assert not connects(cable, device, 503)
        assert not connects(cable, device, 505)
        assert tells(cable, device, 504, source_port=0)
        assert not tells(cable, device, 502, source_port=0)
        # The way back is open to whoever asked, not to whoever has the port.
        assert not connects(cable, peer, 4000, source_port=502)
        assert not asks(cable, peer, 4000, source_port=504)


@BOTH
def test_what_is_declared_goes_out_and_its_answers_come_back(
    cable: Neighbours, tmp_path: Path, version: int
) -> None:
    device, peer = DEVICE[version], PEER[version]
    with isolated(tmp_path, allow=f"out udp 123 {peer}, out tcp 443"):
        assert asks(cable, peer, 123)
        assert connects(cable, peer, 443)
        assert not connects(cable, peer, 123)
        assert not asks(cable, peer, 124)
        assert not tells(cable, device, 5000, source_port=123)


def test_a_router_forwards_what_is_declared_and_nothing_else(as_root: None, tmp_path: Path) -> None:
    with ExitStack() as stack:
        client, router, server = (stack.enter_context(Namespace()) for _ in range(3))
        route(client, router, server)
        stack.enter_context(router.entered())
        assert passes(client, server, to="10.92.2.2")
        with isolated(tmp_path):
            assert not passes(client, server, to="10.92.2.2")
            assert not passes(client, server, to="fd92::2")
        for address in ("10.92.2.2", "fd92::2"):
            with isolated(tmp_path, allow=f"forward tcp 4430 {address}"):
                assert passes(client, server, to=address, port=4430)
                assert not passes(client, server, to=address, port=4431)
                assert not passes(server, client, to=client_of(address), port=4430)


def client_of(server: str) -> str:
    return "10.92.1.2" if server == "10.92.2.2" else "fd91::2"


def test_it_opens_by_itself_when_nobody_lives_to_do_it(
    cable: Neighbours, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_held_table, "SLACK_S", 0.2)
    responder = isolating(tmp_path)
    given = order(lasts_s=0.2)
    assert responder.act(given, responder.plan(given)).status is ResponseStatus.DONE
    with cable.peer.entered():
        server = socket.create_server((PEER[0], 0))
    with server, socket.socket() as client:
        client.settimeout(20)
        # The kernel repeats the first packet until the time is over.
        client.connect(server.getsockname())
    assert not responder.holds(given, {"table": NAME})
    assert responder.undo(given, {"table": NAME}).status is ResponseStatus.UNDONE
    assert cable.ruleset() == ""


CHANGES = {
    "flushed ruleset": "flush ruleset",
    "disarmed": f"flush set inet {NAME} armed",
    "exempted": f"insert rule inet {NAME} arriving accept; insert rule inet {NAME} leaving accept",
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_somebody_changed_is_seen_and_put_back(
    cable: Neighbours, tmp_path: Path, no_owner: None, change: str
) -> None:
    with isolated(tmp_path) as responder:
        cable.device.run("nft", CHANGES[change])
        assert cable.reaches(PEER[0])
        assert not responder.holds(order(), {"table": NAME})
        assert responder.act(order(), {"table": NAME}).status is ResponseStatus.DONE
        assert responder.holds(order(), {"table": NAME})
        assert not cable.reaches(PEER[0])
    assert cable.ruleset() == ""


@pytest.mark.parametrize(
    ("allow", "words"),
    [
        ("in tcp", "expected a flow such as"),
        ("in tcp 502, out udp 123 nowhere", "expected an address or network"),
    ],
)
def test_flows_that_cannot_be_read_make_it_refuse(tmp_path: Path, allow: str, words: str) -> None:
    responder = isolating(tmp_path, allow=allow)
    assert words in responder.unavailable()
    with pytest.raises(ResponseError, match=words):
        responder.plan(order())
    outcome = responder.act(order(), {"table": NAME})
    assert outcome.status is ResponseStatus.REFUSED
    assert words in outcome.detail


def test_it_says_what_stays_open(cable: Neighbours, tmp_path: Path) -> None:
    responder = isolating(tmp_path, NAMED_BROKER, allow="in tcp 502")
    outcome = responder.act(order(), responder.plan(order()))
    assert outcome.facts == {
        "open": "the uplink to broker.example.org stays open; declared: in tcp 502"
    }
    assert responder.undo(order(), {"table": NAME}).status is ResponseStatus.UNDONE
