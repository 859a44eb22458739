"""Compile rules and sign them as one bundle.

What is refused is named on stderr and left out; the rest is signed.

  vedette rules build rules -o rules.bundle --key rules.key --counter 7

Exit codes: 0 all rules are inside, 1 some were refused, 2 nothing was written.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from vedette.cli._files import replace_file
from vedette.cli._options import summary
from vedette.cli._rule_folder import Collected, collect, seal
from vedette.cli._rule_summary import complain
from vedette.cli._signing import add_signing, read_terms
from vedette.errors import RuleError
from vedette.trust.keyfile import short_key_id


def register(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the action."""
    build = actions.add_parser("build", help=summary(__doc__), description=__doc__)
    build.add_argument("sources", nargs="+", type=Path, metavar="SRC", help="files and folders")
    add_signing(build)
    build.add_argument("--name", default="rules", help="of the bundle (default: rules)")
    build.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Compile, sign and write; what was refused is named and left out."""
    terms = read_terms(args)
    collected = collect(args.sources)
    complain(collected)
    if not collected.compiled:
        raise RuleError("expected at least one rule that compiles, found none: nothing was written")
    envelope = seal(
        collected,
        terms.signer,
        name=args.name,
        counter=terms.counter,
        issued_s=terms.issued_s,
        expires_s=terms.expires_s,
    )
    replace_file(args.output, envelope)
    print(
        f"{args.output}: {_contents(collected)}, {len(envelope)} bytes, counter {terms.counter}, "
        f"key {short_key_id(terms.signer.public_key)}"
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
