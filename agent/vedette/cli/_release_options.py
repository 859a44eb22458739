"""Flags of the commands that make releases, and a way to load their code late.

Rule: a module with tuf or cryptography in it is imported by the run that needs it, never by a flag.
"""

from __future__ import annotations

import argparse
import importlib
import os
from collections.abc import Callable
from pathlib import Path

KEYS_VARIABLE = "VEDETTE_KEYS"
REPOSITORY_VARIABLE = "VEDETTE_REPO"


def add_keys(parser: argparse.ArgumentParser) -> None:
    """Add `--keys DIR`; `args.keys` is a Path."""
    parser.add_argument(
        "--keys",
        type=Path,
        metavar="DIR",
        default=Path(os.environ.get(KEYS_VARIABLE) or "keys"),
        help=f"folder of the keys (default: ${KEYS_VARIABLE}, else ./keys)",
    )


def add_repository(parser: argparse.ArgumentParser) -> None:
    """Add `--repo DIR`; `args.repo` is a Path."""
    parser.add_argument(
        "--repo",
        type=Path,
        metavar="DIR",
        default=Path(os.environ.get(REPOSITORY_VARIABLE) or "repository"),
        help=f"the repository (default: ${REPOSITORY_VARIABLE}, else ./repository)",
    )


def late(module: str) -> Callable[[argparse.Namespace], int]:
    """The `run` of a module of this folder, imported when it is called."""

    def run(args: argparse.Namespace) -> int:
        return int(importlib.import_module(f"vedette.cli.{module}").run(args))

    return run
