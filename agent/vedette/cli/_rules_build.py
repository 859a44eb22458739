"""Compile rules and sign them as one bundle.

What is refused is named on stderr and left out; the rest is signed.

  vedette rules build rules -o rules.bundle --key rules.key --counter 7

Exit codes: 0 all rules are inside, 1 some were refused, 2 nothing was written.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

from vedette.cli._options import summary
from vedette.cli._rule_folder import Collected, collect, seal
from vedette.cli._rule_summary import complain
from vedette.errors import RequestError, RuleError
from vedette.trust.keyfile import load_signer, short_key_id

DEFAULT_EXPIRES_DAYS = 365
_DAY_S = 86_400


def register(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the action."""
    build = actions.add_parser("build", help=summary(__doc__), description=__doc__)
    build.add_argument("sources", nargs="+", type=Path, metavar="SRC", help="files and folders")
    build.add_argument("-o", "--output", type=Path, required=True, metavar="FILE")
    build.add_argument("--key", type=Path, required=True, metavar="KEYFILE", help="private, PEM")
    build.add_argument(
        "--counter", type=int, required=True, metavar="N", help="above that of the last bundle"
    )
    build.add_argument(
        "--expires-days",
        type=int,
        default=DEFAULT_EXPIRES_DAYS,
        metavar="N",
        help=f"no device takes it for new after so many days (default: {DEFAULT_EXPIRES_DAYS})",
    )
    build.add_argument("--name", default="rules", help="of the bundle (default: rules)")
    build.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Compile, sign and write; what was refused is named and left out."""
    if args.counter < 1 or args.expires_days < 1:
        raise RequestError("expected --counter and --expires-days to be 1 or more")
    collected = collect(args.sources)
    complain(collected)
    if not collected.compiled:
        raise RuleError("expected at least one rule that compiles, found none: nothing was written")
    signer = load_signer(args.key)
    issued_s = int(os.environ.get("SOURCE_DATE_EPOCH") or time.time())
    envelope = seal(
        collected,
        signer,
        name=args.name,
        counter=args.counter,
        issued_s=issued_s,
        expires_s=issued_s + args.expires_days * _DAY_S,
    )
    _write(args.output, envelope)
    print(
        f"{args.output}: {_contents(collected)}, {len(envelope)} bytes, counter {args.counter}, "
        f"key {short_key_id(signer.public_key)}"
    )
    return 1 if collected.problems else 0


def _contents(collected: Collected) -> str:
    counts = {
        "rules": len(collected.compiled),
        "correlations": len(collected.correlations),
        "filters": len(collected.filters),
        "redactions": len(collected.redactions),
    }
    return ", ".join(f"{count} {what}" for what, count in counts.items() if count)


def _write(file: Path, data: bytes) -> None:
    """Replace a file whole: a reader sees the old bundle or the new one."""
    descriptor, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    try:
        with os.fdopen(descriptor, "wb") as stream:
            os.fchmod(descriptor, 0o644)
            stream.write(data)
            stream.flush()
            os.fsync(descriptor)
        Path(name).replace(file)
    except OSError:
        Path(name).unlink(missing_ok=True)
        raise
