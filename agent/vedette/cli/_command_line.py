"""`vedette`: finds the file of the subcommand, runs it, and tells errors in one line.

Rule 1: a subcommand is a file of this folder without a leading underscore. Its docstring is its
help (first line: what it does), `register(commands)` adds its parser and sets the default `run`,
and `run(args)` returns the exit code.
Rule 2: only the chosen file is imported: the daemon's processes start through here too.
Rule 3: exit codes are 0 done, 1 done but with a "no" in the answer, 2 could not be done,
130 interrupted; a subcommand's help says so where it means more.
"""

from __future__ import annotations

import argparse
import importlib
import os
import pkgutil
import re
import sys
from collections.abc import Sequence
from typing import NoReturn

import vedette
from vedette import cli
from vedette.daemon.last_words import EXIT_ERROR, guarded, say

EXIT_BROKEN_PIPE = 141
"""What a shell reports for a program that SIGPIPE ended."""


class Parser(argparse.ArgumentParser):
    """Takes no abbreviated flags, keeps the layout of docstrings, and says what to do next."""

    def __init__(
        self,
        *,
        prog: str | None = None,
        usage: str | None = None,
        description: str | None = None,
        epilog: str | None = None,
        add_help: bool = True,
    ) -> None:
        super().__init__(
            prog=prog,
            usage=usage,
            description=description,
            epilog=epilog,
            add_help=add_help,
            allow_abbrev=False,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )

    def parse_known_args(  # type: ignore[override] # argparse has overloads for other namespaces
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """Refuse what is unknown here, where the flags that were meant are known."""
        found, unknown = super().parse_known_args(args, namespace)
        if unknown:
            _refuse(unknown, self)
        return found, unknown

    def error(self, message: str) -> NoReturn:
        """Tell what is wrong and where to look it up, then leave with exit code 2."""
        say(f"{message}; see: {self.prog} --help")
        sys.exit(EXIT_ERROR)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one subcommand.

    Args:
        arguments: without the program's name; None takes them from the command line.

    Returns:
        The exit code.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        return guarded(lambda: _exit_code(words))
    except BrokenPipeError:
        # Python flushes stdout once more at exit and would complain there.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_BROKEN_PIPE


def command_names() -> list[str]:
    """The subcommands there are, from the folder."""
    names = (info.name for info in pkgutil.iter_modules(cli.__path__))
    return sorted(name.replace("_", "-") for name in names if not name.startswith("_"))


def _exit_code(words: list[str]) -> int:
    """As `_run`; argparse leaves by SystemExit after --help, whose text may wait in a buffer."""
    try:
        code = _run(words)
    except SystemExit as left:
        code = left.code if isinstance(left.code, int) else 0
    sys.stdout.flush()
    return code


def _run(words: list[str]) -> int:
    names = command_names()
    chosen = next((word for word in words if not word.startswith("-")), "")
    if chosen and chosen not in names:
        raise_unknown("subcommand", chosen, names)
    parser, commands = _parser([chosen] if chosen else names)
    args = parser.parse_args(words)
    if not hasattr(args, "run"):
        # No subcommand at all, or a group of subcommands without one.
        commands.choices.get(chosen, parser).print_help()
        return EXIT_ERROR
    return int(args.run(args))


def _parser(
    names: Sequence[str],
) -> tuple[Parser, argparse._SubParsersAction[argparse.ArgumentParser]]:
    parser = Parser(
        prog="vedette",
        description="Vedette watches this device and tells what it sees, and what it cannot.",
        epilog="Start with: vedette doctor     Help on one of them: vedette SUBCOMMAND --help",
    )
    parser.add_argument("--version", action="version", version=f"vedette {vedette.__version__}")
    commands: argparse._SubParsersAction[argparse.ArgumentParser] = parser.add_subparsers(
        title="subcommands", metavar="SUBCOMMAND", parser_class=Parser
    )
    for name in names:
        module = importlib.import_module(f"vedette.cli.{name.replace('-', '_')}")
        module.register(commands)
    return parser, commands


def _refuse(unknown: Sequence[str], parser: argparse.ArgumentParser) -> NoReturn:
    flags = sorted(set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", parser.format_help())))
    bad = unknown[0].split("=")[0]
    if bad.startswith("-"):
        raise_unknown("flag", bad, flags, parser.prog)
    parser.error(f'expected no further word, got "{bad}"')


def raise_unknown(what: str, word: str, known: Sequence[str], program: str = "vedette") -> NoReturn:
    """Refuse a word with the likeliest one meant, or all there are; exits with code 2."""
    import difflib  # noqa: PLC0415 (1 MB that only a mistyped command needs)

    close = difflib.get_close_matches(word, known, n=1)
    hint = f'did you mean "{close[0]}"?' if close else f"there are: {', '.join(known)}"
    say(f'unknown {what} "{word}": {hint} See: {program} --help')
    sys.exit(EXIT_ERROR)
