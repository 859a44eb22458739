"""Watch this device: start the agent and keep it running until Ctrl-C or SIGTERM.

Checks the configuration, makes the agent's folders, then starts the sentinel (which watches) and,
where a broker is configured, the uplink (which sends). A part that fails is started again; when the
sentinel ends, what it changed in the kernel is put back. Ctrl-C stops everything that was started:
the sentinel flushes first, within 10 s; a second Ctrl-C does not wait. SIGHUP applies the changed
configuration wholly or not at all.

Examples:
  vedette run
  vedette run --config /etc/vedette/vedette.toml --record /tmp/watch.vrec

Exit codes: 0 stopped in good order, 1 a part had to be killed, 2 could not start
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from pathlib import Path

from vedette.cli._options import add_config, summary


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = commands.add_parser("run", help=summary(__doc__), description=__doc__)
    add_config(parser)
    parser.add_argument(
        "--record",
        type=Path,
        metavar="FILE",
        help="write what the agent is told to FILE, for `vedette replay`",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Check everything that can be checked, then become the keeper."""
    from vedette.daemon import config, folders, keeper  # noqa: PLC0415 (not for --help)

    given = config.load(args.config)
    folders.prepare(given.paths.state, "[paths] state")
    # The uplink reaches its socket there as another user.
    mode = folders.PASSAGE if given.uplink.enabled else folders.PRIVATE
    run_dir = folders.prepare(given.paths.run, "[paths] run", mode=mode)
    uplink = "uplink" if given.uplink.enabled else ""
    record = str(args.record.absolute()) if args.record else ""
    command = (
        sys.executable, "-I", "-m", "vedette.daemon.keeper",
        str(run_dir), str(args.config.absolute()), uplink, record,
    )  # fmt: skip
    sys.stdout.flush()
    # A Ctrl-C that comes while the keeper is being loaded waits for it.
    signal.pthread_sigmask(signal.SIG_BLOCK, keeper.SIGNALS)
    # The keeper stays for months: it begins anew without what reading the configuration has loaded.
    os.execv(sys.executable, command)  # noqa: S606 (argv is ours)
