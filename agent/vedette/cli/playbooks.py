"""Write, sign and read playbooks: which response answers which finding, and how far it may go.

A playbook is a TOML file; it observes, and says what it would do, until it is promoted: its digest
then stands in the signed set. One that is changed afterwards has another digest and observes again.
From the first line to a promotion: agent/docs/defence.md.

Examples:
  vedette playbooks build rules/playbooks -o playbooks.signed --key playbooks.key --counter 7
  vedette playbooks promote playbooks.signed end-miner -o next.signed --key ... --counter 8
  vedette playbooks demote next.signed end-miner -o last.signed --key ... --counter 9
  vedette playbooks show last.signed

Exit codes: 0 done, 2 nothing was written
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from vedette.cli import _playbook_source, _playbook_text
from vedette.cli._files import replace_file
from vedette.cli._options import add_json, summary
from vedette.cli._signing import Terms, add_signing, read_terms, sealed
from vedette.codec import bundle as bundle_codec
from vedette.codec import dsse
from vedette.codec.playbook import PAYLOAD_TYPE, decode, encode
from vedette.codec.text import escape
from vedette.errors import ParseError, RequestError
from vedette.model.playbook import Playbooks
from vedette.trust.keyfile import short_key_id


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand and its verbs."""
    parser = commands.add_parser("playbooks", help=summary(__doc__), description=__doc__)
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", required=True, dest="verb")
    building = verbs.add_parser("build", help="sign files as one set that observes")
    building.add_argument("sources", nargs="+", type=Path, metavar="SRC", help="files and folders")
    building.add_argument("--name", default="playbooks", help="of the set (default: playbooks)")
    building.add_argument(
        "--rules", type=Path, metavar="BUNDLE", help="name rules that this bundle does not have"
    )
    building.add_argument(
        "--keep-promoted", type=Path, metavar="FILE", help="what FILE promoted and did not change"
    )
    add_signing(building)
    building.set_defaults(run=build)
    for verb, words in (("promote", "let playbooks enforce"), ("demote", "let them observe again")):
        deciding = verbs.add_parser(verb, help=f"{words}: sign the set anew")
        deciding.add_argument("file", type=Path, metavar="FILE", help="a signed set")
        deciding.add_argument("names", nargs="+", metavar="NAME", help="playbooks of it")
        add_signing(deciding)
        deciding.set_defaults(run=decide)
    showing = verbs.add_parser("show", help="what a signed set holds, and what it lets enforce")
    showing.add_argument("file", type=Path, metavar="FILE")
    add_json(showing)
    showing.set_defaults(run=show)


def build(args: argparse.Namespace) -> int:
    """Sign what files hold."""
    terms = read_terms(args)
    source = _playbook_source.collect(args.sources)
    if not source.playbooks:
        raise RequestError("expected at least one playbook, found none: nothing was written")
    for line in _playbook_source.check(source, _rule_ids(args.rules)) if args.rules else ():
        print(f"vedette: {escape(line)}", file=sys.stderr)
    kept = set(_read(args.keep_promoted)[0].promoted if args.keep_promoted else ())
    promoted = tuple(one.digest for one in source.playbooks if one.digest in kept)
    made = Playbooks(
        args.name, 0, 0, 0, source.playbooks, source.profiles, promoted, digest=""
    )  # fmt: skip
    return _write(args.output, made, terms)


def decide(args: argparse.Namespace) -> int:
    """Promote or demote playbooks of a signed set."""
    terms = read_terms(args)
    found, _ = _read(args.file)
    by_name = {one.name: one.digest for one in found.playbooks}
    unknown = [name for name in args.names if name not in by_name]
    if unknown:
        there_are = ", ".join(by_name)
        raise RequestError(f"{args.file}: there is no playbook {unknown[0]}; there are {there_are}")
    chosen = {by_name[name] for name in args.names}
    promoted = {*found.promoted} | chosen if args.verb == "promote" else {*found.promoted} - chosen
    in_order = tuple(one.digest for one in found.playbooks if one.digest in promoted)
    return _write(args.output, replace(found, promoted=in_order), terms)


def show(args: argparse.Namespace) -> int:
    """Print what a signed set holds; its signature is not checked here."""
    found, keys = _read(args.file)
    if args.json:
        print(json.dumps({**_playbook_text.plain(found), "keys": list(keys)}))
        return 0
    print("\n".join(_playbook_text.lines(found)))
    print(f"\nsigned by {', '.join(escape(key[:16]) for key in keys)} (not checked)")
    return 0


def _write(output: Path, playbooks: Playbooks, terms: Terms) -> int:
    made = replace(
        playbooks, counter=terms.counter, issued_s=terms.issued_s, expires_s=terms.expires_s
    )
    try:
        envelope = sealed(PAYLOAD_TYPE, encode(made), terms.signer)
    except ParseError as error:
        raise RequestError(f"no device would read these playbooks: {error}") from error
    replace_file(output, envelope)
    enforcing = [one.name for one in made.playbooks if one.digest in made.promoted]
    print(
        f"{output}: {len(made.playbooks)} playbooks, {len(made.profiles)} profiles, "
        f"{len(enforcing)} may enforce{': ' if enforcing else ''}{', '.join(enforcing)}; counter "
        f"{terms.counter}, key {short_key_id(terms.signer.public_key)}"
    )
    return 0


def _read(file: Path) -> tuple[Playbooks, tuple[str, ...]]:
    """A signed set with the ids of the keys it names."""
    envelope = _envelope(file, PAYLOAD_TYPE)
    try:
        return decode(envelope.payload), tuple(one.keyid for one in envelope.signatures)
    except ParseError as error:
        raise RequestError(f"{file}: {error}") from error


def _rule_ids(bundle: Path) -> Iterable[str]:
    envelope = _envelope(bundle, bundle_codec.PAYLOAD_TYPE)
    try:
        found = bundle_codec.decode(envelope.payload)
    except ParseError as error:
        raise RequestError(f"{bundle}: {error}") from error
    rules = (rule.rule_id for rule in found.rules)
    return [*rules, *(correlation.rule_id for correlation in found.correlations)]


def _envelope(file: Path, payload_type: str) -> dsse.Envelope:
    with file.open("rb") as stream:
        data = stream.read(dsse.MAX_ENVELOPE_BYTES + 1)
    try:
        envelope = dsse.decode(data)
    except ParseError as error:
        raise RequestError(f"{file}: {error}") from error
    if envelope.payload_type != payload_type:
        raise RequestError(
            f"{file}: expected a payload of type {payload_type}, got "
            f"{escape(envelope.payload_type)}"
        )
    return envelope
