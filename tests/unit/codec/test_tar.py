"""Headers of tar archives: as two other programs write them, and odd in every field."""

from __future__ import annotations

import io
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vedette.codec import tar
from vedette.codec.tar import Header, Kind
from vedette.errors import ParseError


def block(name: str = "metadata/root.json", size: int = 5, **fields: object) -> bytes:
    info = tarfile.TarInfo(name)
    info.size = size
    for field, value in fields.items():
        setattr(info, field, value)
    return info.tobuf(tarfile.USTAR_FORMAT)


def sealed(data: bytes) -> bytes:
    """The header with a checksum that holds."""
    total = sum(data[:148] + b" " * 8 + data[156:])
    return data[:148] + b"%06o\0 " % total + data[156:]


def test_a_plain_header_is_read() -> None:
    assert tar.header(block()) == Header(Kind.FILE, "metadata/root.json", 5)
    assert tar.header(bytes(512)) is None


def test_a_name_in_two_parts_is_put_together() -> None:
    name = f"targets/{'f' * 60}/{'n' * 80}"
    found = tar.header(block(name))
    assert found is not None
    assert found.name == name


@pytest.mark.parametrize("size", [0, 1, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**33 - 1])
def test_sizes_around_the_edges(size: int) -> None:
    found = tar.header(block(size=size))
    assert found is not None
    assert found.size == size


@pytest.mark.parametrize("size", [2**33, 2**40, 2**62 - 1])
def test_what_is_too_large_for_octal_digits_is_read_as_gnu_tar_writes_it(size: int) -> None:
    field = bytes([0x80]) + size.to_bytes(11, "big")
    found = tar.header(sealed(block()[:124] + field + block()[136:]))
    assert found is not None
    assert found.size == size


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (tarfile.DIRTYPE, Kind.FOLDER), (tarfile.SYMTYPE, Kind.OTHER),
        (tarfile.LNKTYPE, Kind.OTHER), (tarfile.CHRTYPE, Kind.OTHER),
        (tarfile.BLKTYPE, Kind.OTHER), (tarfile.FIFOTYPE, Kind.OTHER),
        (tarfile.GNUTYPE_SPARSE, Kind.OTHER), (tarfile.AREGTYPE, Kind.FILE),
        (tarfile.GNUTYPE_LONGNAME, Kind.LONG_NAME), (tarfile.XHDTYPE, Kind.EXTENDED),
        (tarfile.XGLTYPE, Kind.GLOBAL),
    ],
)  # fmt: skip
def test_kinds(kind: bytes, expected: Kind) -> None:
    found = tar.header(sealed(block()[:156] + kind + block()[157:]))
    assert found is not None
    assert found.kind is expected


ODD = {
    "another checksum": block()[:148] + b"000000\0 " + block()[156:],
    "a size that is negative": sealed(block()[:124] + b"\xff" * 12 + block()[136:]),
    "a size without end": sealed(block()[:124] + b"\x80" + b"\xff" * 11 + block()[136:]),
    "a size of letters": sealed(block()[:124] + b"0000000000x\0" + block()[136:]),
    "an empty size": sealed(block()[:124] + bytes(12) + block()[136:]),
    "a name that is no text": sealed(b"\xff\xfe" + block()[2:]),
    "a short block": block()[:511],
    "a long block": block() + b"\0",
}


@pytest.mark.parametrize("what", ODD)
def test_odd_headers_are_refused(what: str) -> None:
    with pytest.raises(ParseError, match="expected"):
        tar.header(ODD[what])


def test_extended_headers_as_another_program_writes_them() -> None:
    info = tarfile.TarInfo("targets/" + "ä" * 200)
    info.size = 2**34
    data = info.tobuf(tarfile.PAX_FORMAT)
    found = tar.header(data[:512])
    assert found is not None
    assert found.kind is Kind.EXTENDED
    fields = tar.extended(data[512 : 512 + found.size])
    assert fields == {"path": info.name, "size": str(2**34)}
    assert tar.size_of(fields["size"]) == 2**34


@pytest.mark.parametrize(
    "data",
    [
        b"x", b"11 path=ab", b"10 path=ab\n\0", b"5 path=ab\n", b"9 path=\n", b"0 path=a\n",
        b"999999 path=a\n", b"10 path=a\xff\n", b"1030 path=" + b"n" * 1025 + b"\n",
    ],
)  # fmt: skip
def test_odd_extended_headers_are_refused(data: bytes) -> None:
    with pytest.raises(ParseError, match="expected"):
        tar.extended(data)


@pytest.mark.parametrize("text", ["", "-1", "1e9", "0x10", "9" * 19, "1" * 20, "٣"])
def test_odd_sizes_are_refused(text: str) -> None:
    with pytest.raises(ParseError, match="expected a size"):
        tar.size_of(text)


def test_a_name_of_4096_bytes_is_refused() -> None:
    with pytest.raises(ParseError, match="at most 1024 bytes of a name, got 4096"):
        tar.long_name(b"n" * 4096 + b"\0")
    assert tar.long_name(b"name\0rest") == "name"


@given(st.binary(min_size=512, max_size=512))
def test_any_block_gives_a_header_or_a_parse_error(data: bytes) -> None:
    for candidate in (data, sealed(data)):
        try:
            found = tar.header(candidate)
        except ParseError:
            continue
        assert found is None or found.size >= 0


@given(st.binary(max_size=200))
def test_any_extension_gives_records_or_a_parse_error(data: bytes) -> None:
    for read in (tar.extended, tar.long_name):
        try:
            read(data)
        except ParseError:
            continue


def test_a_whole_archive_of_another_program_is_read_header_by_header() -> None:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.GNU_FORMAT) as archive:
        info = tarfile.TarInfo("targets/" + "n" * 300)
        info.size = 3
        archive.addfile(info, io.BytesIO(b"abc"))
    data = made.getvalue()
    first = tar.header(data[:512])
    assert first is not None
    assert first.kind is Kind.LONG_NAME
    assert tar.long_name(data[512 : 512 + first.size]) == info.name
