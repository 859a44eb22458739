"""Show what the agent did against attacks, undo it, or let it last.

A response ends by itself at its time unless somebody keeps it. The running agent is asked, so root
is needed; each undo and each keep is an entry of the journal.

Examples:
  vedette responses list
  vedette responses undo 3f2a9c01           (the beginning of an id is enough)
  vedette responses keep 3f2a9c01 --hours 72
  vedette responses keep 3f2a9c01           (until it is undone)

Exit codes: 0 done, 1 it could not be undone, 2 could not be asked (no agent, no such response)
"""

from __future__ import annotations

import argparse
import json
import sys

from vedette.cli import _response_text
from vedette.cli._options import add_config, add_json, summary
from vedette.codec.strict_json import Json
from vedette.codec.text import escape
from vedette.daemon import config, control_client
from vedette.errors import RequestError
from vedette.model.playbook import LONGEST_S
from vedette.model.response import ResponseStatus

_HOUR_S = 3600


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand and its verbs."""
    parser = commands.add_parser("responses", help=summary(__doc__), description=__doc__)
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", required=True, dest="verb")
    listing = verbs.add_parser("list", help="what is in force, and what was done lately")
    listing.add_argument("--limit", type=int, default=20, metavar="N", help="entries (20)")
    listing.set_defaults(run=list_all)
    undoing = verbs.add_parser("undo", help="bring back what was before a response")
    undoing.add_argument("id", help="the response's id, or how it begins")
    undoing.set_defaults(run=undo)
    keeping = verbs.add_parser("keep", help="let a response last")
    keeping.add_argument("id", help="the response's id, or how it begins")
    keeping.add_argument("--hours", type=int, default=0, metavar="N", help="0: until it is undone")
    keeping.set_defaults(run=keep)
    for verb in (listing, undoing, keeping):
        add_config(verb)
        add_json(verb)


def list_all(args: argparse.Namespace) -> int:
    """Print what is in force, then the newest entries."""
    answer = _ask(args, "responses.list", {"limit": args.limit})
    if args.json:
        print(json.dumps(answer))
        return 0
    print("\n".join(_response_text.lines(answer)))
    return 0


def undo(args: argparse.Namespace) -> int:
    """Undo one; 1 if it is still in force."""
    answer = _ask(args, "responses.undo", {"id": args.id})
    if args.json:
        print(json.dumps(answer))
    else:
        print(escape(f"{answer.get('status')}: {answer.get('detail')}"))
    return 0 if answer.get("status") == ResponseStatus.UNDONE else 1


def keep(args: argparse.Namespace) -> int:
    """Let one last."""
    seconds = args.hours * _HOUR_S
    if not 0 <= seconds <= LONGEST_S:
        raise RequestError(f"expected --hours from 0 to {LONGEST_S // _HOUR_S}, got {args.hours}")
    answer = _ask(args, "responses.keep", {"id": args.id, "seconds": seconds})
    if args.json:
        print(json.dumps(answer))
    else:
        lasts = f"for {args.hours} h from now" if seconds else "until it is undone"
        print(f"it lasts {lasts}", file=sys.stderr)
    return 0


def _ask(args: argparse.Namespace, do: str, params: dict[str, Json]) -> dict[str, Json]:
    return control_client.ask(config.load(args.config).control_socket, do, params)
