"""Sign, show and compare profiles (on the operator's machine), and show what left one (device).

A profile holds what devices of one class do on one firmware. `vedette learn write` makes a draft;
a person reviews it, since everything in it will be quiet, and signs it with a key that the trust
document names for `profiles`. Devices take it from where `[rules] profile` says, check it like a
bundle of rules at every load, and keep the last good one.

Examples:
  vedette profile show camera.draft
  vedette profile diff camera-1.profile camera.draft
  vedette profile sign camera.draft -o camera.profile --key profiles.key --counter 2
  vedette profile drift                 (on a device: what is not in its profile)

Exit codes: 0 done (diff: nothing differs, drift: nothing left), 1 diff, drift: something did,
2 could not be done
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path

from vedette.cli import _profile_text
from vedette.cli._files import replace_file
from vedette.cli._options import add_config, add_json, summary
from vedette.cli._signing import add_signing, read_terms, sealed
from vedette.codec import dsse
from vedette.codec.profile import MAX_BYTES, PAYLOAD_TYPE, decode, decode_draft, encode
from vedette.codec.text import escape
from vedette.daemon import config, control_client
from vedette.errors import ParseError, RequestError
from vedette.model.profile import Profile
from vedette.trust.keyfile import short_key_id


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand and its verbs."""
    parser = commands.add_parser("profile", help=summary(__doc__), description=__doc__)
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", required=True, dest="verb")
    signing = verbs.add_parser("sign", help="sign a reviewed draft")
    signing.add_argument("draft", type=Path, metavar="DRAFT")
    add_signing(signing)
    signing.add_argument("--name", default="profile", help="for people (default: profile)")
    signing.add_argument(
        "--accept-gaps", action="store_true", help="sign although something was left out of it"
    )
    signing.set_defaults(run=sign)
    showing = verbs.add_parser("show", help="what a draft or a signed profile holds")
    showing.add_argument("file", type=Path, metavar="FILE")
    add_json(showing)
    showing.set_defaults(run=show)
    comparing = verbs.add_parser("diff", help="what a newer one allows more and less")
    comparing.add_argument("old", type=Path, metavar="OLD")
    comparing.add_argument("new", type=Path, metavar="NEW")
    add_json(comparing)
    comparing.set_defaults(run=diff)
    drifting = verbs.add_parser("drift", help="what this device did beside its profile")
    add_config(drifting)
    add_json(drifting)
    drifting.set_defaults(run=drift)


def sign(args: argparse.Namespace) -> int:
    """Sign a draft."""
    draft = _read_draft(args.draft)
    if any(draft.learnt.left_out) and not args.accept_gaps:
        raise RequestError(
            f"{args.draft}: {'; '.join(_profile_text.warnings(draft))}: whoever filled it may have "
            "meant to; learn again, or sign it all the same with --accept-gaps"
        )
    terms = read_terms(args)
    profile = replace(
        draft,
        name=args.name,
        counter=terms.counter,
        issued_s=terms.issued_s,
        expires_s=terms.expires_s,
    )
    try:
        envelope = sealed(PAYLOAD_TYPE, encode(profile), terms.signer)
    except ParseError as error:
        raise RequestError(f"{args.draft}: no device would read it: {error}") from error
    replace_file(args.output, envelope)
    for line in _profile_text.warnings(draft):
        print(escape(line), file=sys.stderr)
    print(
        f"{args.output}: class {escape(draft.device_class) or '(none)'}, "
        f"{len(envelope)} bytes, counter {terms.counter}, "
        f"key {short_key_id(terms.signer.public_key)}"
    )
    return 0


def show(args: argparse.Namespace) -> int:
    """Print what a file holds; its signature is not checked here."""
    profile, keys = _read(args.file)
    if args.json:
        document = {
            kind: _profile_text.entries(profile.learnt, kind) for kind in _profile_text.KINDS
        }
        about = {"class": profile.device_class, "firmware": profile.firmware, "keys": list(keys)}
        print(json.dumps({**about, "counter": profile.counter, **document}))
        return 0
    print("\n".join(_profile_text.lines(profile)))
    signed = f"signed by {', '.join(key[:16] for key in keys)} (not checked)" if keys else "a draft"
    print(f"\n{escape(signed)}")
    return 0


def diff(args: argparse.Namespace) -> int:
    """Print what differs; 1 if anything does."""
    found = _profile_text.difference(_read(args.old)[0], _read(args.new)[0])
    print(json.dumps(found) if args.json else "\n".join(found or ["nothing differs"]))
    return 1 if found else 0


def drift(args: argparse.Namespace) -> int:
    """Print what left the profile of this device; 1 if anything did."""
    answer = control_client.ask(config.load(args.config).control_socket, "profile.drift")
    profile, things = answer.get("profile"), answer.get("things")
    if args.json:
        print(json.dumps(answer))
        return 1 if things else 0
    if not isinstance(profile, dict) or profile.get("state") != "in force":
        raise RequestError("no profile is in force here; see: vedette status")
    print("\n".join(_profile_text.drift_lines(things) or ["nothing left the profile"]))
    if answer.get("full"):
        print("and more, which are findings each: vedette incidents list", file=sys.stderr)
    return 1 if things else 0


def _read(file: Path) -> tuple[Profile, tuple[str, ...]]:
    """A draft, or a signed profile with the ids of the keys it names."""
    data = _bytes(file)
    try:
        envelope = dsse.decode(data)
    except ParseError:
        return _read_draft(file), ()
    if envelope.payload_type != PAYLOAD_TYPE:
        raise RequestError(
            f"{file}: expected a payload of type {PAYLOAD_TYPE}, got "
            f"{escape(envelope.payload_type)}"
        )
    try:
        return decode(envelope.payload), tuple(one.keyid for one in envelope.signatures)
    except ParseError as error:
        raise RequestError(f"{file}: {error}") from error


def _read_draft(file: Path) -> Profile:
    try:
        return decode_draft(_bytes(file))
    except ParseError as error:
        raise RequestError(
            f"{file}: {error}; expected the draft of a profile, as vedette learn write makes it"
        ) from error


def _bytes(file: Path) -> bytes:
    with file.open("rb") as stream:
        data = stream.read(2 * MAX_BYTES + 1)
    if len(data) > 2 * MAX_BYTES:
        raise RequestError(f"{file}: expected at most {2 * MAX_BYTES} bytes, got more")
    return data
