"""Fuzz target: the configuration file."""

from __future__ import annotations

from vedette.daemon.config import Config, parse
from vedette.errors import ConfigError


def target(data: bytes) -> None:
    """Any text gives a Config, or a ConfigError whose message is UTF-8 and steers no terminal."""
    text = data.decode("utf-8", "surrogateescape")
    try:
        assert isinstance(parse(text, "v.toml"), Config)
    except ConfigError as error:
        message = str(error)
        message.encode("utf-8")
        assert all(line.isprintable() for line in message.split("\n")), repr(message)
