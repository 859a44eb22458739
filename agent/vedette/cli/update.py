r"""Releases on this device: look for them, install them, go back, and see what became of each.

  check     look at the repository now and say what there is; nothing is applied
  run       look, and apply what is due (the agent does this on its own schedule)
  install   apply what a folder or a tar archive of a repository holds, by the same checks
  rollback  use again what was in use before: rules, model, firmware
  status    when the last look was, what is trusted, what is on trial
  history   every step of every release, newest first, as it was journalled

Examples:
  vedette update check
  vedette update install /media/stick/repository
  vedette update rollback rules
  vedette update history --json

Exit codes: 0 done, 1 something was refused or could not be fetched (it is said what), 2 could not
be done
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from vedette.cli._options import add_config, add_json, summary

if TYPE_CHECKING:
    from collections.abc import Callable

    from vedette.daemon.config import Config

KINDS = ("rules", "playbooks", "firmware", "model", "advisories", "operators", "policy", "trust")
ROLLED_BACK = ("rules", "model", "firmware")


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = commands.add_parser("update", help=summary(__doc__), description=__doc__)
    group = parser.add_subparsers(title="what to do", metavar="ACTION")
    _add(group, "check", "look now, apply nothing", check)
    begin = _add(group, "run", "look, and apply what is due", begin_run)
    begin.add_argument("--by", default="control", help=argparse.SUPPRESS)
    begin.add_argument("--by-request", action="store_true", help=argparse.SUPPRESS)
    begin.add_argument("--now", action="store_true", help="wait for no rollout and no window")
    install = _add(group, "install", "apply what a folder or an archive holds", begin_install)
    install.add_argument("source", type=Path, metavar="FILE|DIR")
    for one in (begin, install):
        one.add_argument("--kind", action="append", default=[], choices=KINDS, help="only these")
    back = _add(group, "rollback", "use again what was in use before", rollback)
    back.add_argument("kind", choices=ROLLED_BACK)
    back.add_argument("name", nargs="?", default="", help="of the model, where there are several")
    back.add_argument("--reason", default="a person asked for it")
    _add(group, "status", "the last look, and what is on trial", status)
    history = _add(group, "history", "every step, newest first", show_history)
    history.add_argument("--limit", type=int, default=50, metavar="N")


def _add(
    group: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    words: str,
    run: Callable[[argparse.Namespace], int],
) -> argparse.ArgumentParser:
    parser = group.add_parser(name, help=words)
    add_config(parser)
    add_json(parser)
    parser.set_defaults(run=run)
    return parser


def check(args: argparse.Namespace) -> int:
    """Look at the repository; apply nothing."""
    return _update(args, "control", is_look=True)


def begin_run(args: argparse.Namespace) -> int:
    """Look, and apply what is due."""
    from vedette.daemon import update_request, update_run  # noqa: PLC0415 (not for --help)

    if not args.by_request:
        return _update(args, args.by, is_urgent=args.now, is_boot=args.by == "boot")
    config = _config(args)
    # Before the request is touched: to the sentinel whoever else writes there is an intruder, a
    # critical incident, and no firmware on trial would be committed.
    update_run.announce(config, "request", os.getpid())
    wish = update_request.take(config.update_request)
    if wish is None:
        return 0  # somebody else took it
    if wish.rollback:
        return _roll_back(args, wish.rollback, "", wish.by, "an operator asked for it")
    return _update(args, wish.by, is_urgent=wish.is_now, is_boot=wish.by == "boot")


def begin_install(args: argparse.Namespace) -> int:
    """Apply what a folder or an archive holds."""
    return _update(args, "control", source=str(args.source.absolute()), is_urgent=True)


def _update(
    args: argparse.Namespace,
    by: str,
    *,
    source: str = "",
    is_look: bool = False,
    is_urgent: bool = False,
    is_boot: bool = False,
) -> int:
    from vedette.cli import _update_text  # noqa: PLC0415 (not for --help)
    from vedette.daemon import update_run  # noqa: PLC0415

    wanted = update_run.Wanted(
        by, None if is_boot else source, is_look, is_urgent, tuple(getattr(args, "kind", ()))
    )
    lines: list[str] = []

    def tell(line: str) -> None:
        lines.append(line)
        print(line if args.json else _update_text.live(line), flush=True)

    code = update_run.run(_config(args), args.config.absolute(), wanted, tell)
    if not lines and not args.json and not is_boot:
        print("nothing new" if code == 0 else "it ended early; see: vedette update status")
    return code


def rollback(args: argparse.Namespace) -> int:
    """Use again what was in use before."""
    return _roll_back(args, args.kind, args.name, "control", args.reason)


def _roll_back(args: argparse.Namespace, kind: str, name: str, by: str, reason: str) -> int:
    from vedette.cli._update_rollback import roll_back  # noqa: PLC0415 (not for --help)

    words = roll_back(_config(args), kind, name, by, reason)
    print(json.dumps({"rolled_back": kind, "detail": words}) if args.json else words)
    return 0


def status(args: argparse.Namespace) -> int:
    """The last look, and what is on trial."""
    from vedette.cli import _update_text  # noqa: PLC0415 (not for --help)

    found = _update_text.status(_config(args))
    if args.json:
        print(json.dumps(found))
    else:
        for line in _update_text.status_lines(found):
            print(line)
    return 0


def show_history(args: argparse.Namespace) -> int:
    """Every step, as it was journalled."""
    from vedette.cli import _update_text  # noqa: PLC0415 (not for --help)
    from vedette.daemon.control_client import ask  # noqa: PLC0415

    answer = ask(_config(args).control_socket, "update.history", {"limit": args.limit})
    steps = answer.get("steps")
    for step in steps if isinstance(steps, list) else []:
        print(json.dumps(step) if args.json else _update_text.journalled(step))
    sys.stdout.flush()
    return 0


def _config(args: argparse.Namespace) -> Config:
    from vedette.daemon import config  # noqa: PLC0415 (not for --help)

    return config.load(args.config)
