"""A recorded stream of inputs: what `vedette run --record` writes and `vedette replay` reads.

Rule 1: the file is a magic line, then msgpack arrays: the settings first, then one per input.
Rule 2: a file that ends in the middle of an input (a power cut) gives all inputs before it and
then a ParseError that says where.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgpack

from vedette.codec.values import from_plain, to_plain
from vedette.core.agent import AgentSettings
from vedette.core.inputs import Input
from vedette.errors import ParseError

MAGIC = b"vedette-recording 1\n"
MAX_INPUT_BYTES = 64 * 1024 * 1024


def encode_header(settings: AgentSettings) -> bytes:
    """The beginning of a recording."""
    return MAGIC + bytes(msgpack.packb(to_plain(settings)))


def encode_input(given: Input) -> bytes:
    """One input, to be appended."""
    return bytes(msgpack.packb(to_plain(given)))


def decode(data: bytes) -> tuple[AgentSettings, Iterator[Input]]:
    """Read a recording.

    Args:
        data: the whole file.

    Returns:
        The settings it was made with and its inputs, read one by one.

    Raises:
        ParseError: it is no recording; the iterator raises it where an input is damaged.
    """
    if not data.startswith(MAGIC):
        raise ParseError(f"expected a recording that begins with {MAGIC!r}, got {data[:20]!r}")
    unpacker = msgpack.Unpacker(
        max_buffer_size=max(len(data), 1), use_list=True, strict_map_key=False
    )
    unpacker.feed(data[len(MAGIC) :])
    settings: AgentSettings = from_plain(AgentSettings, _next(unpacker), "settings")
    return settings, _inputs(unpacker, len(data))


def _inputs(unpacker: msgpack.Unpacker, size_bytes: int) -> Iterator[Input]:
    while len(MAGIC) + unpacker.tell() < size_bytes:
        given: Input = from_plain(Input, _next(unpacker), "input")
        yield given


def _next(unpacker: msgpack.Unpacker) -> object:
    offset = len(MAGIC) + unpacker.tell()
    try:
        return unpacker.unpack()
    except (ValueError, msgpack.exceptions.UnpackException, RecursionError) as error:
        raise ParseError(f"expected an input, got damaged bytes: {error!r}", offset) from error
