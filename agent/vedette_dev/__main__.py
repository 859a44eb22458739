"""`python -m vedette_dev run|attack`: what `make run` and `make attack` call."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from vedette.cli.__main__ import Parser
from vedette.daemon.last_words import EXIT_ERROR, guarded

REPOSITORY = Path(__file__).resolve().parents[2]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one of the two; returns the exit code."""
    parser = Parser(prog="vedette_dev", description=__doc__)
    commands = parser.add_subparsers(title="subcommands", metavar="SUBCOMMAND", parser_class=Parser)
    _add_run(commands)
    _add_attack(commands)
    options = parser.parse_args(arguments)
    if not hasattr(options, "call"):
        parser.print_help()
        return EXIT_ERROR
    return guarded(lambda: int(options.call(options)))


def _add_run(commands: argparse._SubParsersAction[Parser]) -> None:
    parser = commands.add_parser("run", help="guard this machine until Ctrl-C")
    parser.add_argument(
        "--seconds", type=_positive, metavar="N", help="stop by itself after N seconds of watching"
    )
    _add_folder(parser)
    parser.set_defaults(call=_run)


def _add_attack(commands: argparse._SubParsersAction[Parser]) -> None:
    parser = commands.add_parser("attack", help="play harmless attacks on the running agent")
    parser.add_argument("--only", metavar="NAME", action="append", default=[])
    _add_folder(parser)
    parser.set_defaults(call=_attack)


def _add_folder(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--folder",
        type=Path,
        metavar="DIR",
        default=REPOSITORY / ".dev",
        help="keys, journal and logs of the run (default: .dev of this clone)",
    )


def _positive(text: str) -> float:
    value = float(text)
    if value <= 0:
        raise ValueError(text)
    return value


def _run(options: argparse.Namespace) -> int:
    from vedette_dev import run  # noqa: PLC0415 (each command pays for its own imports)

    return run.run(REPOSITORY, options.folder, seconds=options.seconds)


def _attack(options: argparse.Namespace) -> int:
    from vedette_dev import attack  # noqa: PLC0415

    return attack.run(REPOSITORY, options.folder, options.only)


if __name__ == "__main__":
    sys.exit(main())
