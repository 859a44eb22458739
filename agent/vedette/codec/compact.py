"""A strict reader of the part of msgpack that bundles use: text, whole numbers, flags, arrays.

Rule 1: it is told what must come next and how large it may be before anything is made of it, so
hostile bytes cost no more memory than the values asked for.
Rule 2: every complaint carries the byte offset.
Source: github.com/msgpack/msgpack/blob/master/spec.md, "Formats".
"""

from __future__ import annotations

from vedette.errors import ParseError

_FIXINT_MAX = 0x7F
_FIXARRAY = 0x90  # length in the low 4 bits
_FIXTEXT = 0xA0  # length in the low 5 bits
_FLAGS = {0xC2: False, 0xC3: True}
_TEXT_LENGTH_BYTES = {0xD9: 1, 0xDA: 2, 0xDB: 4}
_ARRAY_LENGTH_BYTES = {0xDC: 2, 0xDD: 4}
_UNSIGNED_BYTES = {0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8}


class Reader:
    """Reads values in order from bytes that it does not copy."""

    __slots__ = ("_data", "_end", "offset")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._end = len(data)
        self.offset = 0

    def text(self, what: str, max_bytes: int) -> str:
        """The next value, UTF-8 text of at most `max_bytes`.

        Raises:
            ParseError: something else comes next.
        """
        start = self.offset
        size = self._text_size(what)
        if size > max_bytes:
            raise ParseError(
                f"expected {what} of at most {max_bytes} bytes, got one of {size}", start
            )
        begin = self.offset
        if begin + size > self._end:
            raise ParseError(f"expected {size} bytes of {what}, got the end of the data", self._end)
        self.offset = begin + size
        try:
            return self._data[begin : self.offset].decode()
        except UnicodeDecodeError as error:
            raise ParseError(f"expected {what} in UTF-8", begin + error.start) from error

    def array(self, what: str, max_items: int) -> int:
        """The number of items of the array that comes next.

        Raises:
            ParseError: something else comes next, or it has more than `max_items`.
        """
        start = self.offset
        tag = self._tag(what)
        if tag & 0xF0 == _FIXARRAY:
            count = tag & 0x0F
        else:
            count = self._number(tag, _ARRAY_LENGTH_BYTES, what, "an array", start)
        if count > max_items:
            raise ParseError(f"expected {what} with at most {max_items} items, got {count}", start)
        return count

    def exactly(self, what: str, items: int) -> None:
        """Read the head of an array that must have this many items.

        Raises:
            ParseError: something else comes next.
        """
        start = self.offset
        count = self.array(what, items)
        if count != items:
            raise ParseError(f"expected {what} with {items} items, got {count}", start)

    def unsigned(self, what: str) -> int:
        """The next value, a whole number from 0 to 2**64 - 1.

        Raises:
            ParseError: something else comes next.
        """
        start = self.offset
        tag = self._tag(what)
        if tag <= _FIXINT_MAX:
            return tag
        return self._number(tag, _UNSIGNED_BYTES, what, "a whole number", start)

    def flag(self, what: str) -> bool:
        """The next value, true or false.

        Raises:
            ParseError: something else comes next.
        """
        start = self.offset
        value = _FLAGS.get(self._tag(what))
        if value is None:
            raise ParseError(f"expected {what} to be true or false", start)
        return value

    def end(self) -> None:
        """Check that nothing follows.

        Raises:
            ParseError: something does.
        """
        if self.offset != self._end:
            raise ParseError(
                f"expected the end of the data, got {self._end - self.offset} more bytes",
                self.offset,
            )

    def _text_size(self, what: str) -> int:
        start = self.offset
        tag = self._tag(what)
        if tag & 0xE0 == _FIXTEXT:
            return tag & 0x1F
        return self._number(tag, _TEXT_LENGTH_BYTES, what, "text", start)

    def _tag(self, what: str) -> int:
        if self.offset >= self._end:
            raise ParseError(f"expected {what}, got the end of the data", self._end)
        tag = self._data[self.offset]
        self.offset += 1
        return tag

    def _number(self, tag: int, widths: dict[int, int], what: str, kind: str, start: int) -> int:
        width = widths.get(tag)
        if width is None:
            raise ParseError(f"expected {what} to be {kind}, got msgpack type 0x{tag:02x}", start)
        stop = self.offset + width
        if stop > self._end:
            raise ParseError(
                f"expected {width} bytes of {what}, got the end of the data", self._end
            )
        number = int.from_bytes(self._data[self.offset : stop], "big")
        self.offset = stop
        return number
