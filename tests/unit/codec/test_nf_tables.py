from __future__ import annotations

import contextlib

from hypothesis import given
from hypothesis import strategies as st

from vedette.codec import netlink, nf_tables
from vedette.codec.nf_tables import Chain, Element, Set, Table
from vedette.errors import ParseError

TABLE = Table(
    "ours",
    (Chain("in", nf_tables.LOCAL_IN, -310, (b"rule", b"next")), Chain("out", 3, 0, ())),
    (Set("peers", (nf_tables.KEY_IPV4,), 4, 16),),
)


def test_a_table_is_made_with_sets_and_chains_before_the_rules_that_name_them() -> None:
    made = nf_tables.create(TABLE, is_owned=True)
    assert [request.kind for request in made] == [0, 9, 3, 3, 6, 6]
    assert made[0].flags == netlink.NLM_F_CREATE | netlink.NLM_F_EXCL
    assert netlink.attributes(made[4].attributes) == {1: b"ours\0", 2: b"in\0", 4: b"rule"}


def test_only_the_owned_table_carries_the_owner_flag() -> None:
    for is_owned, flags in ((True, b"\0\0\0\2"), (False, bytes(4))):
        table = nf_tables.create(TABLE, is_owned=is_owned)[0]
        assert netlink.attributes(table.attributes) == {1: b"ours\0", 2: flags}


def test_a_chain_accepts_what_no_rule_decides_and_may_come_before_conntrack() -> None:
    chain = netlink.attributes(nf_tables.create(TABLE, is_owned=False)[2].attributes)
    assert chain[5] == b"\0\0\0\1"
    hook = netlink.attributes(chain[4])
    assert (int.from_bytes(hook[1]), int.from_bytes(hook[2], signed=True)) == (1, -310)


def test_a_key_of_several_parts_has_the_number_that_nft_lists() -> None:
    parts = (nf_tables.KEY_IPV4, nf_tables.KEY_PORT)
    table = Table("ours", (), (Set("open", parts, 8, 16),))
    made = netlink.attributes(nf_tables.create(table, is_owned=False)[1].attributes)
    assert int.from_bytes(made[4]) == 7 << 6 | 13
    assert int.from_bytes(made[5]) == 8


def test_an_element_carries_its_time_in_milliseconds() -> None:
    for timeout_s, expected in ((1.5, 1500), (0.0001, 1)):
        (request,) = nf_tables.add("ours", [Element("peers", b"\1\2\3\4", timeout_s)])
        element = element_of(request.attributes)
        assert netlink.attributes(element[1]) == {1: b"\1\2\3\4"}
        assert int.from_bytes(element[4]) == expected


def test_an_element_for_ever_has_no_time_and_one_is_removed_by_its_key_alone() -> None:
    for timeout_s, requests in ((0.0, nf_tables.add), (9.0, nf_tables.remove)):
        (request,) = requests("ours", [Element("peers", b"\1\2\3\4", timeout_s)])
        assert list(element_of(request.attributes)) == [1]


def element_of(attributes: bytes) -> dict[int, bytes]:
    listed = netlink.attributes(attributes)
    assert (listed[1], listed[2]) == (b"ours\0", b"peers\0")
    return netlink.attributes(netlink.attributes(listed[3])[1])


def test_removing_names_the_table_only() -> None:
    (request,) = nf_tables.delete("ours")
    assert request.kind == 2
    assert netlink.attributes(request.attributes) == {1: b"ours\0"}


def test_an_answer_belongs_to_the_table_it_names() -> None:
    answer = bytes(4) + netlink.attribute(1, b"ours\0")
    assert nf_tables.belongs(answer, "ours")
    assert not nf_tables.belongs(answer, "our")
    assert not nf_tables.belongs(bytes(4), "ours")


@given(st.binary(max_size=60))
def test_any_answer_belongs_or_not_or_is_a_parse_error(data: bytes) -> None:
    with contextlib.suppress(ParseError):
        nf_tables.belongs(data, "ours")
