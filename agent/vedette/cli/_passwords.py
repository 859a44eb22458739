"""Passwords of private keys and PINs of tokens: from a terminal or a file, never from argv.

Rule 1: a password is asked for once for each key and never printed, logged or put in an error.
Rule 2: a file with a password is refused when others could read it; a pipe or a descriptor
(/dev/fd/3) is its maker's own business.
"""

from __future__ import annotations

import argparse
import getpass
import os
import stat
import sys
from pathlib import Path

from vedette.errors import RequestError

FILE_VARIABLE = "VEDETTE_PASSWORD_FILE"
LEAST_CHARACTERS = 8
_MAX_BYTES = 1024


def add_password_file(parser: argparse.ArgumentParser) -> None:
    """Add `--password-file FILE`; `args.password_file` is a Path or None."""
    named = os.environ.get(FILE_VARIABLE)
    parser.add_argument(
        "--password-file",
        type=Path,
        metavar="FILE",
        default=Path(named) if named else None,
        help=f"its first line opens the private keys (default: ${FILE_VARIABLE}, else it is asked)",
    )


class Passwords:
    """Gives the password of a key when it is needed.

    Args:
        file: holds the password of all keys of this run; None asks at the terminal.
    """

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._known: dict[str, str] = {}

    def __repr__(self) -> str:
        return "Passwords()"

    def of(self, what: str) -> str:
        """The password of something that has one, such as "key rules".

        Raises:
            RequestError: there is no terminal and no file, or the file cannot be used.
        """
        if what not in self._known:
            self._known[what] = self._read() if self._file else _ask(f"Password of {what}: ")
        return self._known[what]

    def new(self, what: str) -> str:
        """A password for something new, asked for twice at a terminal.

        Raises:
            RequestError: as `of`; it is too short, or the two differ.
        """
        found = self._read() if self._file else _ask(f"New password of {what}: ")
        if len(found) < LEAST_CHARACTERS:
            raise RequestError(
                f"expected a password of at least {LEAST_CHARACTERS} characters for {what}"
            )
        if not self._file and _ask("The same again: ") != found:
            raise RequestError("expected the same password twice: nothing was written")
        self._known[what] = found
        return found

    def _read(self) -> str:
        path = self._file or Path(os.devnull)
        try:
            with path.open("rb") as stream:
                _check(path, os.fstat(stream.fileno()))
                line = stream.readline(_MAX_BYTES + 1)
        except OSError as error:
            raise RequestError(f"{path}: expected a password file: {error.strerror}") from error
        try:
            found = line.decode().rstrip("\r\n")
        except UnicodeDecodeError as error:
            raise RequestError(f"{path}: expected the password in UTF-8") from error
        if not found or len(line) > _MAX_BYTES:
            raise RequestError(f"{path}: expected a password in its first line")
        return found


def _check(path: Path, found: os.stat_result) -> None:
    if stat.S_ISREG(found.st_mode) and found.st_mode & 0o077:
        raise RequestError(
            f"{path}: expected mode 0600, got {stat.S_IMODE(found.st_mode):04o}: choose another "
            "password if others could read it, else chmod 600"
        )


def _ask(prompt: str) -> str:
    if not sys.stdin.isatty():
        raise RequestError(
            f"{prompt.rstrip(': ')}: expected a terminal to ask at, or --password-file FILE"
        )
    return getpass.getpass(prompt)
