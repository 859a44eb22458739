"""What all that speaks to a fleet shares: the registry, and the way to the broker."""

from __future__ import annotations

import argparse
from pathlib import Path

from vedette.codec import registry
from vedette.codec.registry import Registered
from vedette.errors import InputError, ParseError


def add_registry(parser: argparse.ArgumentParser) -> None:
    """Add `--registry FILE`."""
    parser.add_argument(
        "--registry", required=True, type=Path, metavar="FILE", help="the fleet's device keys"
    )


def add_broker(parser: argparse.ArgumentParser, *, is_required: bool = True) -> None:
    """Add the flags that lead to the broker."""
    parser.add_argument("--host", required=is_required, help="the broker")
    parser.add_argument("--port", type=int, default=8883)
    parser.add_argument("--ca", type=Path, metavar="FILE", help="CA of the broker's certificate")
    parser.add_argument("--certificate", type=Path, metavar="FILE", help="the operator's, PEM")
    parser.add_argument("--key", type=Path, metavar="FILE", help="its private key, PEM")


def read_registry(path: Path) -> dict[tuple[str, str], Registered]:
    """The devices of a registry file.

    Raises:
        InputError: it is no registry, or cannot be read.
    """
    try:
        return registry.parse(path.read_bytes())
    except OSError as error:
        raise InputError(
            f"{path}: cannot read the registry ({error.strerror}); write it with vedette fleet "
            "enroll"
        ) from error
    except ParseError as error:
        raise InputError(f"{path}: {error}; write it with vedette fleet enroll") from error
