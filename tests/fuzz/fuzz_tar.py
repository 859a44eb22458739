"""Fuzz target: headers and extended headers of tar archives."""

from __future__ import annotations

import tarfile

from vedette.codec import tar
from vedette.errors import ParseError

SEEDS = (
    tarfile.TarInfo("metadata/root.json").tobuf(tarfile.USTAR_FORMAT),
    tarfile.TarInfo("targets/" + "ä" * 100).tobuf(tarfile.PAX_FORMAT),
    b"19 path=targets/abc\n12 size=1234\n",
)


def target(data: bytes) -> None:
    """Any bytes, with a right checksum or not, give a header, records, or a ParseError."""
    block = data[:512].ljust(512, b"\0")
    total = sum(block[:148] + b" " * 8 + block[156:])
    for candidate in (block, block[:148] + b"%06o\0 " % total + block[156:]):
        try:
            found = tar.header(candidate)
        except ParseError:
            continue
        assert found is None or (0 <= found.size < 1 << 64 and len(found.name) <= 1024)
    try:
        for name, value in tar.extended(data).items():
            assert name in {"path", "size"}
            assert len(value) <= tar.MAX_NAME_BYTES
        tar.long_name(data)
    except ParseError:
        pass
