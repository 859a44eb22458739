"""Starts the sentinel: what it never uses is kept out of its memory, then it runs.

Rule 1: `vedette sentinel` execs this module: what reading the command line had loaded is gone.
Rule 2: this is the only place that changes what the sentinel's imports load.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from vedette.daemon import lean

NEVER = ("ssl",)
"""asyncio takes it where it is there: 0.8 MB, and 2 MB of libssl, for a process without network."""


def main(arguments: Sequence[str]) -> int:
    """Run the sentinel until SIGTERM or SIGINT.

    Args:
        arguments: the configuration, and the file to record to or "".

    Returns:
        The exit code; what is wrong is said in one line on stderr.
    """
    keep_lean()
    from pathlib import Path  # noqa: PLC0415 (after the line above, as all that follows)

    from vedette.daemon import last_words, sentinel  # noqa: PLC0415

    config, record = arguments
    return last_words.guarded(lambda: sentinel.main(Path(config), Path(record) if record else None))


def keep_lean() -> None:
    """Before asyncio is imported; for good."""
    lean.give_back()
    lean.forget_docstrings()
    lean.never(*NEVER)
    lean.later(*lean.UNUSED)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
