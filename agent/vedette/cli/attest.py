"""Say under your own key who built, wrote, reviewed or approved a file (in-toto statements).

  vedette attest build cam.img --builder https://ci.acme.example/cam --source gitCommit:3f9c... \
      --key ci.key -o build.json
  vedette attest authorship cam.img --by ai-assisted --key alice.key -o authorship.json
  vedette attest review gitCommit:3f9c... --key bob.key -o review.json
  vedette attest approve cam.img --key carol.key -o approval.json
  vedette release firmware cam.img ... --statement build.json --statement review.json ...

What a statement is about is a file, whose SHA-256 is taken, or a digest such as gitCommit:HEX.
Builds and approvals have to be about the file that is released; reviews and authorship may be about
the source that the build names. Statements that other tools sign (SLSA provenance v1 in DSSE,
Ed25519) are taken as they are.

Exit codes: 0 done, 2 nothing was written
"""

from __future__ import annotations

import argparse
import hashlib
import re
from pathlib import Path

from vedette.cli._files import replace_file
from vedette.cli._options import summary
from vedette.cli._passwords import add_password_file
from vedette.cli._signing import open_signer, sealed_by
from vedette.codec import provenance
from vedette.codec.strict_json import Json
from vedette.errors import ParseError, RequestError
from vedette.model.provenance import Authorship
from vedette.trust.keyfile import short_key_id

BUILD_TYPE = "urn:vedette:build:v1"
"""Of a build whose own system names no type; SLSA asks for one."""

_DIGEST = re.compile(r"[A-Za-z0-9_-]{1,32}:[0-9a-f]{32,128}")
_READ_BYTES = 1 << 20


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand and its verbs."""
    parser = commands.add_parser("attest", help=summary(__doc__), description=__doc__)
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", required=True, dest="verb")
    building = _verb(verbs, "build", "who built it, and from what (SLSA provenance v1)")
    building.add_argument("--builder", required=True, metavar="URI", help="the system that built")
    building.add_argument("--type", default=BUILD_TYPE, metavar="URI", help="how it builds")
    building.add_argument(
        "--source", action="append", default=[], metavar="DIGEST", help="gitCommit:HEX, sha256:HEX"
    )
    writing = _verb(verbs, "authorship", "who wrote it: a person, or a model")
    writing.add_argument("--by", required=True, choices=list(Authorship), type=Authorship)
    writing.add_argument("--note", default="", help="for people, such as which model")
    reviewing = _verb(verbs, "review", "a person read it")
    reviewing.add_argument("--changes-requested", action="store_true", help="and it is not good")
    reviewing.add_argument("--note", default="", help="for people")
    approving = _verb(verbs, "approve", "a person lets exactly these bytes go out")
    approving.add_argument("--note", default="", help="for people")


def _verb(
    verbs: argparse._SubParsersAction[argparse.ArgumentParser], name: str, words: str
) -> argparse.ArgumentParser:
    parser = verbs.add_parser(name, help=words, description=words)
    parser.add_argument("subjects", nargs="+", metavar="FILE|DIGEST", help="what it is about")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE")
    parser.add_argument("--key", type=Path, required=True, metavar="KEYFILE", help="private, PEM")
    add_password_file(parser)
    parser.set_defaults(run=run)
    return parser


def run(args: argparse.Namespace) -> int:
    """Write one signed statement."""
    subjects = dict(map(_subject, args.subjects))
    predicate_type, predicate = _predicate(args)
    try:
        payload = provenance.encode_payload(subjects, predicate_type, predicate)
    except ParseError as error:
        raise RequestError(f"nobody would read this statement: {error}") from error
    signer = open_signer(args.key, args)
    replace_file(args.output, sealed_by(provenance.PAYLOAD_TYPE, payload, [signer]))
    print(f"{args.output}: {args.verb} of {', '.join(subjects)}, key "
          f"{short_key_id(signer.public_key)}")  # fmt: skip
    return 0


def _predicate(args: argparse.Namespace) -> tuple[str, dict[str, Json]]:
    match args.verb:
        case "build":
            materials: list[Json] = [{"digest": _plain_digest(one)} for one in args.source]
            return provenance.SLSA, {
                "buildDefinition": {
                    "buildType": args.type,
                    "externalParameters": {},
                    "resolvedDependencies": materials,
                },
                "runDetails": {"builder": {"id": args.builder}},
            }
        case "authorship":
            return provenance.AUTHORSHIP, {"authorship": str(args.by), "note": args.note}
        case "review":
            result = "changes-requested" if args.changes_requested else "approved"
            return provenance.REVIEW, {"result": result, "note": args.note}
        case _:
            return provenance.APPROVAL, {"note": args.note}


def _plain_digest(text: str) -> dict[str, Json]:
    if not _DIGEST.fullmatch(text):
        raise RequestError(f"--source {text!a}: expected a digest such as gitCommit:HEX")
    algorithm, _, value = text.partition(":")
    return {algorithm: value}


def _subject(text: str) -> tuple[str, str]:
    """A digest and its name: of a file, or as it was given."""
    if _DIGEST.fullmatch(text):
        return text, text.partition(":")[0]
    total = hashlib.sha256()
    try:
        with Path(text).open("rb") as stream:
            while data := stream.read(_READ_BYTES):
                total.update(data)
    except OSError as error:
        raise RequestError(
            f"{text}: expected a file, or a digest such as gitCommit:HEX: {error.strerror}"
        ) from error
    return f"sha256:{total.hexdigest()}", Path(text).name
