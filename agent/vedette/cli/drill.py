"""Play harmless attacks on this device's own agent, and say what saw them.

One for each class of events: a program is started, a file made, a connection opened, a line
logged, a guarded call made, a name asked. Each must come through its source to its rule, which is
told as a drill and never as an incident. Responses are planned against what the drill made, and
nothing is done.
The agent drills itself every hour ([drill] every_m); every drill is an entry of the journal.

Examples:
  vedette drill
  vedette drill --last 24 --json

Exit codes: 0 all that was expected was seen, 1 something was missed or met no rule,
2 could not be asked (the agent does not run)
"""

from __future__ import annotations

import argparse
import json
import sys

from vedette.cli import _drill_text
from vedette.cli._options import add_config, add_json, summary
from vedette.cli._terminal import Painter, is_coloured
from vedette.daemon import config, control_client

ANSWER_TIMEOUT_S = 120.0
"""Two rounds of the slowest source, and then all of them prove themselves."""


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = commands.add_parser("drill", help=summary(__doc__), description=__doc__)
    add_config(parser)
    add_json(parser)
    parser.add_argument(
        "--last", type=_count, metavar="N", help="show the newest N drills instead (1 to 1000)"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Have one played, or show those that were; returns whether all is well."""
    socket = config.load(args.config).control_socket
    if args.last is not None:
        answer = control_client.ask(socket, "drill.show", {"limit": args.last})
        render, is_well = _drill_text.history, _drill_text.were_well
    else:
        answer = control_client.ask(socket, "drill.run", timeout_s=ANSWER_TIMEOUT_S)
        render, is_well = _drill_text.report, _drill_text.is_well
    if args.json:
        print(json.dumps(answer))
    else:
        print("\n".join(render(answer, Painter(is_coloured=is_coloured(sys.stdout)))))
    return 0 if is_well(answer) else 1


def _count(text: str) -> int:
    value = int(text)
    if not 1 <= value <= 1000:  # noqa: PLR2004 (as daemon/drill_answers.py takes)
        raise ValueError(text)
    return value
