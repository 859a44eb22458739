"""Show, compare and change what the files of this device are meant to be.

The first scan after installing is trusted: compare the device with its release before. From then
on every file that differs is told until it is put right or accepted; the journal keeps acceptances.

Examples:
  vedette baseline show
  vedette baseline diff                 (what the last scan found)
  vedette baseline diff --scan /etc     (scan now, then show what differs below /etc)
  vedette baseline accept /etc/hosts
  vedette baseline accept --all

Exit codes: 0 done (diff: nothing differs), 1 diff: something differs, 2 could not be done
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable

from vedette.cli._options import add_config, add_json, summary
from vedette.codec.strict_json import Json
from vedette.codec.text import escape
from vedette.daemon import config, control_client
from vedette.errors import DeviceError

POLL_S = 0.5
SCAN_S_MAX = 4 * 3600.0
SIGNS = {"added": "+", "removed": "-", "changed": "~"}


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand and its three verbs."""
    parser = commands.add_parser("baseline", help=summary(__doc__), description=__doc__)
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", required=True, dest="verb")
    _verb(verbs, "show", "how many files are expected, their digest, the last scan", show)
    differing = _verb(verbs, "diff", "the files that are not as expected", diff)
    differing.add_argument("--scan", action="store_true", help="scan first, and wait for it")
    differing.add_argument("paths", nargs="*", metavar="PATH", help="only at or below these")
    accepting = _verb(verbs, "accept", "take differences as meant", accept)
    accepting.add_argument("--all", action="store_true", help="all that `diff` shows")
    accepting.add_argument("paths", nargs="*", metavar="PATH", help="those at or below these")


def show(args: argparse.Namespace) -> int:
    """Print what is expected and how the last scan went."""
    answer = _ask(args, "baseline.show", {})
    if args.json:
        print(json.dumps(answer))
        return 0
    if not answer.get("digest"):
        print("the first scan is running; its files become the baseline when it is done")
        return 0
    print(f"files expected  {answer.get('files')}")
    print(f"digest          {escape(str(answer.get('digest')))}")
    _print_scan(answer.get("scan"))
    if answer.get("scanning"):
        print("a scan is running now")
    return 0


def diff(args: argparse.Namespace) -> int:
    """Print what differs; 1 if anything does."""
    if args.scan:
        _scan(args)
    answer = _ask(args, "baseline.diff", {"paths": args.paths})
    differences = answer.get("differences")
    found = differences if isinstance(differences, list) else []
    if args.json:
        print(json.dumps(answer))
        return 1 if found else 0
    for difference in found:
        print(_line(difference))
    _print_total(answer, len(found))
    return 1 if found else 0


def accept(args: argparse.Namespace) -> int:
    """Take differences into the baseline."""
    params: dict[str, Json] = {"paths": args.paths, "all": bool(args.all)}
    answer = _ask(args, "baseline.accept", params)
    if args.json:
        print(json.dumps(answer))
        return 0
    print(f"accepted {answer.get('accepted')} files, forgot {answer.get('removed')}")
    print(f"digest now {escape(str(answer.get('digest')))}")
    return 0


def _scan(args: argparse.Namespace) -> None:
    wanted = _ask(args, "baseline.scan", {}).get("scan_number")
    deadline_s = time.monotonic() + SCAN_S_MAX
    is_told = False
    while time.monotonic() < deadline_s:
        scan = _ask(args, "baseline.state", {}).get("scan")
        number = scan.get("number") if isinstance(scan, dict) else 0
        if isinstance(number, int) and isinstance(wanted, int) and number >= wanted:
            return
        if not is_told:
            print("scanning; Ctrl-C leaves it running", file=sys.stderr)
            is_told = True
        time.sleep(POLL_S)
    raise DeviceError("the scan did not end within four hours; see: vedette baseline show")


def _line(difference: Json) -> str:
    if not isinstance(difference, dict):
        return f"? {escape(str(difference))}"
    sign = SIGNS.get(str(difference.get("change")), "?")
    words = difference.get("words")
    what = ", ".join(str(word) for word in words) if isinstance(words, list) else ""
    who = f"  by {difference['changed_by']}" if difference.get("changed_by") else ""
    return escape(f"{sign} {difference.get('path')}  {what}{who}")


def _print_total(answer: dict[str, Json], shown: int) -> None:
    scan = answer.get("scan")
    failure = scan.get("failure") if isinstance(scan, dict) else ""
    if failure:
        print(f"the last scan failed: {escape(str(failure))}", file=sys.stderr)
    if not shown:
        print("every file is as expected" if not failure else "nothing is known to differ")
    elif answer.get("total") != shown:
        print(f"and more: {answer.get('total')} in all; accept or mend these, then scan again")


def _print_scan(scan: Json) -> None:
    if not isinstance(scan, dict):
        print("last scan       none yet")
        return
    trusted = ", trusted on first use" if scan.get("first") else ""
    print(
        f"last scan       {scan.get('files')} files in {scan.get('duration_s')} s, "
        f"{scan.get('hashed')} read, {scan.get('differences')} differ{trusted}"
    )
    if scan.get("failure"):
        print(f"it failed       {escape(str(scan.get('failure')))}")
    skipped = scan.get("skipped")
    for line in skipped if isinstance(skipped, list) else []:
        print(f"not judged      {escape(str(line))}")


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
    path = config.load(args.config).control_socket
    return control_client.ask(path, do, params)
