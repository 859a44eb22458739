"""Write, test, lint, build and compare rules (on the operator's machine).

A rule is a Sigma 2 file NAME.yml. Beside it NAME.match.yml and NAME.nomatch.yml hold events that it
must and must not find. From the first line to a signed bundle: agent/docs/writing-rules.md.

  vedette rules lint rules
  vedette rules test rules
  vedette rules build rules -o rules.bundle --key rules.key --counter 7

Exit codes: 0 all well, 1 something is to be mended, 2 nothing could be done; each action's help
says which.
"""

from __future__ import annotations

import argparse
import importlib
import pkgutil

from vedette import cli
from vedette.cli._options import summary

_ACTION_PREFIX = "_rules_"


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand; each of its own is a file `_rules_ACTION.py` of this folder."""
    parser = commands.add_parser("rules", help=summary(__doc__), description=__doc__)
    actions = parser.add_subparsers(title="subcommands", metavar="ACTION")
    for info in sorted(pkgutil.iter_modules(cli.__path__), key=lambda info: info.name):
        if info.name.startswith(_ACTION_PREFIX):
            importlib.import_module(f"vedette.cli.{info.name}").register(actions)
