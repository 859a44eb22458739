"""Reads what is appended to one log file, through rotation and truncation.

Rule 1: it begins at the end of the file that is there, and at the beginning of every later one.
Rule 2: a file that was renamed is read to its end before the new one is begun.
Rule 3: one turn reads at most READ_BYTES; a line is cut at MAX_LINE_BYTES.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from vedette.codec.syslog import MAX_LINE_BYTES

READ_BYTES: Final = 1 << 16


class LogTail:
    """One path and the file that is open there.

    Attributes:
        truncations: how often the file was shortened: what had not been read is lost.
        cut: how many lines were longer than MAX_LINE_BYTES.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.truncations = 0
        self.cut = 0
        self._fd = -1
        self._identity = (0, 0)
        self._position = 0
        self._partial = b""
        self._is_cutting = False
        if self._reopen():
            self._position = os.fstat(self._fd).st_size

    def read(self) -> tuple[list[bytes], bool]:
        """Whole lines that came since, without their newlines, and whether more is waiting.

        Raises:
            OSError: the file cannot be read, for another reason than that it is not there.
        """
        lines, is_more = self._read_open_file()
        if is_more or self._is_same_file():
            return lines, is_more
        if self._partial and not self._is_cutting:
            lines.append(self._partial)  # nobody will end the last line of a file put away
        return lines, self._reopen()

    def close(self) -> None:
        """Close the file. Safe to call twice."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _read_open_file(self) -> tuple[list[bytes], bool]:
        if self._fd < 0:
            return [], False
        if os.fstat(self._fd).st_size < self._position:
            self.truncations += 1
            self._position, self._partial, self._is_cutting = 0, b"", False
        data = os.pread(self._fd, READ_BYTES, self._position)
        self._position += len(data)
        return self._lines(data), bool(data)

    def _lines(self, data: bytes) -> list[bytes]:
        *whole, self._partial = (self._partial + data).split(b"\n")
        if self._is_cutting and whole:
            whole.pop(0)
            self._is_cutting = False
        if len(self._partial) > MAX_LINE_BYTES:
            if not self._is_cutting:
                whole.append(self._partial)
                self._is_cutting = True
            self._partial = b""
        self.cut += sum(1 for line in whole if len(line) > MAX_LINE_BYTES)
        return [line[:MAX_LINE_BYTES] for line in whole]

    def _is_same_file(self) -> bool:
        """Whether the path still names the open file; yes while it names none."""
        try:
            status = self.path.stat()
        except FileNotFoundError:
            return True
        return (status.st_dev, status.st_ino) == self._identity

    def _reopen(self) -> bool:
        try:
            fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
        except FileNotFoundError:
            return False
        self.close()
        status = os.fstat(fd)
        self._fd, self._identity = fd, (status.st_dev, status.st_ino)
        self._position, self._partial, self._is_cutting = 0, b"", False
        return True
