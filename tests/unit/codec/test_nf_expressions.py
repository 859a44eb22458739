from __future__ import annotations

import sys

from vedette.codec import netlink
from vedette.codec import nf_expressions as nft


def parts(expressions: bytes) -> list[tuple[str, dict[int, bytes]]]:
    """(name, attributes) of each expression."""
    found = []
    for kind, element in netlink.attribute_list(expressions):
        assert kind == 1
        named = netlink.attributes(element)
        found.append((named[1].rstrip(b"\0").decode(), netlink.attributes(named[2])))
    return found


def test_a_rule_is_its_expressions_in_their_order() -> None:
    rule = nft.meta(nft.META_FAMILY) + nft.compare(b"\x02") + nft.verdict(nft.DROP)
    (meta, loaded), (cmp, compared), (immediate, decided) = parts(rule)
    assert (meta, cmp, immediate) == ("meta", "cmp", "immediate")
    assert loaded == {1: b"\0\0\0\1", 2: b"\0\0\0\x0f"}
    assert compared[2] == bytes(4)
    assert netlink.attributes(compared[3]) == {1: b"\x02"}
    assert decided[1] == bytes(4)
    assert netlink.attributes(netlink.attributes(decided[2])[2]) == {1: bytes(4)}


def test_a_load_names_where_it_reads_and_what_it_fills() -> None:
    ((name, loaded),) = parts(nft.payload(nft.TRANSPORT_HEADER, 2, 2, nft.REGISTERS_32 + 1))
    assert name == "payload"
    assert [int.from_bytes(loaded[number]) for number in (1, 2, 3, 4)] == [9, 2, 2, 2]


def test_a_mask_keeps_its_bits_and_changes_none() -> None:
    ((name, masked),) = parts(nft.mask(b"\xff\xf0"))
    assert name == "bitwise"
    assert int.from_bytes(masked[3]) == 2
    assert netlink.attributes(masked[4]) == {1: b"\xff\xf0"}
    assert netlink.attributes(masked[5]) == {1: b"\0\0"}


def test_a_set_is_named_and_its_time_is_in_milliseconds() -> None:
    ((name, looked),) = parts(nft.is_in("peers4", nft.REGISTERS_32))
    assert (name, looked) == ("lookup", {1: b"peers4\0", 2: b"\0\0\0\x08"})
    ((name, kept),) = parts(nft.remember("open4", 600, nft.REGISTERS_32))
    assert name == "dynset"
    assert kept == {1: b"open4\0", 3: b"\0\0\0\1", 4: b"\0\0\0\x08", 6: (600_000).to_bytes(8)}


def test_what_meta_loads_is_compared_in_host_order() -> None:
    little = sys.byteorder == "little"
    assert nft.host_u16(772) == (b"\x04\x03" if little else b"\x03\x04")
    assert nft.host_u32(1) == (b"\1\0\0\0" if little else b"\0\0\0\1")


def test_connection_state_and_counters_are_as_nft_compiles_them() -> None:
    (state, loaded), (counter, zero) = parts(nft.connection_state() + nft.counter())
    assert (state, loaded) == ("ct", {1: b"\0\0\0\1", 2: bytes(4)})
    assert (counter, zero) == ("counter", {1: bytes(8), 2: bytes(8)})
