"""Show the incidents of this device: list them, show one whole, or follow them as they come.

A line holds when, how bad, the incident's id, which rule, the chain of programs, what it is about,
and what was done. The running agent is asked, so root is needed.

Examples:
  vedette incidents list --limit 50
  vedette incidents show 3f2a9c01       (the beginning of an id is enough)
  vedette incidents follow --json | jq .severity

Exit codes: 0 done, 2 could not be done (the agent does not run, no such incident)
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable

from vedette.cli import _incident_text
from vedette.cli._options import add_config, add_json, summary
from vedette.cli._terminal import Painter, is_coloured
from vedette.codec.report import Report, parse_report
from vedette.codec.strict_json import Json
from vedette.codec.text import quoted
from vedette.daemon import config, control_client
from vedette.errors import ParseError


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand and its three verbs."""
    parser = commands.add_parser("incidents", help=summary(__doc__), description=__doc__)
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", required=True, dest="verb")
    listing = _verb(verbs, "list", "the newest incidents, newest first", list_all)
    listing.add_argument("--limit", type=int, default=20, metavar="N", help="at most N (20)")
    showing = _verb(verbs, "show", "all reports of one incident", show)
    showing.add_argument("id", help="the incident's id, or how it begins")
    _verb(verbs, "follow", "print incidents as they come, until Ctrl-C", follow)


def list_all(args: argparse.Namespace) -> int:
    """Print one line for each of the newest incidents."""
    answer = _ask(args, "incidents.list", {"limit": args.limit})
    incidents = _documents(answer, "incidents")
    if not incidents and not args.json:
        print("no incidents yet; to see one come, run `vedette incidents follow`")
    for document in incidents:
        _print_line(args, document)
    return 0


def show(args: argparse.Namespace) -> int:
    """Print every report of one incident, oldest first."""
    documents = _documents(_ask(args, "incidents.show", {"id": args.id}), "reports")
    if args.json:
        print(json.dumps(documents))
        return 0
    for document in documents:
        report, painter = _report(document), _painter()
        lines = [_damaged(document)] if report is None else _incident_text.details(report, painter)
        print("\n".join(lines))
    return 0


def follow(args: argparse.Namespace) -> int:
    """Print incidents as they come."""
    path = config.load(args.config).control_socket
    for item in control_client.follow(path, "incidents.follow"):
        if "missed" in item:
            print(f"vedette: too slow, missed {item['missed']}; see `list`", file=sys.stderr)
        elif "incident" in item:
            _print_line(args, item["incident"])
            sys.stdout.flush()
    print("vedette: the agent stopped; see: vedette status", file=sys.stderr)
    return 0


def _verb(
    verbs: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    words: str,
    run: Callable[[argparse.Namespace], int],
) -> argparse.ArgumentParser:
    parser = verbs.add_parser(name, help=words, description=words)
    add_config(parser)
    add_json(parser)
    parser.set_defaults(run=run)
    return parser


def _ask(args: argparse.Namespace, do: str, params: dict[str, Json]) -> dict[str, Json]:
    return control_client.ask(config.load(args.config).control_socket, do, params)


def _documents(answer: dict[str, Json], name: str) -> list[Json]:
    found = answer.get(name)
    return found if isinstance(found, list) else []


def _print_line(args: argparse.Namespace, document: Json) -> None:
    if args.json:
        print(json.dumps(document))
        return
    report = _report(document)
    print(_damaged(document) if report is None else _incident_text.line(report, _painter()))


def _report(document: Json) -> Report | None:
    try:
        return parse_report(document)
    except ParseError:
        return None


def _damaged(document: Json) -> str:
    return f"an entry that is no incident report: {quoted(document)}"


def _painter() -> Painter:
    return Painter(is_coloured=is_coloured(sys.stdout))
