"""Flags that several subcommands share, so that they read the same everywhere."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

DEFAULT_CONFIG = Path("/etc/vedette/vedette.toml")
CONFIG_VARIABLE = "VEDETTE_CONFIG"


def summary(documentation: str | None) -> str:
    """The first line of a module's docstring without its final dot: the one-line help."""
    return (documentation or "").strip().partition("\n")[0].rstrip(".")


def add_config(parser: argparse.ArgumentParser) -> None:
    """Add `--config FILE`; `args.config` is a Path."""
    parser.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        default=Path(os.environ.get(CONFIG_VARIABLE) or DEFAULT_CONFIG),
        help=f"configuration (default: ${CONFIG_VARIABLE}, else {DEFAULT_CONFIG})",
    )


def add_json(parser: argparse.ArgumentParser) -> None:
    """Add `--json`; `args.json` is a bool."""
    parser.add_argument("--json", action="store_true", help="print JSON for programs, not text")
