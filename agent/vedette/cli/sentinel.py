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
    """Watch until told to stop."""
    from vedette.daemon import sentinel  # noqa: PLC0415 (asyncio and more)

    return sentinel.main(args.config, args.record)
