"""How a command or a part of the agent ends: an exit code, and one line about what went wrong."""

from __future__ import annotations

import sys
from collections.abc import Callable

from vedette.codec.text import escape
from vedette.errors import VedetteError

EXIT_ERROR = 2
EXIT_INTERRUPTED = 130


def guarded(act: Callable[[], int]) -> int:
    """Do something and return its exit code; an error that a person can mend is told in one line.

    A broken pipe gets out, since only who writes to it knows what that means; so does a broken
    invariant, with its traceback.
    """
    try:
        return act()
    except VedetteError as error:
        say(str(error))
        return EXIT_ERROR
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        raise
    except OSError as error:
        place = f" ({error.filename})" if error.filename else ""
        say(f"{error.strerror or error}{place}; check that it exists and that you may use it")
        return EXIT_ERROR


def say(message: str) -> None:
    """Print an error for people on stderr; line breaks stay, control characters do not."""
    first, *rest = message.split("\n")
    lines = [f"vedette: {escape(first)}", *(f"  {escape(line.strip())}" for line in rest)]
    sys.stderr.write("\n".join(lines) + "\n")
    sys.stderr.flush()
