"""How the commands of a repository answer: lines for people, one JSON object for programs."""

from __future__ import annotations

import argparse
import json

from vedette.cli._key_store import KeyStore
from vedette.cli._passwords import Passwords
from vedette.cli._repository import Repository
from vedette.codec.text import escape


def open_repository(args: argparse.Namespace) -> Repository:
    """The repository and the keys that the flags name.

    Raises:
        RequestError: it is none.
    """
    return Repository(args.repo, KeyStore(args.keys, Passwords(args.password_file)))


def tell(args: argparse.Namespace, lines: list[str], **facts: object) -> int:
    """Print what was done; returns the exit code for done."""
    if args.json:
        print(json.dumps({"done": lines, **facts}))
    else:
        print("\n".join(escape(line) for line in lines))
    return 0
