"""Make a release: a file, what it is and for whom, signed by the role of its kind.

  vedette release rules rules.bundle --samples rules.samples
  vedette release firmware cam.img --name cam --version 2.1.0 --hardware cam-2 --files rootfs.tar
  vedette release model person/ --version 3 --entry person.onnx --runner onnx --golden golden/
  vedette release rollout firmware cam --percent 5        then more, or 0: nobody
  vedette release withdraw firmware cam --counter 7

A release waits in the repository until `vedette repo publish`. Its counter, not its version, says
what is newer; a counter that was used is never used again. What each flag means to a device, and
how statements about who built and reviewed it are made: agent/docs/releases.md.

Exit codes: 0 staged, 2 nothing was staged
"""

from __future__ import annotations

import argparse
from pathlib import Path

from vedette.cli._options import add_json, summary
from vedette.cli._passwords import add_password_file
from vedette.cli._release_options import add_keys, add_repository, late
from vedette.model.release import ReleaseKind, Urgency

_DEFAULT_TIME_MS = 5_000
_DEFAULT_MEMORY_MB = 512
_DEFAULT_OUTPUT_KB = 1_024


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand and its verbs."""
    parser = commands.add_parser("release", help=summary(__doc__), description=__doc__)
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", required=True, dest="verb")
    _add_content(verbs)
    _add_firmware(verbs)
    _add_model(verbs)
    _add_changes(verbs)


def _add_content(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """What is signed content of its own already, or is taken as it is."""
    for kind, words in (
        (ReleaseKind.RULES, "a bundle of rules, as `vedette rules build` signs it"),
        (ReleaseKind.PLAYBOOKS, "a set of playbooks, as `vedette playbooks build` signs it"),
        (ReleaseKind.POLICY, "a release policy, as `vedette policy build` signs it"),
        (ReleaseKind.ADVISORIES, "a file of advisories, as it is"),
        (ReleaseKind.OPERATORS, "a file for the operators' tools, as it is"),
    ):
        verb = _verb(verbs, str(kind), f"release {words}", "_release_content")
        verb.add_argument("file", type=Path, metavar="FILE")
        verb.set_defaults(kind=kind)
        if kind is ReleaseKind.RULES:
            verb.add_argument(
                "--samples", type=Path, metavar="FILE", help="what a device tries the rules on"
            )
        _add_terms(verb, name="main", needs_version=kind in (
            ReleaseKind.ADVISORIES, ReleaseKind.OPERATORS
        ))  # fmt: skip


def _add_firmware(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    verb = _verb(verbs, "firmware", "release an image of a slot", "_release_firmware")
    verb.add_argument("image", type=Path, metavar="IMAGE")
    verb.add_argument(
        "--files",
        type=Path,
        metavar="DIR|TAR",
        help="the root file system, unpacked or as a tar: what the device's files are meant to be",
    )
    verb.add_argument("--no-index", action="store_true", help="leave out the index of blocks")
    verb.add_argument(
        "--late-rollback-hours", type=float, default=24.0, metavar="N", help="default: 24"
    )
    verb.add_argument(
        "--closes-window", action="store_true", help="its commit rules out what was before, at once"
    )
    _add_terms(verb, name="", needs_version=True)


def _add_model(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    verb = _verb(verbs, "model", "release a directory with a model", "_release_model")
    verb.add_argument("directory", type=Path, metavar="DIR")
    verb.add_argument("--entry", required=True, metavar="PATH", help="the file a runner loads")
    verb.add_argument("--runner", required=True, metavar="NAME", help="of the device's runners")
    verb.add_argument(
        "--parameter",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="for the runner's template; the device says which ones it takes",
    )
    verb.add_argument(
        "--signature", type=Path, metavar="FILE", help="OpenSSF model signature (default: model.sig"
        " in or beside DIR, where there is one)"
    )  # fmt: skip
    verb.add_argument(
        "--golden",
        type=Path,
        metavar="DIR",
        help="NAME.input.json and NAME.expected.json of runs that must come out right",
    )
    verb.add_argument("--absolute", type=float, default=0.0, metavar="X", help="tolerance")
    verb.add_argument("--relative", type=float, default=0.0, metavar="X", help="tolerance")
    verb.add_argument(
        "--manifest-only", type=Path, metavar="FILE", help="write the manifest, which statements"
        " are about, and stage nothing"
    )  # fmt: skip
    verb.add_argument("--time-ms", type=int, default=_DEFAULT_TIME_MS, metavar="N")
    verb.add_argument("--memory-mb", type=int, default=_DEFAULT_MEMORY_MB, metavar="N")
    verb.add_argument("--output-kb", type=int, default=_DEFAULT_OUTPUT_KB, metavar="N")
    _add_terms(verb, name="", needs_version=True)


def _add_changes(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    for name, words in (
        ("rollout", "change who may have a release, and when"),
        ("withdraw", "take a release back: no device is offered it any more"),
    ):
        verb = _verb(verbs, name, words, f"_release_{name}")
        verb.add_argument("kind", type=ReleaseKind, choices=list(ReleaseKind), metavar="KIND")
        verb.add_argument("name", metavar="NAME")
        verb.add_argument("--counter", type=int, metavar="N", help="default: the newest")
        if name == "rollout":
            _add_rollout(verb)


def _verb(
    verbs: argparse._SubParsersAction[argparse.ArgumentParser], name: str, words: str, module: str
) -> argparse.ArgumentParser:
    parser = verbs.add_parser(name, help=words, description=words)
    add_repository(parser)
    add_keys(parser)
    add_password_file(parser)
    add_json(parser)
    parser.set_defaults(run=late(module))
    return parser


def _add_terms(parser: argparse.ArgumentParser, *, name: str, needs_version: bool) -> None:
    """Add the flags that `_release_terms.read` reads."""
    group = parser.add_argument_group("what it is")
    if name:
        group.add_argument("--name", default=name, help=f"default: {name}")
    else:
        group.add_argument("--name", required=True, help="a-z, 0-9 and hyphens")
    if needs_version:
        group.add_argument("--version", required=True, help="for people; the counter counts")
    else:
        group.add_argument("--version", default="", help="for people (default: the counter)")
    group.add_argument("--counter", type=int, metavar="N", help="default: one more than the last")
    group.add_argument("--summary", default="", metavar="TEXT", help="one line for people")
    group.add_argument(
        "--hardware", action="append", default=[], metavar="ID", help="only for these devices"
    )
    group.add_argument(
        "--needs",
        action="append",
        default=[],
        metavar="KIND/NAME:N",
        help="what has to be there before, with counter N or later",
    )
    group.add_argument("--agent", default="", metavar="X.Y", help="oldest Vedette that will do")
    group.add_argument(
        "--statement",
        action="append",
        default=[],
        type=Path,
        metavar="FILE",
        help="a signed in-toto statement about it (vedette attest)",
    )
    group.add_argument(
        "--keep", type=int, metavar="N", help="of its name stay listed with it (default: 3)"
    )
    _add_rollout(parser)


def _add_rollout(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("who may have it, and when")
    group.add_argument(
        "--percent", type=float, metavar="X", help="of the fleet, drawn anew for each release"
    )
    group.add_argument(
        "--full-after-hours", type=float, metavar="N", help="the part grows to all in that time"
    )
    group.add_argument("--starts", metavar="TIME", help="such as 2026-12-01T02:00Z")
    group.add_argument(
        "--window",
        action="append",
        metavar="'DAYS HH:MM-HH:MM'",
        help="such as 'mon-fri 02:00-04:00' or 'daily 23:00-01:00', on the device's clock face",
    )
    group.add_argument("--urgency", choices=list(Urgency), type=Urgency, metavar="WORD",
                       help=f"{', '.join(Urgency)}")  # fmt: skip
    group.add_argument(
        "--defer-hours",
        type=float,
        metavar="N",
        help="after the start no device waits longer, for its turn or a window",
    )
