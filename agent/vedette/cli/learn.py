"""Learn what is normal for this device, and write it as a profile for a person to review.

A router or camera does the same things every day. The running agent gathers them for hours to
days: programs with their content, which program starts which, ports that are open, peers that are
called. What it sees meanwhile is trusted on first use, so begin with a device that you trust, use
all it can do, and start it anew once, so that its start is learnt too. Then review what it wrote,
sign it (vedette profile sign), and put it where `[rules] profile` says; what leaves it is a
finding.

Examples:
  vedette learn start --for 72h
  vedette learn status
  vedette learn show                    (what it has learnt so far)
  vedette learn write camera.draft      (JSON, one entry a line: review it, edit it)
  vedette learn stop

Exit codes: 0 done, 1 status: nothing is being learnt; stop: you said no, 2 could not be done
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

from vedette.cli import _profile_text
from vedette.cli._files import replace_file
from vedette.cli._options import add_config, add_json, summary
from vedette.codec.profile import decode_draft
from vedette.codec.strict_json import Json
from vedette.daemon import config, control_client
from vedette.errors import DeviceError, ParseError, RequestError

ADVISED_S = 24 * 3600
"""Shorter runs miss what happens at night."""
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand and its verbs."""
    parser = commands.add_parser("learn", help=summary(__doc__), description=__doc__)
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", required=True, dest="verb")
    starting = _verb(verbs, "start", "begin to learn", start)
    starting.add_argument(
        "--for",
        dest="seconds",
        type=duration,
        default=duration("72h"),
        metavar="TIME",
        help="such as 90m, 72h or 7d, from 1m to 90d (default: 72h)",
    )
    kept = starting.add_mutually_exclusive_group()
    kept.add_argument("--resume", action="store_true", help="add to what the last run learnt")
    kept.add_argument("--fresh", action="store_true", help="throw away what it learnt")
    stopping = _verb(verbs, "stop", "end learning; what was learnt is kept", stop)
    stopping.add_argument("--yes", action="store_true", help="do not ask, also before its time")
    _verb(verbs, "status", "how far it is, and what could not be learnt", status)
    _verb(verbs, "show", "what was learnt so far", show)
    writing = _verb(verbs, "write", "write the draft of a profile", write)
    writing.add_argument("file", type=Path, metavar="FILE", help="replaced if it is there")


def duration(text: str) -> int:
    """Seconds of such as 90m, 72h or 7d; argparse tells what is wrong."""
    found = re.fullmatch(r"([1-9][0-9]{0,6})([smhd])", text)
    if found is None:
        raise argparse.ArgumentTypeError(f'expected a time such as 90m, 72h or 7d, got "{text}"')
    return int(found[1]) * _UNITS[found[2]]


def start(args: argparse.Namespace) -> int:
    """Begin a run."""
    wanted: dict[str, Json] = {
        "seconds": args.seconds, "resume": args.resume, "fresh": args.fresh,
    }  # fmt: skip
    run = _ask(args, "learn.start", wanted)
    if args.json:
        print(json.dumps(run))
        return 0
    print("\n".join(_profile_text.run_lines(run)))
    print("start this device anew once while it learns, so that its start is learnt too")
    if args.seconds < ADVISED_S:
        print("less than a day misses what happens at night", file=sys.stderr)
    return 0


def stop(args: argparse.Namespace) -> int:
    """End the run; asks where its time is not over."""
    run = _ask(args, "learn.status", {})
    is_early = run.get("state") == "learning" and not _profile_text.is_over(run)
    if is_early and not args.yes and not _is_meant(run):
        print("it goes on", file=sys.stderr)
        return 1
    run = _ask(args, "learn.stop", {"early": is_early})
    print(json.dumps(run) if args.json else "\n".join(_profile_text.run_lines(run)))
    return 0


def status(args: argparse.Namespace) -> int:
    """Print how far it is; 1 where nothing is being learnt."""
    run = _ask(args, "learn.status", {})
    print(json.dumps(run) if args.json else "\n".join(_profile_text.run_lines(run)))
    return 0 if run.get("state") == "learning" else 1


def show(args: argparse.Namespace) -> int:
    """Print what was learnt so far."""
    answer = _ask(args, "learn.show", {})
    draft = _draft(answer)
    if args.json:
        print(draft.decode(), end="")
    else:
        print("\n".join(_profile_text.lines(decode_draft(draft))))
    return 0


def write(args: argparse.Namespace) -> int:
    """Write the draft to a file."""
    if not args.file.parent.is_dir() or args.file.is_dir():
        raise RequestError(f"{args.file}: expected a file in a folder that exists")
    answer = _ask(args, "learn.write", {})
    draft = _draft(answer)
    replace_file(args.file, draft, mode=0o600)
    if args.json:
        print(json.dumps(answer.get("run")))
        return 0
    print("\n".join(_profile_text.counts(decode_draft(draft))))
    print(f"review {args.file}, then: vedette profile sign {args.file} -o FILE --key KEYFILE …")
    return 0


def _draft(answer: dict[str, Json]) -> bytes:
    draft = answer.get("draft")
    try:
        data = str(draft).encode()
        decode_draft(data)
    except ParseError as error:
        raise DeviceError(f"expected the draft of a profile from the agent: {error}") from error
    return data


def _is_meant(run: dict[str, Json]) -> bool:
    if not sys.stdin.isatty():
        raise RequestError(
            "it has not learnt for its whole time, and nobody can be asked here: see vedette learn "
            "status, or stop it all the same with --yes"
        )
    for line in _profile_text.run_lines(run):
        print(line)
    question = "its time is not over; what it did not see will be findings. Stop? [y/N] "
    print(question, end="", flush=True)
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


def _verb(
    verbs: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    words: str,
    run: Callable[[argparse.Namespace], int],
) -> argparse.ArgumentParser:
    parser = verbs.add_parser(name, help=words, description=words)
    add_config(parser)
    add_json(parser)
    parser.set_defaults(run=run)
    return parser


def _ask(args: argparse.Namespace, do: str, params: dict[str, Json]) -> dict[str, Json]:
    return control_client.ask(config.load(args.config).control_socket, do, params)
