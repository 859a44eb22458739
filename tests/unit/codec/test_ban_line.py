"""How a ban is asked for: lines that come back, and nothing else is understood."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette.codec.ban_line import (
    Held,
    Pardon,
    Request,
    encode_answer,
    encode_request,
    parse_answer,
    parse_request,
)
from vedette.errors import ParseError
from vedette.model.ban import Ban

ID = "00f1" * 4
DIGEST = "ab" * 32
REQUESTS: list[Request] = [
    Ban(ID, DIGEST, 2**62, "/tmp/a b\n\udcff"),
    Ban(ID, DIGEST, 0, ""),
    Ban(ID, "", 0, "/x"),
    Pardon(ID),
    Held(ID),
]


@pytest.mark.parametrize("request_", REQUESTS)
def test_every_request_comes_back(request_: Request) -> None:
    line = encode_request(request_)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert parse_request(line) == request_


@pytest.mark.parametrize(
    "wrong",
    {
        "nothing": b"",
        "another verb": b"allow " + ID.encode(),
        "an id too short": b"pardon 00",
        "a tail": f"held {ID} x".encode(),
        "two lines": f"held {ID}\nheld {ID}\n".encode(),
        "neither digest nor path": f"ban {ID} 0 - -\n".encode(),
        "a relative path": f"ban {ID} 0 - {b'x'.hex()}\n".encode(),
        "a path with NUL": f"ban {ID} 0 - {b'/x'.hex()}00\n".encode(),
        "half a digit": f"ban {ID} 0 - 2f7\n".encode(),
        "a path beyond PATH_MAX": f"ban {ID} 0 - {'2f' * 4097}\n".encode(),
        "a negative size": f"ban {ID} -1 {DIGEST} -\n".encode(),
        "a size beyond any file": f"ban {ID} {2**63} {DIGEST} -\n".encode(),
        "a digest in capitals": f"ban {ID} 0 {DIGEST.upper()} -\n".encode(),
    }.values(),
)
def test_what_is_no_request_is_refused(wrong: bytes) -> None:
    with pytest.raises(ParseError, match="expected"):
        parse_request(wrong)


@given(st.binary(max_size=200))
def test_any_bytes_give_a_request_or_an_error(line: bytes) -> None:
    try:
        found = parse_request(line)
    except ParseError:
        return
    assert parse_request(encode_request(found)) == found


@given(st.text(max_size=50))
def test_a_reason_stays_one_line_and_is_never_ok(reason: str) -> None:
    line = encode_answer(reason)
    assert line.count(b"\n") == 1
    assert parse_answer(line) == "" if not reason.split() else parse_answer(line)


@pytest.mark.parametrize("wrong", [b"", b"no", b"no \n", b"ok?\n", b"okay"])
def test_what_is_no_answer_is_refused(wrong: bytes) -> None:
    with pytest.raises(ParseError, match="expected ok"):
        parse_answer(wrong)
