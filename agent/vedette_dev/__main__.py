"""`python -m vedette_dev`: an interrupt ends it without a word, imports included.

Rule: nothing is imported here but by `main`, so that nothing of ours takes time before it.
"""

from __future__ import annotations

import sys

INTERRUPTED = 130
"""As daemon/last_words.py has it, which would have to be imported first."""


def main() -> int:
    """Run what the command line says; returns the exit code."""
    try:
        from vedette_dev import commands  # noqa: PLC0415 (an interrupt may come meanwhile)

        return commands.main()
    except KeyboardInterrupt:
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
