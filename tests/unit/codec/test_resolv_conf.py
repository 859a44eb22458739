from __future__ import annotations

import ipaddress

from hypothesis import given
from hypothesis import strategies as st

from vedette.codec.resolv_conf import MAX_SERVERS, name_servers

FILE = """\
# made by a client
search example.org
nameserver 192.0.2.53
nameserver fe80::1%eth0
;nameserver 192.0.2.54
nameserver
nameserver a.example
  nameserver\t127.0.0.53  # trailing words are passed over
nameserver 192.0.2.53
options edns0
"""


def test_servers_come_in_their_order_each_once() -> None:
    expected = ("192.0.2.53", "fe80::1", "127.0.0.53")
    assert name_servers(FILE) == tuple(ipaddress.ip_address(one).packed for one in expected)


def test_a_file_of_thousands_opens_a_few() -> None:
    text = "".join(f"nameserver 10.0.{number // 256}.{number % 256}\n" for number in range(5000))
    assert len(name_servers(text)) == MAX_SERVERS


@given(st.text(max_size=200))
def test_any_text_gives_addresses(text: str) -> None:
    assert all(len(server) in {4, 16} for server in name_servers(f"nameserver {text}"))
