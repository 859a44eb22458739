"""`vedette fleet command` and `approve`: what an operator wants, signed, sent, and answered.

Rule 1: what a device would refuse for its form is refused here, before anything is signed.
Rule 2: with `--write` nothing is sent: the file goes to the second operator, who approves it.
Rule 3: exit codes: 0 all that answered did it, 1 one refused, failed or did it partly, 2 nobody
answered or it could not be sent.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

from vedette.cli._files import replace_file
from vedette.cli._fleet_options import add_broker, add_registry
from vedette.cli._options import add_json
from vedette.errors import InputError, ParseError, RequestError

if TYPE_CHECKING:
    from vedette.model.command import Command

VALID_S = 600
WAIT_S = 30
VERBS = """\
verbs and what they take (more: --lasts SECONDS, 0 until undone; --incident ID):
  isolate                  cut the device off, except from its uplink and essential flows
  release                  end that
  block ADDRESS            drop what goes to an address and comes from it
  unblock ADDRESS          end that
  kill PID/START           end a process and its descendants, as reports name it
  quarantine PATH          move a file away (--sha256 DIGEST: only if it still is this one)
  restore PATH             put the last good copy of a watched file back
  undo RESPONSE            undo one response
  promote PLAYBOOK         let a playbook (its digest) act; needs two operators
  demote PLAYBOOK          let a playbook (name or digest) only observe
  acknowledge INCIDENT     seen; its responses last until somebody undoes them
  collect INCIDENT         fetch the evidence of an incident (-o FILE)
  update                   look for releases now, and wait for no rollout and no window
  rollback KIND            go back to the rules, firmware or model before (a group: two operators)

A group is isolated by two operators' keys: give --sign twice, or --write FILE and let the other one
do: vedette fleet approve FILE --sign KEY ...

exit codes: 0 done, 1 refused or failed somewhere, 2 not sent, or nobody answered
"""


def add(group: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the two actions."""
    command = group.add_parser(
        "command", help="sign and send a command, wait for receipts", epilog=VERBS
    )
    command.add_argument("verb", metavar="VERB")
    command.add_argument("about", nargs="?", metavar="WHAT", help="what the verb takes")
    command.add_argument("--tenant", required=True, help="whose devices")
    whom = command.add_mutually_exclusive_group(required=True)
    whom.add_argument("--device", help="one device")
    whom.add_argument("--group", help="all devices of a group")
    command.add_argument("--lasts", type=int, metavar="SECONDS", help="0: until undone")
    command.add_argument("--incident", metavar="ID", help="the incident that it answers")
    command.add_argument("--sha256", metavar="DIGEST", help="of the file to be moved away")
    command.add_argument(
        "--valid", type=int, default=VALID_S, metavar="SECONDS",
        help=f"no device carries it out after that (default: {VALID_S})",
    )  # fmt: skip
    _add_sending(command)
    command.set_defaults(run=run)
    approve = group.add_parser("approve", help="sign a written command as well, and send it")
    approve.add_argument("file", type=Path, metavar="FILE", help="of fleet command --write")
    _add_sending(approve)
    approve.set_defaults(run=run_approve)


def _add_sending(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--sign", required=True, type=Path, action="append", metavar="KEYFILE",
        help="an operator's private key, PEM; twice for two operators",
    )  # fmt: skip
    parser.add_argument("--write", type=Path, metavar="FILE", help="write it, send nothing")
    parser.add_argument(
        "--wait", type=int, default=WAIT_S, metavar="SECONDS",
        help=f"for receipts (default: {WAIT_S})",
    )  # fmt: skip
    parser.add_argument(
        "--expect", type=int, default=1, metavar="N",
        help="receipts of so many devices are enough (a group; default: wait for all of --wait)",
    )  # fmt: skip
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="where evidence goes")
    add_registry(parser)
    add_broker(parser, is_required=False)
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Sign a new command; then send it, or write it."""
    return _go_on(args, made(args))


def run_approve(args: argparse.Namespace) -> int:
    """Sign what another operator wrote; then send it, or write it."""
    from vedette.codec import command as codec  # noqa: PLC0415 (the operator's side alone)
    from vedette.core import orders  # noqa: PLC0415

    try:
        command = codec.decode(args.file.read_bytes())
    except OSError as error:
        raise RequestError(f"{args.file}: cannot read the command: {error.strerror}") from error
    except ParseError as error:
        raise InputError(f"{args.file}: {error}; write one with fleet command --write") from error
    orders.check(command)
    if command.expires_s <= time.time():
        raise RequestError(f"{args.file}: it has expired: no device takes it any more")
    return _go_on(args, command)


def made(args: argparse.Namespace) -> Command:
    """The command that the flags describe, not yet signed.

    Raises:
        RequestError: no device would take it.
    """
    from vedette.core import orders  # noqa: PLC0415
    from vedette.model.command import Audience, Command, Verb  # noqa: PLC0415

    if args.verb not in frozenset(Verb):
        raise RequestError(f"expected a verb ({', '.join(Verb)}), got {args.verb!a}")
    verb = Verb(args.verb)
    name = next((n for n, a in orders.ARGUMENTS[verb].items() if a.is_required), "")
    if args.about is not None and not name:
        raise RequestError(f"{verb} takes nothing, got {args.about!a}")
    given = {name: args.about, "incident": args.incident, "sha256": args.sha256}
    if name == "incident":
        given["incident"] = args.about
    given["lasts"] = str(args.lasts) if args.lasts is not None else None
    now_s = int(time.time())
    if args.valid < 1:
        raise RequestError("expected --valid to be 1 second or more")
    command = Command(
        Audience(args.tenant, args.group is not None, args.group or args.device),
        verb,
        {key: value for key, value in given.items() if key and value is not None},
        now_s,
        now_s + args.valid,
        (),
    )
    orders.check(command)
    return command


def _go_on(args: argparse.Namespace, command: Command) -> int:
    from vedette.codec import command as codec  # noqa: PLC0415

    if args.write is None and args.host is None:
        raise RequestError("expected --host of the broker to send it, or --write FILE")
    signed = _signed(command, args.sign)
    data = codec.encode(signed)
    if args.write is not None:
        replace_file(args.write, data)
        said = {"file": str(args.write), "command": codec.digest(data), "says": words(signed)}
        print(json.dumps(said) if args.json else f"{args.write}: {words(signed)}")
        return 0
    from vedette.cli._fleet_send import send  # noqa: PLC0415 (paho is needed to send alone)

    return send(args, signed, data)


def _signed(command: Command, keys: list[Path]) -> Command:
    from vedette.cli._command_numbers import next_number  # noqa: PLC0415
    from vedette.trust.approval import approve  # noqa: PLC0415
    from vedette.trust.keyfile import load_signer  # noqa: PLC0415

    for path in keys:
        command = approve(command, load_signer(path), next_number(path))
    return command


def words(command: Command) -> str:
    """A command in one line for people."""
    from vedette.codec.text import escape  # noqa: PLC0415

    given = "".join(f" {name}={escape(text)}" for name, text in sorted(command.arguments.items()))
    keys = " and ".join(f"{a.key_id[:16]} ({a.number})" for a in command.approvals)
    return f"{command.verb}{given} for {command.audience}, by {keys or 'nobody yet'}"
