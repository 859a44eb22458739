"""Compile rules and sign them as one bundle.

What is refused is named on stderr and left out; the rest is signed.

  vedette rules build rules -o rules.bundle --key rules.key --counter 7
  vedette rules build rules -o rules.bundle --key rules.key --counter 7 --samples rules.samples

With --samples the samples beside the rules are written as a file for `vedette release rules`: a
device tries them before it uses the rules.

Exit codes: 0 all rules are inside, 1 some were refused, 2 nothing was written.
"""

from __future__ import annotations

import argparse
from hashlib import sha256
from pathlib import Path

from vedette.cli._files import replace_file
from vedette.cli._options import summary
from vedette.cli._rule_folder import Collected, collect, seal
from vedette.cli._rule_summary import complain
from vedette.cli._sample_pack import pack
from vedette.cli._signing import add_signing, read_terms
from vedette.codec import dsse, rule_samples
from vedette.errors import RuleError
from vedette.trust.keyfile import short_key_id


def register(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the action."""
    build = actions.add_parser("build", help=summary(__doc__), description=__doc__)
    build.add_argument("sources", nargs="+", type=Path, metavar="SRC", help="files and folders")
    add_signing(build)
    build.add_argument("--name", default="rules", help="of the bundle (default: rules)")
    build.add_argument("--samples", type=Path, metavar="FILE", help="write their samples there")
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
    if args.samples is not None:
        replace_file(args.samples, rule_samples.encode(pack(collected, payload_digest(envelope))))
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


def payload_digest(envelope: bytes) -> str:
    """What a bundle is named by: SHA-256 of its payload in hex."""
    return sha256(dsse.decode(envelope).payload).hexdigest()
