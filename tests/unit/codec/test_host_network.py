"""Files that name what a network stands on."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from vedette.codec import host_network
from vedette.codec.address_sets import address_number

ROUTE = (
    b"Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
    b"eth0\t00000000\t0102A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
    b"eth0\t0002A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n"
)
ROUTE_V6 = (
    b"00000000000000000000000000000000 00 00000000000000000000000000000000 00 "
    b"fe800000000000000000000000000001 00000400 00000001 00000000 00450003 eth0\n"
    b"fe800000000000000000000000000000 40 00000000000000000000000000000000 00 "
    b"00000000000000000000000000000000 00000100 00000001 00000000 00000001 eth0\n"
)
SERVERS = (
    b"# nameserver 10.0.0.9\nnameserver 192.168.2.1\n nameserver FE80::1%eth0\nnameserver nobody\n"
    b"SERVER_ADDRESS=10.0.0.3\n  option dhcp-server-identifier 10.0.0.4;\nnameserver 1.2.3.4.5\n"
)


def test_gateways_are_found_in_both_families() -> None:
    assert [*host_network.gateways(ROUTE, "little")] == ["192.168.2.1"]
    assert [*host_network.gateways_v6(ROUTE_V6)] == ["fe80::1"]


def test_a_big_machine_writes_them_the_other_way() -> None:
    assert [*host_network.gateways(ROUTE, "big")] == ["1.2.168.192"]


def test_servers_of_names_and_leases_are_found() -> None:
    assert [*host_network.servers(SERVERS)] == ["192.168.2.1", "fe80::1", "10.0.0.3", "10.0.0.4"]


@given(st.binary(max_size=200))
def test_any_bytes_give_addresses(data: bytes) -> None:
    for found in (
        *host_network.gateways(ROUTE + data),
        *host_network.gateways_v6(data + ROUTE_V6),
        *host_network.servers(data),
    ):
        assert address_number(found) is not None
