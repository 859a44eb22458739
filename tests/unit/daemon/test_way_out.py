"""A blocked way out is no network that is down: packets come in, and no session can be had."""

from __future__ import annotations

from pathlib import Path

from vedette.daemon.way_out import ALIVE_PACKETS, BLOCKED_S, WayOut

HEADING = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
ROUTES = (
    HEADING + "wan0\t00000000\t0101A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
    "lan0\t0001A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n"
)


class Network:
    """What a kernel would say of an interface that leads out and one that does not."""

    def __init__(self, folder: Path, routes: str = ROUTES) -> None:
        self.proc, self.sys = folder / "proc", folder / "sys"
        (self.proc / "net").mkdir(parents=True)
        (self.proc / "net/route").write_text(routes)
        self.received = {"wan0": 0, "lan0": 0}
        self.receive("wan0", 1000)
        self.receive("lan0", 1000)
        self.way = WayOut(0.0, self.proc, self.sys)

    def receive(self, name: str, packets: int) -> None:
        self.received[name] += packets
        counter = self.sys / "class/net" / name / "statistics/rx_packets"
        counter.parent.mkdir(parents=True, exist_ok=True)
        counter.write_text(f"{self.received[name]}\n")


def test_packets_without_a_session_are_told_once(tmp_path: Path) -> None:
    network = Network(tmp_path)
    network.receive("wan0", ALIVE_PACKETS)
    assert network.way.blocked(BLOCKED_S - 1, is_up=False) == ""
    told = network.way.blocked(BLOCKED_S, is_up=False)
    assert (
        told == f"no session with the broker for 180 s, while wan0 received {ALIVE_PACKETS} packets"
    )
    network.receive("wan0", 10 * ALIVE_PACKETS)
    assert network.way.blocked(3 * BLOCKED_S, is_up=False) == ""


def test_it_is_told_again_after_a_session(tmp_path: Path) -> None:
    network = Network(tmp_path)
    network.receive("wan0", ALIVE_PACKETS)
    assert network.way.blocked(BLOCKED_S, is_up=False)
    assert network.way.blocked(BLOCKED_S + 1, is_up=True) == ""
    network.receive("wan0", ALIVE_PACKETS)
    assert network.way.blocked(2 * BLOCKED_S, is_up=False) == ""
    assert network.way.blocked(2 * BLOCKED_S + 1, is_up=False)


def test_a_network_that_is_down_or_only_local_is_not_blocked(tmp_path: Path) -> None:
    network = Network(tmp_path)
    network.receive("lan0", 100 * ALIVE_PACKETS)
    network.receive("wan0", ALIVE_PACKETS - 1)
    assert network.way.blocked(BLOCKED_S, is_up=False) == ""


def test_a_route_file_that_is_missing_or_damaged_tells_nothing(tmp_path: Path) -> None:
    network = Network(tmp_path, HEADING + "wan0 00000000\n")
    network.receive("wan0", 10 * ALIVE_PACKETS)
    assert network.way.blocked(BLOCKED_S, is_up=False) == ""
    (network.proc / "net/route").unlink()
    assert network.way.blocked(3 * BLOCKED_S, is_up=False) == ""
