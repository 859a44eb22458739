"""A recorded stream of inputs: what `vedette run --record` writes and `vedette replay` reads.

Rule 1: the file is a magic line, then msgpack arrays: the settings first, then one per input.
Rule 2: a file that ends in the middle of an input (a power cut) gives all inputs before it and
then a ParseError that says where.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgpack

from vedette.codec.values import from_plain, to_plain
from vedette.core.agent import AgentSettings
from vedette.core.inputs import Input
from vedette.errors import ParseError

MAGIC = b"vedette-recording 1\n"
MAX_INPUT_BYTES = 64 * 1024 * 1024
CHUNK_BYTES = 1 << 20


def encode_header(settings: AgentSettings) -> bytes:
    """The beginning of a recording."""
    return MAGIC + bytes(msgpack.packb(to_plain(settings)))


def encode_input(given: Input) -> bytes:
    """One input, to be appended."""
    return bytes(msgpack.packb(to_plain(given)))


def decode(data: bytes) -> tuple[AgentSettings, Iterator[Input]]:
    """Read a recording that is in memory; as `read`."""
    return read(data[start : start + CHUNK_BYTES] for start in range(0, len(data), CHUNK_BYTES))


def read(chunks: Iterable[bytes]) -> tuple[AgentSettings, Iterator[Input]]:
    """Read a recording of any length in bounded memory.

    Args:
        chunks: the file, a piece at a time.

    Returns:
        The settings it was made with and its inputs, read one by one.

    Raises:
        ParseError: it is no recording; the iterator raises it where an input is damaged.
    """
    items = _items(iter(chunks))
    settings: AgentSettings = from_plain(AgentSettings, next(items, None), "settings")
    return settings, (from_plain(Input, item, "input") for item in items)


def _items(chunks: Iterator[bytes]) -> Iterator[object]:
    begin = b""
    while len(begin) < len(MAGIC) and (chunk := next(chunks, b"")):
        begin += chunk
    if not begin.startswith(MAGIC):
        raise ParseError(f"expected a recording that begins with {MAGIC!r}, got {begin[:20]!r}")
    unpacker = msgpack.Unpacker(
        max_buffer_size=MAX_INPUT_BYTES, use_list=True, strict_map_key=False
    )
    offset, end = len(MAGIC), len(begin)
    try:
        unpacker.feed(begin[len(MAGIC) :])
        while True:
            try:
                item = unpacker.unpack()
            except msgpack.OutOfData as error:
                chunk = next(chunks, b"")
                if not chunk and end == offset:
                    return
                if not chunk:
                    message = "expected a whole input, got the end of the file"
                    raise ParseError(message, offset) from error
                unpacker.feed(chunk)
                end += len(chunk)
            else:
                offset = len(MAGIC) + unpacker.tell()
                yield item
    except (ValueError, msgpack.exceptions.UnpackException, RecursionError) as error:
        raise ParseError(f"expected an input, got damaged bytes: {error!r}", offset) from error
