"""Starts the sentinel: what it never uses is kept out of its memory, then it runs.

Rule 1: `vedette sentinel` execs this module: what reading the command line had loaded is gone.
Rule 2: this is the only place that changes what the sentinel's imports load.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from vedette.daemon import bare_code, late_logging, lean

NEVER = ("ssl",)
"""asyncio takes it where it is there: 0.8 MB, and 2 MB of libssl, for a process without network."""

OF_TIERS = (
    "vedette.codec.audit", "vedette.codec.audit_control", "vedette.codec.connector",
    "vedette.codec.journal_export", "vedette.sensors._audit_link",
    "vedette.sensors._audit_refusals", "vedette.sensors._audit_rules",
    "vedette.sensors._audit_seat", "vedette.sensors._audit_state",
    "vedette.sensors._flow_watch", "vedette.sensors._proc_reader",
    "vedette.sensors._watch_tree",
)  # fmt: skip
"""What the sources need that are tried only where no better one works: 0.5 MB. All of them are
imported to be listed (ports/sensor.py); these come when one is opened."""

SELDOM = (
    "vedette.codec.attack", "vedette.codec.command", "vedette.codec.good_copy",
    "vedette.codec.learning_run", "vedette.codec.promotions", "vedette.codec.receipt",
    "vedette.codec.toml_places",
    "vedette.core.aims", "vedette.core.orders", "vedette.daemon.live_evidence",
    "vedette.kernel.tracked_flows", "vedette.sensors._proc_net",
)  # fmt: skip
"""What findings, operators' commands, learning, responses and mistakes in the configuration need:
0.2 MB of a device on which nothing happens."""


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
    """Before asyncio is imported; for good.

    pathlib asks urllib.parse for a function it needs for URIs alone, and inotify_simple ctypes.util
    (with tempfile, shutil and random) for one that sensors/_inotify.py answers: 0.7 MB.
    """
    lean.give_back()
    bare_code.forget_descriptions()
    late_logging.put_off()
    lean.never(*NEVER)
    lean.later(*lean.UNUSED, *OF_TIERS, *SELDOM)
    lean.at_call("urllib.parse", "quote_from_bytes")
    lean.at_call("ctypes.util", "find_library")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
