"""Show how the running agent is: sources, rules, journal, uplink, and what was lost.

The ledger counts, for each stage and class, the events that came in, went out and were dropped;
nothing is lost without a line there.

Examples:
  vedette status
  vedette status --json | jq .ledger

Exit codes: 0 all is well, 1 something asks for you (a blind class, losses, a closed way out),
2 could not be asked (the agent does not run)
"""

from __future__ import annotations

import argparse
import json
import sys

from vedette.cli import _status_text
from vedette.cli._options import add_config, add_json, summary
from vedette.cli._terminal import Painter, is_coloured
from vedette.daemon import config, control_client


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = commands.add_parser("status", help=summary(__doc__), description=__doc__)
    add_config(parser)
    add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Ask the running sentinel and print its answer."""
    answer = control_client.ask(config.load(args.config).control_socket, "status")
    if args.json:
        print(json.dumps(answer))
    else:
        painter = Painter(is_coloured=is_coloured(sys.stdout))
        print("\n".join(_status_text.render(answer, painter)))
    return 0 if _status_text.is_well(answer) else 1
