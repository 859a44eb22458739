"""Keeps `logging` out of a resident until something is logged: 0.3 MB of two processes.

asyncio, concurrent.futures and paho make loggers when they are imported, and log nothing while all
is well; what we have to say ourselves goes to the journal, or in one line to stderr.

Rule: what is logged comes out as ever, on stderr from "warning" on, since nobody sets levels here.
"""

from __future__ import annotations

from vedette.daemon import lean

WARNING = 30
LEVELS = {"DEBUG": 10, "INFO": 20, "WARNING": WARNING, "ERROR": 40, "CRITICAL": 50}
"""docs.python.org/3/library/logging.html, "Logging Levels"."""


def put_off() -> None:
    """Before anything is imported that makes a logger; for good."""
    lean.partly("logging", getLogger=LateLogger, StreamHandler=_NoHandler, **LEVELS)


class LateLogger:
    """A logger that becomes one of `logging` when there is something to log."""

    def __init__(self, name: str = "") -> None:
        self._name = name

    def debug(self, *_about: object, **_more: object) -> None:
        """Not told."""

    info = debug

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802 (logging's own name)
        """Whether that would be told."""
        return level >= WARNING

    def addHandler(self, handler: object) -> None:  # noqa: N802
        """The library's last resort writes to stderr as well."""

    def __getattr__(self, name: str) -> object:
        lean.now("logging")
        import logging  # noqa: PLC0415 (the reason for all of this)

        return getattr(logging.getLogger(self._name), name)


class _NoHandler:
    """concurrent.futures makes one when it is imported, for its own logger."""
