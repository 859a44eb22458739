from __future__ import annotations

from vedette.codec import netlink, nf_tables


def test_the_batch_makes_table_chain_and_rule_between_its_ends() -> None:
    batch, acknowledgements = nf_tables.table_request(is_owned=True, sequence=4)
    messages = list(netlink.messages(batch))
    assert [m.type for m in messages] == [16, 0xA00, 0xA03, 0xA06, 17]
    assert acknowledgements == sum(1 for m in messages if m.flags & netlink.NLM_F_ACK) == 3
    assert {m.sequence for m in messages} == {4}
    assert messages[0].payload == b"\0\0\0\x0a"


def test_only_the_owned_table_carries_the_owner_flag() -> None:
    for is_owned, flags in ((True, b"\0\0\0\2"), (False, bytes(4))):
        batch, _ = nf_tables.table_request(is_owned=is_owned, sequence=1)
        table = list(netlink.messages(batch))[1]
        assert netlink.attributes(table.payload[4:]) == {1: b"vedette\0", 2: flags}


def test_removing_names_the_table_only() -> None:
    batch, acknowledgements = nf_tables.delete_request(sequence=1)
    _, delete, _ = netlink.messages(batch)
    assert acknowledgements == 1
    assert delete.type == 0xA02
    assert netlink.attributes(delete.payload[4:]) == {1: b"vedette\0"}
