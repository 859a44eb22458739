from __future__ import annotations

import errno
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from tests.simulators import intruder
from tests.simulators.neighbours import DEVICE, PEER, Neighbours, connected, listening
from tests.simulators.network import Namespace, route
from tests.system._site import Site

from vedette.codec import netlink, nfnetlink
from vedette.codec.kept_response import KeptResponse
from vedette.daemon.assembly import response_store
from vedette.daemon.config import load
from vedette.errors import ResponseError
from vedette.kernel.netlink_talk import NetlinkTalk
from vedette.kernel.own_table import OwnTable
from vedette.model.response import Mode, Order, Outcome, PeerTarget, ResponseStatus
from vedette.ports.responder import ResponderContext
from vedette.responses import _held_table
from vedette.responses._held_table import HeldTable
from vedette.responses.block_peer import NAME, TABLE, BlockPeer

pytestmark = pytest.mark.usefixtures("as_root")

DONE, UNDONE = ResponseStatus.DONE, ResponseStatus.UNDONE
BOTH = pytest.mark.parametrize("version", [0, 1], ids=["IPv4", "IPv6"])


@pytest.fixture
def cable(as_root: None) -> Iterator[Neighbours]:
    with Neighbours() as made:
        yield made


@pytest.fixture
def no_owner(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel before 5.12, in which anybody may change our table."""
    create = OwnTable._create

    def refuse(self: OwnTable, elements: tuple[object, ...], *, is_owned: bool) -> None:
        if is_owned:
            raise OSError(errno.EINVAL, "Invalid argument")
        create(self, elements, is_owned=False)  # type: ignore[arg-type] # passed on as it came

    monkeypatch.setattr(OwnTable, "_create", refuse)


def order(address: str, number: int = 1, lasts_s: float = 600.0) -> Order:
    return Order(
        f"{number:016x}", "block_peer", PeerTarget(address), Mode.ENFORCE, "rule", "1", "", lasts_s
    )


def blocking(folder: Path) -> BlockPeer:
    return BlockPeer(ResponderContext(folder, folder))


def block(responder: BlockPeer, given: Order) -> Outcome:
    outcome = responder.act(given, responder.plan(given))
    assert outcome.status is DONE, outcome
    return outcome


def unblock(responder: BlockPeer, given: Order) -> None:
    outcome = responder.undo(given, responder.plan(given))
    assert outcome.status is UNDONE, outcome


@BOTH
def test_nothing_passes_either_way_and_all_of_it_again_afterwards(
    cable: Neighbours, tmp_path: Path, version: int
) -> None:
    device, peer, responder = DEVICE[version], PEER[version], blocking(tmp_path)
    assert cable.ruleset() == ""
    block(responder, order(peer))
    assert not cable.reaches(peer)
    assert not cable.reaches(device)
    assert not cable.hears(peer)
    assert not cable.hears(device)
    # The other version of the same host is another address.
    assert cable.reaches(PEER[1 - version])
    unblock(responder, order(peer))
    assert cable.ruleset() == ""
    assert cable.reaches(peer)
    assert cable.reaches(device)
    assert cable.hears(peer)
    assert cable.hears(device)


def test_on_a_device_with_ipv6_alone_its_peer_is_blocked_and_comes_back(
    cable: Neighbours, tmp_path: Path
) -> None:
    cable.forget_ipv4()
    responder = blocking(tmp_path)
    with cable.connection(to=PEER[1]) as (begun, _):
        assert block(responder, order(PEER[1])).facts["connections_cut"] == 1
        with pytest.raises(ConnectionAbortedError):
            begun.recv(1)
        assert not cable.reaches(PEER[1])
        assert not cable.reaches(DEVICE[1])
    unblock(responder, order(PEER[1]))
    assert cable.reaches(PEER[1])
    assert cable.ruleset() == ""


@BOTH
def test_live_connections_are_cut_whoever_began_them(
    cable: Neighbours, tmp_path: Path, version: int
) -> None:
    responder = blocking(tmp_path)
    with (
        cable.connection(to=PEER[version]) as (begun, _),
        cable.connection(to=DEVICE[version]) as (accepted, _),
        cable.connection(to=PEER[1 - version]) as (other, other_end),
    ):
        outcome = block(responder, order(PEER[version]))
        assert outcome.facts["connections_cut"] == 2
        for ours in (begun, accepted):
            with pytest.raises(ConnectionAbortedError):
                ours.recv(1)
        other_end.sendall(b"x")
        assert other.recv(1) == b"x"
    unblock(responder, order(PEER[version]))


def test_an_ipv4_connection_of_an_ipv6_socket_is_cut(cable: Neighbours, tmp_path: Path) -> None:
    responder = blocking(tmp_path)
    with ExitStack() as stack:
        server = stack.enter_context(
            socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True)
        )
        with cable.peer.entered():
            ends = (DEVICE[0], server.getsockname()[1])
            stack.enter_context(socket.create_connection(ends))
        accepted, (remote, *_) = server.accept()
        stack.enter_context(accepted)
        assert remote == f"::ffff:{PEER[0]}"
        assert block(responder, order(PEER[0])).facts["connections_cut"] == 1
        with pytest.raises(ConnectionAbortedError):
            accepted.recv(1)
    unblock(responder, order(PEER[0]))


def test_a_handshake_under_way_and_a_connected_datagram_socket_are_cut(
    cable: Neighbours, tmp_path: Path
) -> None:
    responder = blocking(tmp_path)
    cable.peer.run("nft", "table inet t { chain c { type filter hook input priority 0; drop; }; }")
    with ExitStack() as stack:
        handshake = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
        handshake.setblocking(False)
        assert handshake.connect_ex((PEER[0], 80)) == errno.EINPROGRESS
        datagrams = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        datagrams.connect((PEER[0], 53))
        assert block(responder, order(PEER[0])).facts["connections_cut"] == 2
        select.select([], [handshake], [], 5)
        assert handshake.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ECONNABORTED
    unblock(responder, order(PEER[0]))


def test_what_a_router_forwards_is_dropped_both_ways_and_nothing_else(
    as_root: None, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        client, router, server = (stack.enter_context(Namespace()) for _ in range(3))
        route(client, router, server)
        with router.entered():
            responder = blocking(tmp_path)
            before = router.run("nft", "list", "ruleset")
            for blocked, via in (("10.92.2.2", client), ("10.92.1.2", client), ("fd92::2", client)):
                assert passes(via, server, to=blocked_end(blocked))
                block(responder, order(blocked))
                assert not passes(via, server, to=blocked_end(blocked))
                assert passes(via, server, to="10.92.2.2" if ":" in blocked else "fd92::2")
                unblock(responder, order(blocked))
                assert passes(via, server, to=blocked_end(blocked))
            assert router.run("nft", "list", "ruleset") == before


def blocked_end(blocked: str) -> str:
    """Where the client knocks: the blocked server, or the server when the client is blocked."""
    return "10.92.2.2" if blocked == "10.92.1.2" else blocked


def passes(client: Namespace, server: Namespace, *, to: str, port: int = 0) -> bool:
    with ExitStack() as stack:
        with server.entered():
            listener = stack.enter_context(listening(to, port))
        try:
            with client.entered():
                stack.enter_context(connected(listener))
        except OSError:
            return False
        return True


def test_tracking_forgets_the_peer_alone_whoever_stands_between(
    as_root: None, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        client, router, server = (stack.enter_context(Namespace()) for _ in range(3))
        route(client, router, server)
        stack.enter_context(router.entered())
        router.run("nft", TRACKING)
        near = [
            stack.enter_context(both_ends(client, server, to)) for to in ("10.92.2.2", "fd92::2")
        ]
        assert len(near) == len(tracked()) == 2
        responder = blocking(tmp_path)
        for blocked, left in (("10.92.2.2", ["fd92:"]), ("fd91::2", [])):
            assert "tracking" not in block(responder, order(blocked)).facts
            assert [line for line in tracked() if "fd92:" not in line] == []
            assert len(tracked()) == len(left)
            unblock(responder, order(blocked))


TRACKING = "table inet t { chain c { type filter hook input priority 0; ct state new; }; }"


def tracked() -> list[str]:
    return Path("/proc/net/nf_conntrack").read_text().splitlines()


@contextmanager
def both_ends(
    client: Namespace, server: Namespace, to: str
) -> Iterator[tuple[socket.socket, socket.socket]]:
    with ExitStack() as stack:
        with server.entered():
            listener = stack.enter_context(listening(to))
        with client.entered():
            near = stack.enter_context(connected(listener))
        far, _ = listener.accept()
        stack.enter_context(far)
        yield near, far


def test_a_destination_rewritten_on_the_way_is_dropped_too(
    cable: Neighbours, tmp_path: Path
) -> None:
    cable.device.run(
        "nft",
        "table ip nat { chain o { type nat hook output priority -100; "
        f"ip daddr 10.97.0.99 dnat to {PEER[0]}; }}; }}",
    )
    responder = blocking(tmp_path)
    with cable.peer.entered():
        server = listening(PEER[0])
    with server:
        ends = ("10.97.0.99", server.getsockname()[1])
        socket.create_connection(ends, timeout=5).close()
        block(responder, order(PEER[0]))
        with pytest.raises(OSError):  # noqa: PT011 - timed out or not permitted, by kernel
            socket.create_connection(ends, timeout=0.25)
    unblock(responder, order(PEER[0]))


NEVER = {
    "no address": "www.example.org",
    "an address with a zone": "fe80::1%eth0",
    "this network": "0.0.0.0",
    "loopback": "127.0.0.5",
    "IPv6 loopback": "::1",
    "loopback in IPv6": "::ffff:127.0.0.1",
    "multicast": "224.0.0.251",
    "IPv6 multicast": "ff02::1",
    "broadcast": "255.255.255.255",
    "unspecified": "::",
    "our own": DEVICE[0],
    "our own IPv6": DEVICE[1],
    "our own in IPv6": f"::ffff:{DEVICE[0]}",
}


@pytest.mark.parametrize("case", NEVER)
def test_what_is_no_other_host_is_refused(cable: Neighbours, tmp_path: Path, case: str) -> None:
    responder = blocking(tmp_path)
    with pytest.raises(ResponseError):
        responder.plan(order(NEVER[case]))
    outcome = responder.act(order(NEVER[case]), {"address": NEVER[case]})
    assert outcome.status is ResponseStatus.REFUSED
    assert cable.ruleset() == ""


def test_an_address_that_became_our_own_since_the_plan_is_refused(
    cable: Neighbours, tmp_path: Path
) -> None:
    responder = blocking(tmp_path)
    given = order("10.97.0.7")
    record = responder.plan(given)
    cable.device.run("ip", "address", "add", "10.97.0.7/24", "dev", "eth0")
    assert responder.act(given, record).status is ResponseStatus.REFUSED


def test_the_kernel_ends_it_by_itself_when_nobody_does(
    cable: Neighbours, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_held_table, "SLACK_S", 0.2)
    responder = blocking(tmp_path)
    block(responder, order(PEER[0], lasts_s=0.2))
    assert not cable.reaches(PEER[0])
    with cable.peer.entered():
        server = listening(PEER[0])
    with server, socket.socket() as client:
        client.settimeout(20)
        # The kernel repeats the first packet until the time is over.
        client.connect(server.getsockname())
    assert not responder.holds(order(PEER[0]), {"address": PEER[0]})
    unblock(responder, order(PEER[0]))


def test_an_order_without_end_has_no_time_in_the_kernel(cable: Neighbours, tmp_path: Path) -> None:
    responder = blocking(tmp_path)
    block(responder, order(PEER[0], lasts_s=0.0))
    assert "expires" not in cable.ruleset()
    block(responder, order(PEER[1], 2))
    assert "timeout 15m" in cable.ruleset()
    unblock(responder, order(PEER[0]))
    assert cable.reaches(PEER[0])
    assert not cable.reaches(PEER[1])
    unblock(responder, order(PEER[1], 2))
    assert cable.ruleset() == ""


def test_whoever_asks_whether_it_holds_renews_what_is_nearly_over(
    cable: Neighbours, tmp_path: Path
) -> None:
    now_s = 0.0
    responder = blocking(tmp_path)
    responder._table = HeldTable(TABLE, tmp_path, clock=lambda: now_s)
    given, record = order(PEER[0], lasts_s=60.0), {"address": PEER[0]}
    block(responder, given)
    assert "timeout 6m " in cable.ruleset()
    now_s = 30.0
    assert responder.holds(given, record)
    now_s = 350.0
    # Nobody asked for so long that it could have ended: it gets its whole time again.
    assert responder.holds(given, record)
    now_s = 400.0
    block(responder, order(PEER[1], 2, lasts_s=1.0))
    assert "timeout 5m1s " in cable.ruleset()
    assert responder._table._timeout_s(("peers4", b"\x0a\x61\0\2")) == 310.0
    for one in (given, order(PEER[1], 2)):
        unblock(responder, one)


def test_flushing_the_ruleset_leaves_it_in_force(cable: Neighbours, tmp_path: Path) -> None:
    responder = blocking(tmp_path)
    block(responder, order(PEER[0]))
    cable.device.run("nft", "flush ruleset")
    assert responder.holds(order(PEER[0]), {"address": PEER[0]})
    assert not cable.reaches(PEER[0])
    unblock(responder, order(PEER[0]))


CHANGES = {
    "flushed ruleset": "flush ruleset",
    "flushed rules": f"flush table inet {NAME}",
    "flushed set": f"flush set inet {NAME} peers4",
    "deleted": f"delete table inet {NAME}",
    "switched off": f"add table inet {NAME} {{ flags dormant; }}",
    "exempted": f"insert rule inet {NAME} arriving accept; insert rule inet {NAME} leaving accept",
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_somebody_changed_is_seen_and_put_back(
    cable: Neighbours, tmp_path: Path, no_owner: None, change: str
) -> None:
    responder = blocking(tmp_path)
    given, record = order(PEER[0]), {"address": PEER[0]}
    block(responder, given)
    block(responder, order(PEER[1], 2))
    assert responder.holds(given, record)
    cable.device.run("nft", CHANGES[change])
    assert not responder.holds(given, record)
    assert cable.reaches(PEER[0])
    assert responder.act(given, record).status is DONE
    assert responder.holds(given, record)
    assert not cable.reaches(PEER[0])
    if change != "flushed set":
        assert not cable.reaches(PEER[1])
    for one in (given, order(PEER[1], 2)):
        unblock(responder, one)
    assert cable.ruleset() == ""
    assert list(tmp_path.iterdir()) == []


def test_a_table_taken_from_its_owner_is_seen_and_put_back(
    cable: Neighbours, tmp_path: Path
) -> None:
    responder = blocking(tmp_path)
    block(responder, order(PEER[0]))
    intruder.delete_table(os.getpid(), NAME)
    assert not responder.holds(order(PEER[0]), {"address": PEER[0]})
    block(responder, order(PEER[0]))
    assert not cable.reaches(PEER[0])
    unblock(responder, order(PEER[0]))


SLEEPER = """
import sys
from pathlib import Path
from tests.system import test_block_peer as test
from vedette.kernel.own_table import OwnTable

create = OwnTable._create

def refuse_owner(self, elements, *, is_owned):
    if is_owned:
        raise OSError(22, "Invalid argument")
    create(self, elements, is_owned=False)

if sys.argv[2] == "old kernel":
    OwnTable._create = refuse_owner
responder = test.blocking(Path(sys.argv[1]))
test.block(responder, test.order(test.PEER[0]))
print("blocked", flush=True)
sys.stdin.read()
"""


@contextmanager
def sleeping(run_dir: Path, age: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process that blocks the peer and then waits for its end."""
    with subprocess.Popen(
        [sys.executable, "-c", SLEEPER, str(run_dir), age],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": ":".join(sys.path)},
    ) as sleeper:
        assert sleeper.stdout is not None
        assert sleeper.stdout.readline() == b"blocked\n"
        yield sleeper


@pytest.mark.parametrize("end", ["leave", "undo", "act"])
@pytest.mark.parametrize("age", ["new kernel", "old kernel"])
def test_after_sigkill_the_next_start_finds_nothing_in_its_way(
    cable: Neighbours, tmp_path: Path, age: str, end: str
) -> None:
    with sleeping(tmp_path, age) as sleeper:
        assert not cable.reaches(PEER[0])
        sleeper.send_signal(signal.SIGKILL)
    assert (NAME in cable.ruleset()) is (age == "old kernel")
    started = blocking(tmp_path)
    given, record = order(PEER[0]), {"address": PEER[0]}
    assert not started.holds(given, record)
    if end == "act":
        block(started, given)
        assert not cable.reaches(PEER[0])
    if end == "leave":
        started.leave(given, record)
    else:
        unblock(started, given)
    assert cable.ruleset() == ""
    assert cable.reaches(PEER[0])
    assert list(tmp_path.iterdir()) == []


def test_restore_takes_a_killed_agents_block_out_of_the_kernel_and_keeps_the_order(
    cable: Neighbours, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    site = Site(tmp_path)
    request.addfinalizer(lambda: shutil.rmtree(site.run, ignore_errors=True))
    config = load(site.config)
    run_dir = site.run / "responders" / "block_peer"
    store = response_store(config)
    given, record = order(PEER[0]), {"address": PEER[0]}
    assert store.save(KeptResponse(given, record, "b" * 32, 600.0, 600.0)) == ""
    with sleeping(run_dir, "old kernel") as sleeper:
        assert NAME in cable.ruleset()
        sleeper.send_signal(signal.SIGKILL)
    assert NAME in cable.ruleset()
    argv = (sys.executable, "-m", "vedette.cli", "restore", "--config", str(site.config))
    for _ in range(2):
        cable.device.run(*argv)
        assert cable.ruleset() == ""
    assert [kept.order for kept in store.load().kept] == [given]


def test_a_table_of_another_owner_is_left_alone_and_told(cable: Neighbours, tmp_path: Path) -> None:
    first, second = blocking(tmp_path), blocking(tmp_path)
    block(first, order(PEER[0]))
    given = order(PEER[1], 2)
    outcome = second.act(given, second.plan(given))
    assert outcome.status is ResponseStatus.FAILED
    assert "any other process that owns the table" in outcome.detail
    assert first.holds(order(PEER[0]), {"address": PEER[0]})
    unblock(first, order(PEER[0]))


def test_it_is_available_here_and_asking_changes_nothing(cable: Neighbours, tmp_path: Path) -> None:
    assert blocking(tmp_path).unavailable() == ""
    assert cable.ruleset() == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.EPROTONOSUPPORT, "needs a kernel with CONFIG_NF_TABLES, CONFIG_NF_TABLES_INET"),
        (errno.EOPNOTSUPP, "needs a kernel with CONFIG_NF_TABLES, CONFIG_NF_TABLES_INET"),
        (errno.EPERM, "CAP_NET_ADMIN"),
        (errno.ENOMEM, "the kernel refuses nft table inet vedette_block: Cannot allocate memory"),
    ],
)
def test_a_kernel_without_nftables_is_told_with_what_would_lift_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, words: str
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(NetlinkTalk, "batch", refuse)
    responder = blocking(tmp_path)
    assert words in responder.unavailable()
    given = order("192.0.2.7")
    outcome = responder.act(given, responder.plan(given))
    assert outcome.status is ResponseStatus.FAILED
    assert words in outcome.detail
    assert responder.undo(given, {"address": "192.0.2.7"}).status is UNDONE
    assert list(tmp_path.iterdir()) == []


