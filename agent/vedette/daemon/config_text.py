"""A configuration file as TOML: read within bounds, and each mistake told with its place.

Rule: whatever stands in it, what leaves is a value or a ConfigError that says where.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from pathlib import Path

from vedette.codec import toml_places
from vedette.codec.text import escape
from vedette.daemon.schema import Mistake
from vedette.errors import ConfigError

MAX_BYTES = 256 * 1024
"""A longer file is a mistake: the example, most of it comments, has 12 KB."""


def read(path: Path) -> str:
    """The text of a configuration file.

    Raises:
        ConfigError: it cannot be read, or is no text of at most MAX_BYTES.
    """
    try:
        with path.open("rb") as stream:
            raw = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(
            f"{path}: cannot read the configuration ({error.strerror}); "
            "name the file with --config, or start from packaging/vedette.toml"
        ) from error
    return _decode(raw, str(path))


def document(text: str, name: str) -> dict[str, object]:
    """The tables of a text.

    Args:
        text: TOML 1.0.
        name: of the file, for messages.

    Raises:
        ConfigError: it is not TOML; where, and why.
    """
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise ConfigError(f"{name}: expected flat tables, got lists nested without end") from error
    except ValueError as error:
        # TOMLDecodeError, and int() of more than 4,300 digits.
        message = str(error)
        place = re.search(r" \(at line (\d+), column (\d+)\)$", message)
        where = f":{place[1]}:{place[2]}" if place else ""
        words = escape(message[: place.start()] if place else message)
        raise ConfigError(f"{escape(name)}{where}: not TOML: {words}; mend this line") from error


def refusal(text: str, name: str, mistakes: Sequence[Mistake]) -> ConfigError:
    """All mistakes of a file: one line `file:line:column: ...` for each, in its order.

    Args:
        text: of the file, TOML.
        name: of the file, for messages.
    """
    known = toml_places.places(text)
    placed = sorted(
        (toml_places.nearest(known, path), _table(path), words) for path, words in mistakes
    )
    lines = [
        f"{escape(name)}:{place.line}:{place.column}: {table}{words}"
        for place, table, words in placed
    ]
    if len(lines) > 1:
        lines.insert(0, f"{escape(name)}: expected a configuration, found {len(lines)} mistakes")
    return ConfigError("\n".join(lines))


def _decode(raw: bytes, name: str) -> str:
    if len(raw) > MAX_BYTES:
        raise ConfigError(f"{name}: expected at most {MAX_BYTES} bytes of configuration, got more")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        column = error.start - raw.rfind(b"\n", 0, error.start)
        raise ConfigError(
            f"{name}:{line}:{column}: expected UTF-8, got byte 0x{raw[error.start]:02x}; "
            "save the file as UTF-8"
        ) from error


def _table(path: toml_places.Path) -> str:
    keys = [escape(str(key))[:60] for key in path[:-1] if isinstance(key, str)]
    keys = keys[:-1] if path and isinstance(path[-1], int) else keys
    return f"[{'.'.join(keys)}] " if keys else ""
