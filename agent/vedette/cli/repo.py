"""Keep the signed repository from which devices take rules, playbooks, firmware and models.

It is a TUF repository of static files: what lies below DIR/public is served by any web server, or
copied to a USB stick. Each role has its own keys; who signs what stands in DIR/repository.json.

  vedette keys create root-a root-b targets snapshot timestamp rules playbooks firmware models ...
  vedette repo init --role root=root-a,root-b:2
  vedette release rules rules.bundle
  vedette repo publish
  vedette repo status                 what expires, what waits, what is published

A key that is not here signs elsewhere: copy DIR there, run `vedette repo sign`, and copy it back.
The operator's guide, with a plan for the keys: agent/docs/releases.md.

Exit codes: 0 done, 1 something wants to be done soon (status), 2 nothing was written
"""

from __future__ import annotations

import argparse

from vedette.cli._options import add_json, summary
from vedette.cli._passwords import add_password_file
from vedette.cli._release_options import add_keys, add_repository, late

_ROLE_HELP = "whose keys sign a role (default for each: one key of the role's name)"


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand and its verbs."""
    parser = commands.add_parser("repo", help=summary(__doc__), description=__doc__)
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", required=True, dest="verb")
    starting = _verb(verbs, "init", "make a repository: roles, keys, thresholds, trust document")
    _add_plan(starting)
    starting.add_argument(
        "--create-keys", action="store_true", help="make the keys that are missing"
    )
    starting.add_argument(
        "--no-password", action="store_true", help="leave those unencrypted: for development"
    )
    _verb(verbs, "publish", "make public what is staged, under a new snapshot and timestamp")
    refreshing = _verb(verbs, "refresh", "sign anew what will expire; a timer's daily work")
    refreshing.add_argument(
        "--all", action="store_true", help="every role whose keys are here, whatever its date"
    )
    rotating = _verb(verbs, "rotate", "put changed keys and thresholds in force")
    _add_plan(rotating)
    signing = _verb(verbs, "sign", "add signatures of the keys that are here to what is staged")
    signing.add_argument("roles", nargs="*", metavar="ROLE", help="default: all that is staged")
    status = _verb(verbs, "status", "what expires, what waits for whom, and what is published")
    status.add_argument(
        "--warn-days", type=int, metavar="N", help="default: 28, or half of a role's time"
    )


def _verb(
    verbs: argparse._SubParsersAction[argparse.ArgumentParser], name: str, words: str
) -> argparse.ArgumentParser:
    parser = verbs.add_parser(name, help=words, description=words)
    add_repository(parser)
    add_keys(parser)
    add_password_file(parser)
    add_json(parser)
    parser.set_defaults(run=late(f"_repo_{name}"))
    return parser


def _add_plan(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--role", action="append", default=[], metavar="ROLE=KEY[,KEY][:N]", help=_ROLE_HELP
    )
    parser.add_argument(
        "--days", action="append", default=[], metavar="ROLE=N", help="for which a role is signed"
    )
    parser.add_argument(
        "--grant",
        action="append",
        default=[],
        metavar="KEY=VERB[,VERB]@GROUP[,GROUP]",
        help="what a key of operators may command, and whom; * for all (agent/docs/commands.md)",
    )
