"""Run a recording through the rules again: the same incidents, bit for bit, on any machine.

`vedette run --record FILE` writes everything that the agent was told. A replay needs nothing else:
no root, no kernel facility, no clock.

Examples:
  vedette replay /tmp/watch.vrec
  vedette replay /tmp/watch.vrec --json | sha256sum     (the same on every machine)

Exit codes: 0 replayed whole, 2 no recording, or damaged (what came before was printed)
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from vedette.cli import _incident_text
from vedette.cli._options import add_json, summary
from vedette.cli._terminal import Painter, is_coloured
from vedette.codec.report import parse_report
from vedette.codec.strict_json import parse


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = commands.add_parser("replay", help=summary(__doc__), description=__doc__)
    add_json(parser)
    parser.add_argument("file", type=Path, metavar="FILE", help="what `run --record` wrote")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print each incident report as it comes out of the recording."""
    from vedette.daemon.replay import replay  # noqa: PLC0415 (the whole core: not for --help)

    painter = Painter(is_coloured=is_coloured(sys.stdout))
    for _, body in replay(args.file.read_bytes()):
        if args.json:
            print(body.decode())
        else:
            report = parse_report(parse(body, max_bytes=len(body)))
            print(_incident_text.line(report, painter))
    return 0
