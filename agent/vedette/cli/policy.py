"""Say what has to be known about a release before a device takes it, and try it.

A policy is a TOML file with the keys of the people and machines whose word counts, and numbered
rules. Signed by the root's keys it is released like rules are; a device without one takes what is
rightly signed, and records that nobody asked more of it.

  vedette policy build policy.toml -o release.policy --key keys/root-a.key --counter 1
  vedette policy check release.policy --repo repository        every release in the repository
  vedette policy show release.policy
  vedette release policy release.policy

The rules there are, and how statements are made: agent/docs/releases.md.

Exit codes: 0 done, 1 a release would be refused (check), 2 nothing was written
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from vedette.cli._files import replace_file
from vedette.cli._options import add_json, summary
from vedette.cli._passwords import add_password_file
from vedette.cli._release_options import add_keys, add_repository
from vedette.cli._signing import add_signing, read_terms, sealed_by
from vedette.codec.release_policy import PAYLOAD_TYPE, encode
from vedette.codec.text import escape
from vedette.errors import ParseError, RequestError

if TYPE_CHECKING:
    from vedette.model.provenance import PolicyRule, ReleasePolicy
    from vedette.model.release import Release


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand and its verbs."""
    parser = commands.add_parser("policy", help=summary(__doc__), description=__doc__)
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", required=True, dest="verb")
    building = verbs.add_parser("build", help="sign a policy")
    building.add_argument("source", type=Path, metavar="FILE", help="TOML")
    building.add_argument(
        "--also-key", type=Path, action="append", default=[], metavar="KEYFILE",
        help="more keys of the root, for its threshold",
    )  # fmt: skip
    add_signing(building)
    building.set_defaults(run=build)
    checking = verbs.add_parser("check", help="what a device with it says of releases")
    checking.add_argument("policy", type=Path, metavar="FILE", help="signed")
    add_repository(checking)
    add_keys(checking)
    add_password_file(checking)
    add_json(checking)
    checking.set_defaults(run=check)
    showing = verbs.add_parser("show", help="what a signed policy asks for")
    showing.add_argument("policy", type=Path, metavar="FILE", help="signed")
    add_json(showing)
    showing.set_defaults(run=show)


def build(args: argparse.Namespace) -> int:
    """Sign a policy."""
    from vedette.cli._policy_source import read  # noqa: PLC0415 - only to build one
    from vedette.cli._signing import open_signer  # noqa: PLC0415

    terms = read_terms(args)
    policy = read(args.source, terms.counter, terms.issued_s, terms.expires_s)
    signers = [terms.signer, *(open_signer(path, args) for path in args.also_key)]
    try:
        envelope = sealed_by(PAYLOAD_TYPE, encode(policy), signers)
    except ParseError as error:
        raise RequestError(f"{args.source}: {error}") from error
    replace_file(args.output, envelope)
    print(
        f"{args.output}: policy {policy.name}, {len(policy.rules)} rules, {len(policy.signers)} "
        f"signers, counter {policy.counter}, {len(signers)} signatures"
    )
    return 0


def check(args: argparse.Namespace) -> int:
    """Judge every release of a repository; 1 if one would be refused."""
    from vedette.cli._repo_output import open_repository  # noqa: PLC0415 - tuf
    from vedette.cli._statement_files import read_policy, verdict  # noqa: PLC0415
    from vedette.cli._target_staging import releases, target_file  # noqa: PLC0415

    policy, _ = read_policy(args.policy)
    repository = open_repository(args)
    found = []
    for release in releases(repository):
        files = (target_file(repository, one.path, one.sha256) for one in release.statements)
        found.append((release, verdict(policy, release, [path.read_bytes() for path in files])))
    if args.json:
        rows = [{**_document(release), **said._asdict()} for release, said in found]
        print(json.dumps({"policy": policy.name, "counter": policy.counter, "releases": rows}))
    else:
        for release, said in found:
            word = "allowed" if said.is_allowed else "REFUSED"
            print(escape(f"{word:8} {release.title}: {said.reason}"))
            for warning in said.warnings:
                print(escape(f"         {warning}"))
    return 0 if all(said.is_allowed for _, said in found) else 1


def show(args: argparse.Namespace) -> int:
    """Print a policy; its signatures are not checked here."""
    from vedette.cli._statement_files import read_policy  # noqa: PLC0415

    policy, keys = read_policy(args.policy)
    if args.json:
        print(json.dumps({**_plain(policy), "keys": list(keys)}))
        return 0
    print(f"{policy.name}, counter {policy.counter}")
    for signer in policy.signers:
        kind = "person" if signer.is_person else "machine"
        print(f"  {kind:8}{signer.name}  {signer.public_key.hex()[:16]}")
    for rule in policy.rules:
        print(escape(f"  rule {rule.number}: {_words(rule)}"))
    print(f"signed by {', '.join(key[:16] for key in keys)} (not checked)")
    return 0


def _words(rule: PolicyRule) -> str:
    of_kind = f"{', '.join(rule.kinds) or 'every release'}"
    named = f" named {', '.join(rule.names)}" if rule.names else ""
    only = f" of authorship {' or '.join(rule.if_authorship)}" if rule.if_authorship else ""
    wants = f"{rule.demand} by {rule.least} of {', '.join(rule.signers)}"
    at = f" at {', '.join(rule.builders)}" if rule.builders else ""
    saying = f" saying {' or '.join(rule.allowed)}" if rule.allowed else ""
    why = f" ({rule.reason})" if rule.reason else ""
    return f"{of_kind}{named}{only} needs {wants}{at}{saying}{why}"


def _plain(policy: ReleasePolicy) -> dict[str, object]:
    return {
        "name": policy.name,
        "counter": policy.counter,
        "issued": policy.issued_s,
        "expires": policy.expires_s,
        "signers": [
            {"name": one.name, "key": one.public_key.hex(), "person": one.is_person}
            for one in policy.signers
        ],
        "rules": [one._asdict() for one in policy.rules],
    }


def _document(release: Release) -> dict[str, object]:
    return {"kind": release.kind, "name": release.name, "release_counter": release.counter}
