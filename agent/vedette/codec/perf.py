"""What perf writes of a tracepoint (perf_event_open(2)), and where its fields stand in it.

Rule 1: any bytes give samples or a ParseError; records that the kernel had no room for are counted.
Rule 2: where a field stands in a sample is read from the kernel's own description of the
tracepoint: it differs by version and by the size of a word.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from struct import Struct
from typing import Final, NamedTuple

from vedette.errors import ParseError

SAMPLE_TID: Final = 1 << 1
SAMPLE_TIME: Final = 1 << 2
SAMPLE_RAW: Final = 1 << 10
SAMPLE_TYPE: Final = SAMPLE_TID | SAMPLE_TIME | SAMPLE_RAW
"""What samples must hold to be read here."""

MAX_FORMAT_CHARS: Final = 65_536

_RECORD_LOST: Final = 2  # PERF_RECORD_LOST
_RECORD_SAMPLE: Final = 9  # PERF_RECORD_SAMPLE
_HEADER: Final = Struct("=IHH")  # type, misc, size of all
_SAMPLE: Final = Struct("=IIQI")  # pid, tid, time, bytes of the raw data
_LOST: Final = Struct("=QQ")  # id, how many
_INTEGERS: Final = {1: "B", 2: "H", 4: "I", 8: "Q"}  # struct's codes by size
_FIELD: Final = re.compile(
    r"^\tfield:[^;]*?(\w+)(?:\[[^];]*\])?;\toffset:(\d{1,5});\tsize:(\d{1,5});", re.MULTILINE
)


class Sample(NamedTuple):
    """One hit of a tracepoint.

    Attributes:
        pid: of the process that ran, in the reader's pid namespace; 0 for none.
        at_ns: on the clock of the scheduler, comparable between samples only.
        raw: the tracepoint's own record.
    """

    pid: int
    at_ns: int
    raw: bytes


class Field(NamedTuple):
    """Where a field stands in the raw data, in bytes."""

    offset: int
    size: int


def parse_format(text: str) -> Mapping[str, Field]:
    """The fields of a tracepoint, by name.

    Args:
        text: of its file `format` in tracefs.

    Raises:
        ParseError: it is too long, or describes no field.
    """
    if len(text) > MAX_FORMAT_CHARS:
        raise ParseError(f"expected a format of at most {MAX_FORMAT_CHARS} characters")
    found = {name: Field(int(offset), int(size)) for name, offset, size in _FIELD.findall(text)}
    if not found:
        raise ParseError(f"expected the fields of a tracepoint, got {text[:60]!r}")
    return found


def parse_records(data: bytes) -> tuple[list[Sample], int]:
    """The samples of whole records, and how many others the kernel says were lost.

    Raises:
        ParseError: a length is wrong.
    """
    samples: list[Sample] = []
    lost, offset = 0, 0
    while offset < len(data):
        kind, size = _header(data, offset)
        body = offset + _HEADER.size
        if kind == _RECORD_SAMPLE:
            samples.append(_sample(data, body, offset + size))
        elif kind == _RECORD_LOST and size >= _HEADER.size + _LOST.size:
            lost += _LOST.unpack_from(data, body)[1]
        offset += size
    return samples, lost


def struct_of(fields: Mapping[str, Field], kinds: Mapping[str, str]) -> tuple[Struct, list[str]]:
    """A struct that reads some fields of a tracepoint at once, and their names in its order.

    Args:
        fields: of the tracepoint.
        kinds: of each field wanted, by its name: for integers "signed" or "unsigned" (the size is
            the kernel's), else "bytes".

    Raises:
        ParseError: a field is missing, overlaps another, or has a size that no integer has.
    """
    missing = [name for name in kinds if name not in fields]
    if missing:
        raise ParseError(f"expected a tracepoint with the fields {', '.join(kinds)}, got none of "
                         f"{', '.join(missing)}")  # fmt: skip
    names = sorted(kinds, key=lambda name: fields[name].offset)
    return Struct("=" + "".join(_layout(names, fields, kinds))), names


def _layout(
    names: Iterable[str], fields: Mapping[str, Field], kinds: Mapping[str, str]
) -> Iterable[str]:
    at = 0
    for name in names:
        offset, size = fields[name]
        code = f"{size}s" if kinds[name] == "bytes" else _INTEGERS.get(size, "")
        if offset < at or not code:
            raise ParseError(f"expected a field {name} of its own, got {size} bytes", offset)
        yield f"{offset - at}x"
        yield code.lower() if kinds[name] == "signed" else code
        at = offset + size


def _header(data: bytes, offset: int) -> tuple[int, int]:
    left = len(data) - offset
    if left < _HEADER.size:
        raise ParseError(f"expected a record's header of {_HEADER.size} bytes, got {left}", offset)
    kind, _, size = _HEADER.unpack_from(data, offset)
    if not _HEADER.size <= size <= left:
        raise ParseError(f"expected a record of {_HEADER.size} to {left} bytes, got {size}", offset)
    return kind, size


def _sample(data: bytes, offset: int, end: int) -> Sample:
    start = offset + _SAMPLE.size
    if start > end:
        raise ParseError(f"expected a sample of {_SAMPLE.size} bytes, got {end - offset}", offset)
    pid, _, at_ns, size = _SAMPLE.unpack_from(data, offset)
    if size > end - start:
        raise ParseError(f"expected at most {end - start} bytes of raw data, got {size}", offset)
    # A process of another pid namespace has the number -1.
    return Sample(pid if pid < 1 << 31 else 0, at_ns, data[start : start + size])
