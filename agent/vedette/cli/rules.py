"""Build, test and list rules (on the operator's machine).

A rule is a Sigma 2 file NAME.yml. Beside it NAME.match.yml and NAME.nomatch.yml hold lists of
events, each a mapping of field to value, that it must and must not find.

  vedette rules test rules
  vedette rules build rules -o rules.bundle --key rules.key --counter 7

Exit codes: 0 all well, 1 a rule was refused or a sample went wrong, 2 nothing could be done.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from vedette.cli._options import add_json, summary
from vedette.cli._rule_folder import Collected, collect, seal
from vedette.cli._rule_samples import Outcome, run_samples
from vedette.cli._sigma_compiler import Compiled
from vedette.codec.text import escape
from vedette.errors import RequestError, RuleError
from vedette.trust.keyfile import load_signer, short_key_id

DEFAULT_EXPIRES_DAYS = 365
_DAY_S = 86_400


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand with its own subcommands."""
    parser = commands.add_parser("rules", help=summary(__doc__), description=__doc__)
    actions = parser.add_subparsers(title="subcommands", metavar="ACTION")
    _register_build(actions)
    test = actions.add_parser("test", help="run the samples beside each rule")
    test.add_argument("sources", nargs="*", type=Path, metavar="SRC", default=[Path("rules")])
    test.add_argument("--verbose", action="store_true", help="say why, also where all is well")
    add_json(test)
    test.set_defaults(run=run_test)
    listing = actions.add_parser("list", help="name the rules of files and folders")
    listing.add_argument("sources", nargs="*", type=Path, metavar="SRC", default=[Path("rules")])
    add_json(listing)
    listing.set_defaults(run=run_list)


def _register_build(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    build = actions.add_parser("build", help="compile rules and sign them as one bundle")
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
    build.set_defaults(run=run_build)


def run_build(args: argparse.Namespace) -> int:
    """Compile, sign and write; what was refused is named and left out."""
    if args.counter < 1 or args.expires_days < 1:
        raise RequestError("expected --counter and --expires-days to be 1 or more")
    collected = collect(args.sources)
    _complain(collected)
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
        f"{args.output}: {len(collected.compiled)} rules, {len(collected.redactions)} redactions, "
        f"{len(envelope)} bytes, counter {args.counter}, key {short_key_id(signer.public_key)}"
    )
    return 1 if collected.problems else 0


def run_test(args: argparse.Namespace) -> int:
    """Run every sample and tell what did not go as its file says."""
    collected = collect(args.sources)
    results = [(compiled, _outcomes(compiled)) for compiled in collected.compiled]
    failed = [out for _, outcomes in results for out in outcomes if not out.is_expected]
    if args.json:
        print(json.dumps([_row(compiled, outcomes) for compiled, outcomes in results]))
    else:
        _complain(collected)
        _tell(results, is_verbose=args.verbose)
        count = sum(len(outcomes) for _, outcomes in results)
        print(f"{len(results)} rules, {count} samples, {len(failed)} not as expected")
    return 1 if failed or collected.problems else 0


def run_list(args: argparse.Namespace) -> int:
    """Name the rules with level, category and techniques."""
    collected = collect(args.sources)
    if args.json:
        print(json.dumps([_summary(compiled) for compiled in collected.compiled]))
        return 1 if collected.problems else 0
    _complain(collected)
    for compiled in collected.compiled:
        rule = compiled.rule
        tags = " ".join(tag.removeprefix("attack.") for tag in rule.tags if ".t" in tag)
        level = rule.severity.name.lower()
        print(escape(f"{level:13} {rule.category:20} {rule.title}  {tags}".rstrip()))
    print(f"{len(collected.compiled)} rules")
    return 1 if collected.problems else 0


def _outcomes(compiled: Compiled) -> list[Outcome]:
    return list(run_samples(compiled))


def _tell(results: Sequence[tuple[Compiled, list[Outcome]]], *, is_verbose: bool) -> None:
    for compiled, outcomes in results:
        if not outcomes:
            print(escape(f"{compiled.document.file}: no samples"))
        for outcome in outcomes:
            if outcome.is_expected and not is_verbose:
                continue
            word = "ok" if outcome.is_expected else "WRONG"
            what = "matches" if outcome.is_met else "does not match"
            print(escape(f"{word} {outcome.place}: {compiled.rule.title!r} {what}"))
            for reason in outcome.reasons:
                print(escape(f"   {reason}"))


def _row(compiled: Compiled, outcomes: Sequence[Outcome]) -> dict[str, object]:
    return _summary(compiled) | {"samples": [outcome._asdict() for outcome in outcomes]}


def _summary(compiled: Compiled) -> dict[str, object]:
    rule = compiled.rule
    return {
        "id": rule.rule_id,
        "title": rule.title,
        "author": rule.author,
        "level": rule.severity.name.lower(),
        "category": rule.category,
        "tags": list(rule.tags),
        "file": str(compiled.document.file),
        "warnings": list(compiled.warnings),
    }


def _complain(collected: Collected) -> None:
    for line in collected.problems:
        print(escape(f"refused {line}"), file=sys.stderr)
    for line in collected.warnings:
        print(escape(f"warning {line}"), file=sys.stderr)


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
