"""Show the models of this device, check what lies on the disk, and go back to the one before.

  list      every model with its contents: which one is in use, which one was before
  verify    read all files of a model and compare them with what was verified when it came
  rollback  use the model again that was in use before, at once; its user is told, the step recorded

Examples:
  vedette model list
  vedette model verify person
  vedette model rollback person --reason "sees ghosts"

Exit codes: 0 done, 1 a file was changed, 2 could not be done (no such model, nothing to return to)
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from typing import NamedTuple

from vedette.cli import _update_rollback
from vedette.cli._options import add_config, add_json, summary
from vedette.codec.text import escape, human_size
from vedette.daemon import config
from vedette.daemon.model_options import Models
from vedette.daemon.models.in_use import DeviceModels
from vedette.errors import ParseError, RequestError, TrustError
from vedette.model.release import ReleaseKind
from vedette.model.update import Cause, Step

_SHOWN = 16


class Row(NamedTuple):
    """One content of a model."""

    name: str
    version: str
    digest: str
    state: str
    size_bytes: int
    runner: str
    is_signed: bool


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand and its verbs."""
    parser = commands.add_parser("model", help=summary(__doc__), description=__doc__)
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", required=True, dest="verb")
    _add(verbs, "list", "models, and which one is in use", list_all)
    verifying = _add(verbs, "verify", "compare the files with what was verified", verify)
    verifying.add_argument("name", nargs="?", default="", help="of the model; all without it")
    back = _add(verbs, "rollback", "use the model before again", roll_back)
    back.add_argument("name", nargs="?", default="", help="of the model, where there are several")
    back.add_argument("--reason", default="a person asked for it")


def list_all(args: argparse.Namespace) -> int:
    """Print one line for each content."""
    rows = _rows(config.load(args.config).models)
    if args.json:
        print(json.dumps([row._asdict() for row in rows]))
        return 0
    for row in rows:
        signed = "signed" if row.is_signed else "not signed"
        print(
            f"{row.name} {row.version}  {row.digest[:_SHOWN]}  {row.state}  "
            f"{human_size(row.size_bytes)}, {row.runner}, {signed}"
        )
    if not rows:
        print("no models")
    return 0


def verify(args: argparse.Namespace) -> int:
    """Read everything; 1 and a step that is an incident for each content that was changed."""
    found = config.load(args.config)
    models = DeviceModels(found.models)
    names = _chosen(models.names(), args.name)
    results = [
        (name, digest, _problem(models, name, digest))
        for name in names
        for digest in models.store.digests(name)
    ]
    bad = [(name, digest, problem) for name, digest, problem in results if problem]
    if bad:
        _tell(found, bad)
    if args.json:
        keys = ("name", "digest", "problem")
        print(json.dumps([dict(zip(keys, one, strict=True)) for one in results]))
    else:
        for name, digest, problem in results:
            print(escape(f"{name} {digest[:_SHOWN]}: {problem or 'as it was verified'}"))
    return 1 if bad else 0


def roll_back(args: argparse.Namespace) -> int:
    """Use the model before again."""
    found = config.load(args.config)
    words = _update_rollback.roll_back(found, "model", args.name, "control", args.reason)
    print(json.dumps({"rolled_back": "model", "detail": words}) if args.json else escape(words))
    return 0


def _add(
    verbs: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    words: str,
    run: Callable[[argparse.Namespace], int],
) -> argparse.ArgumentParser:
    parser = verbs.add_parser(name, help=words)
    add_config(parser)
    add_json(parser)
    parser.set_defaults(run=run)
    return parser


def _rows(options: Models) -> list[Row]:
    models, rows = DeviceModels(options), []
    for name in models.names():
        pointers = models.pointers(name)
        in_use = "on trial" if pointers.is_trial else "in use"
        states = {pointers.last_good: "before", pointers.current: in_use}
        for digest in models.store.digests(name):
            try:
                manifest = models.store.manifest(name, digest)
            except (TrustError, ParseError) as error:
                row = Row(name, "?", digest, f"damaged: {escape(str(error))}", 0, "?", False)
            else:
                row = Row(
                    name, manifest.version, digest, states.get(digest, "kept"),
                    manifest.size_bytes, manifest.runner, manifest.signature is not None,
                )  # fmt: skip
            rows.append(row)
    return rows


def _chosen(names: list[str], name: str) -> list[str]:
    if name and name not in names:
        known = ", ".join(names) or "none"
        raise RequestError(f"expected a model of this device ({known}), got {name!a}")
    return [name] if name else names


def _problem(models: DeviceModels, name: str, digest: str) -> str:
    try:
        models.store.verify(name, digest)
    except (TrustError, ParseError) as error:
        return str(error)
    return ""


def _tell(found: config.Config, bad: list[tuple[str, str, str]]) -> None:
    teller = _update_rollback.teller(found, "control")
    for name, digest, problem in bad:
        teller.name(
            Step.REFUSED, ReleaseKind.MODEL, name, digest=digest, cause=Cause.ALTERED,
            reason=problem,
        )  # fmt: skip