def test_a_kernel_that_cannot_forget_by_address_is_told_and_the_block_holds(
    cable: Neighbours, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: NetlinkTalk, request: Callable[[int], bytes]) -> None:
        kind = next(netlink.messages(request(1))).type
        if kind >> 8 == nfnetlink.NFNL_SUBSYS_CTNETLINK:
            raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    monkeypatch.setattr(NetlinkTalk, "order", refuse)
    cable.device.run("nft", TRACKING)
    responder = blocking(tmp_path)
    with cable.connection():
        outcome = block(responder, order(PEER[0]))
    assert outcome.facts["tracking"] == "tracked connections are kept: Operation not supported"
    assert not cable.reaches(PEER[0])
    unblock(responder, order(PEER[0]))


def test_connections_that_the_kernel_cannot_cut_are_told(
    cable: Neighbours, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    monkeypatch.setattr(NetlinkTalk, "order", refuse)
    responder = blocking(tmp_path)
    given = order(PEER[0])
    with cable.connection() as (ours, _):
        outcome = responder.act(given, responder.plan(given))
        assert outcome.status is ResponseStatus.PARTLY
        assert "CONFIG_INET_DIAG_DESTROY" in outcome.detail
        assert ours.getpeername()[0] == PEER[0]
    assert not cable.reaches(PEER[0])
    unblock(responder, given)
