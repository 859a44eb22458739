"""The part that watches: started by `vedette run` or its own systemd unit, rarely by hand.

Runs as root with the few capabilities its sources need, speaks netlink and local sockets only, and
alone opens the journal and the signing key. Ends in good order on SIGTERM; SIGHUP applies the
changed configuration wholly or not at all. Put back what it changed afterwards: vedette restore.

Example:
  vedette sentinel --config /etc/vedette/vedette.toml

Exit codes: 0 stopped in good order, 2 could not start
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from vedette.cli._options import add_config, summary


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = commands.add_parser("sentinel", help=summary(__doc__), description=__doc__)
    add_config(parser)
    parser.add_argument(
        "--record",
        type=Path,
        metavar="FILE",
        help="write what the agent is told to FILE, for `vedette replay`",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Become the sentinel, without what reading the command line has loaded."""
    record = str(args.record.absolute()) if args.record else ""
    command = (
        sys.executable, "-I", "-m", "vedette.daemon.sentinel_main",
        str(args.config.absolute()), record,
    )  # fmt: skip
    os.execv(sys.executable, command)  # noqa: S606 (argv is ours)
