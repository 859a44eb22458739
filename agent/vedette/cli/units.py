"""Fit systemd's units to the configuration: each part gets what its enabled features need.

Writes one drop-in for each unit into the folder `units` beside the configuration: systemd reads it
at its next start, or after `systemctl daemon-reload`. Where nobody ran it since the configuration
changed, systemd has the drop-ins made at its start, which takes a second longer.

Examples:
  vedette units && systemctl daemon-reload && systemctl restart vedette
  vedette units --print
  vedette units --check

Exit codes: 0 done, 1 with --check: a drop-in is out of date, 2 could not be done
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from vedette.cli._options import add_config, add_json, summary


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = commands.add_parser("units", help=summary(__doc__), description=__doc__)
    add_config(parser)
    add_json(parser)
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--check", action="store_true", help="write nothing, say what is out of date")
    mode.add_argument("--generate", type=Path, metavar="DIR", help="for systemd.generator(7)")
    mode.add_argument("--print", action="store_true", help="print the drop-ins instead")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Write, check or print them."""
    import json  # noqa: PLC0415 (not for --help)

    from vedette.daemon import config, units  # noqa: PLC0415

    given = config.load_unnamed(args.config)
    if args.print:
        made = units.drop_ins(given)
        parts = (f"# {name}\n{text}" for name, text in made.items())
        print(json.dumps(made) if args.json else "\n".join(parts))
        return 0
    if args.generate:
        units.generate(given, args.generate)
        return 0
    beside = args.config.absolute().parent
    folder, source = beside / units.FOLDER, units.source_digest(beside, Path(sys.prefix))
    changed = units.stale(given, folder) if args.check else units.write(given, folder, source)
    if args.json:
        print(json.dumps({"changed": changed}))
    elif changed:
        what = "out of date" if args.check else "written"
        print(f"{what}: {', '.join(changed)}; now: systemctl daemon-reload")
        if not args.check:
            print("and, for a part that runs already: systemctl restart vedette")
    else:
        print("nothing changed")
    return 1 if args.check and changed else 0
