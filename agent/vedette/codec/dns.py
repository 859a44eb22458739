r"""DNS messages (RFC 1035) as far as names and addresses need them.

Rule 1: any bytes give a DnsMessage or a ParseError; compression pointers only lead backwards, so
every name ends, and no more than MAX_RECORDS records are read.
Rule 2: names are lower case without the final dot (RFC 4343); a dot or backslash inside a label is
escaped with a backslash, so that one strange label never reads as a name with another parent.
Rule 3: only the header, the single question and the answer section are read.
"""

from __future__ import annotations

from struct import Struct
from struct import error as StructError  # noqa: N812
from typing import NamedTuple

from vedette.codec.addresses import address_text
from vedette.errors import ParseError

TYPE_A = 1  # RFC 1035 3.2.2
TYPE_CNAME = 5
TYPE_AAAA = 28  # RFC 3596 2.1

_CLASS_IN = 1
_FLAG_RESPONSE = 0x8000  # RFC 1035 4.1.1
_OPCODE_MASK = 0x7800
_HEADER = Struct(">HHHHHH")
_QUESTION_TAIL = Struct(">HH")
_RECORD = Struct(">HHIH")  # type, class, time to live, data length
_POINTER = 0xC0  # RFC 1035 4.1.4: two top bits set
_RESERVED_LABEL = 0x40
_MAX_NAME_BYTES = 255  # RFC 1035 3.1
_MAX_TTL_S = 0x7FFFFFFF  # RFC 2181 8
_ASKED_NAME = 0xC00C  # a pointer to offset 12, which is how nearly every answer names its owner

MAX_RECORDS = 64
"""Answer records read of one message: resolvers return fewer, floods return thousands."""


class DnsRecord(NamedTuple):
    """One answer record; `value` is an address in text form, or the target of a CNAME."""

    owner: str
    record_type: int
    ttl_s: int
    value: str


class DnsMessage(NamedTuple):
    """A query or an answer; `records` holds its A, AAAA and CNAME answers in their order."""

    message_id: int
    is_answer: bool
    name: str
    query_type: int
    records: tuple[DnsRecord, ...]


def parse_message(data: bytes) -> DnsMessage:
    """Read one message, without the length prefix that TCP adds (RFC 1035 4.2.2).

    Raises:
        ParseError: it is cut, malformed, not a standard query, or does not ask one question.
    """
    try:
        return _message(data)
    except (IndexError, StructError) as error:
        raise ParseError("expected more bytes, the DNS message is cut", len(data)) from error


def _message(data: bytes) -> DnsMessage:
    message_id, flags, questions, answers, _, _ = _HEADER.unpack_from(data)
    if flags & _OPCODE_MASK:
        raise ParseError(f"expected a standard query, got flags {flags:#06x}", 2)
    if questions != 1:
        raise ParseError(f"expected one question, got {questions}", 4)
    name, offset = _name(data, 12)
    query_type, _ = _QUESTION_TAIL.unpack_from(data, offset)
    is_answer = bool(flags & _FLAG_RESPONSE)
    records = _records(data, offset + 4, answers, name) if is_answer and answers else ()
    return DnsMessage(message_id, is_answer, name, query_type, records)


def _records(data: bytes, offset: int, count: int, asked: str) -> tuple[DnsRecord, ...]:
    records = []
    for _ in range(min(count, MAX_RECORDS)):
        if (data[offset] << 8 | data[offset + 1]) == _ASKED_NAME:
            owner, offset = asked, offset + 2
        else:
            owner, offset = _name(data, offset)
        record_type, record_class, ttl_s, length = _RECORD.unpack_from(data, offset)
        offset += 10
        end = offset + length
        if end > len(data):
            raise ParseError(f"expected {length} bytes of record data", offset)
        if record_class == _CLASS_IN:
            value = _value(data, offset, end, record_type)
            if value:
                # RFC 2181 8: a time to live with the top bit set counts as zero.
                ttl_s = ttl_s if ttl_s <= _MAX_TTL_S else 0
                records.append(DnsRecord(owner, record_type, ttl_s, value))
        offset = end
    return tuple(records)


def _value(data: bytes, offset: int, end: int, record_type: int) -> str:
    """The record's text; "" for types that give no address."""
    if record_type == TYPE_CNAME:
        value, after = _name(data, offset)
        if after != end:
            raise ParseError("expected the CNAME to fill its record", offset)
        return value
    if record_type == TYPE_A:
        expected = 4
    elif record_type == TYPE_AAAA:
        expected = 16
    else:
        return ""
    if end - offset != expected:
        raise ParseError(f"expected an address of {expected} bytes, got {end - offset}", offset)
    return address_text(data[offset:end])


def _name(data: bytes, offset: int) -> tuple[str, int]:
    """The name at an offset, and where what follows it begins."""
    labels: list[bytes] = []
    size = 1
    after = 0
    earliest = offset
    while length := data[offset]:
        if length >= _POINTER:
            after = after or offset + 2
            target = (length & 0x3F) << 8 | data[offset + 1]
            if target >= earliest:
                raise ParseError("expected a compression pointer to lead backwards", offset)
            earliest = offset = target
            continue
        if length >= _RESERVED_LABEL:
            raise ParseError(f"expected a label or a pointer, got {length:#04x}", offset)
        size += length + 1
        if size > _MAX_NAME_BYTES:
            raise ParseError(f"expected a name of at most {_MAX_NAME_BYTES} bytes", offset)
        labels.append(data[offset + 1 : offset + 1 + length])
        offset += length + 1
    return _text(labels), after or offset + 1


def _text(labels: list[bytes]) -> str:
    joined = b".".join(labels)
    if joined.count(b".") != len(labels) - 1 or b"\\" in joined:
        joined = b".".join(label.replace(b"\\", b"\\\\").replace(b".", b"\\.") for label in labels)
    return joined.lower().decode("utf-8", "surrogateescape")
