r"""What an operator of many devices does: says whose keys count, and watches.

  enroll   write a device's public key into the registry, the only place keys are taken from
  watch    subscribe, verify every signature, and print one line for each incident
  command  sign a command for a device or a group, send it, and wait for the receipts
  approve  add a second operator's signature to a command that was written, and send it

Example:
  vedette fleet enroll --registry fleet.json --tenant acme --device cam-7 \
      --key 9d61b19d...511a --fingerprint 21fe31dfa154a261...9cbf
  vedette fleet watch --registry fleet.json --host broker.example --ca ca.pem \
      --certificate operator.pem --key operator.key
  vedette fleet command block 192.0.2.7 --tenant acme --device cam-7 --sign alice.key \
      --registry fleet.json --host broker.example --ca ca.pem --certificate ...

exit codes: 0 done, 2 could not be done, 130 interrupted
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from vedette.cli import _fleet_command
from vedette.cli._fleet_chains import KeptChains
from vedette.cli._fleet_options import add_broker, add_registry, read_registry
from vedette.cli._options import add_json, summary
from vedette.codec import registry, topics
from vedette.codec.registry import Registered
from vedette.errors import RequestError

if TYPE_CHECKING:
    import queue

    from vedette.cli._fleet_listener import Arrived
    from vedette.core.fleet import Fleet, Note

TICK_S = 10.0
"""How often silent devices are looked for."""

_HEX_KEY = re.compile("[0-9a-fA-F]{64}")
_MAX_WAITING = 10_000
"""Messages between paho's thread and ours; above it the broker keeps the rest."""
_OF_CHAINS = frozenset(("checkpoint", "chain"))
_QUIET = frozenset(("state", "birth", "report", "double", "ended", "checkpoint"))


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = commands.add_parser("fleet", help=summary(__doc__), description=__doc__)
    group = parser.add_subparsers(title="what to do", metavar="ACTION")
    _add_enroll(group)
    _add_watch(group)
    _fleet_command.add(group)


def _add_enroll(group: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = group.add_parser("enroll", help="write a device's public key into the registry")
    add_registry(parser)
    parser.add_argument("--tenant", required=True, help="whose device it is (a-z, 0-9, hyphens)")
    parser.add_argument("--device", required=True, help="its name in the fleet")
    parser.add_argument(
        "--key",
        required=True,
        metavar="KEY",
        help="public key: its 64 hex digits as vedette enroll prints them, or a PEM file",
    )
    parser.add_argument(
        "--fingerprint",
        default="",
        metavar="HEX",
        help="that the device shows (vedette enroll): another key is refused",
    )
    parser.add_argument("--note", default="", help="for people: where it hangs, who has it")
    parser.add_argument("--replace", action="store_true", help="the device has a new key")
    add_json(parser)
    parser.set_defaults(run=enroll)


def _add_watch(group: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = group.add_parser("watch", help="verify and print what devices tell")
    add_registry(parser)
    add_broker(parser)
    parser.add_argument("--tenant", default="", help="only this one's devices")
    parser.add_argument(
        "--chains",
        type=Path,
        metavar="FILE",
        help="keep there how far each device's checkpoints were followed, for the next watch",
    )
    parser.add_argument("--all", action="store_true", help="what says nothing new, too")
    add_json(parser)
    parser.set_defaults(run=watch)


def enroll(args: argparse.Namespace) -> int:
    """Add one device to the registry, which is made if there is none."""
    key = _read_key(args.key, args.fingerprint)
    add_device(
        args.registry,
        Registered(args.tenant, args.device, key, args.note),
        is_replacing=args.replace,
    )
    if args.json:
        print(json.dumps({"enrolled": f"{args.tenant}/{args.device}"}))
    else:
        print(f"{args.tenant}/{args.device} is in {args.registry}")
    return 0


def add_device(path: Path, device: Registered, *, is_replacing: bool) -> None:
    """Write a device into a registry file, at once and whole.

    Args:
        path: of the registry; made if it is missing.
        device: its names and key.
        is_replacing: a device that is there gets this key.

    Raises:
        RequestError: the names are malformed, the device is there, or another one has the key.
        InputError: the file is no registry.
    """
    for word, name in (("tenant", device.tenant), ("device", device.device)):
        if not topics.is_segment(name):
            raise RequestError(f"--{word}: expected a-z, 0-9 and inner hyphens, got {name!a}")
    known = read_registry(path) if path.exists() else {}
    place = (device.tenant, device.device)
    if place in known and known[place].public_key != device.public_key and not is_replacing:
        raise RequestError(
            f"{device.tenant}/{device.device} is in {path} with another key; use --replace if the "
            "device really has a new one"
        )
    for other, found in known.items():
        if other != place and found.public_key == device.public_key:
            raise RequestError(f"{found.tenant}/{found.device} has that key; give each its own")
    known[place] = device
    _write_whole(path, registry.encode(known))


def watch(args: argparse.Namespace) -> int:
    """Print what devices tell until Ctrl-C."""
    import queue  # noqa: PLC0415 (only the operator's side needs all of these)

    from vedette.cli._fleet_listener import Listener  # noqa: PLC0415
    from vedette.core.fleet import Fleet  # noqa: PLC0415
    from vedette.trust.ed25519 import Ed25519Verifier  # noqa: PLC0415

    devices = read_registry(args.registry)
    chains = KeptChains(args.chains, _write_whole)
    before = chains.read()
    arrived: queue.Queue[Arrived] = queue.Queue(_MAX_WAITING)
    listener = Listener(args.host, args.port, topics.subscriptions(args.tenant), arrived)
    listener.begin(args.ca, args.certificate, args.key)
    fleet = Fleet(devices, Ed25519Verifier(), time.monotonic(), before)
    printer = _Printer(is_json=args.json, shows_all=args.all)
    printer.remark(f"watching {len(devices)} devices of {args.registry}; Ctrl-C ends")
    try:
        _follow(fleet, arrived, printer, chains)
    except KeyboardInterrupt:
        return 0
    finally:
        listener.end()


def _follow(
    fleet: Fleet, arrived: queue.Queue[Arrived], printer: _Printer, chains: KeptChains
) -> NoReturn:
    import queue  # noqa: PLC0415

    from vedette.core.fleet import Publication  # noqa: PLC0415

    next_tick_s = time.monotonic() + TICK_S
    while True:
        try:
            found = arrived.get(timeout=max(0.0, next_tick_s - time.monotonic()))
        except queue.Empty:
            next_tick_s = time.monotonic() + TICK_S
            printer.show(fleet.tick(time.monotonic()))
            continue
        if isinstance(found, str):
            printer.remark(found)
        elif isinstance(found, Publication):
            notes = fleet.handle(found, time.monotonic())
            printer.show(notes)
            if any(note.kind in _OF_CHAINS for note in notes):
                chains.keep(fleet.links())


class _Printer:
    def __init__(self, *, is_json: bool, shows_all: bool) -> None:
        self._is_json = is_json
        self._shows_all = shows_all
        self._is_coloured = sys.stdout.isatty() and not os.environ.get("NO_COLOR")

    def show(self, notes: list[Note]) -> None:
        from vedette.cli import _fleet_lines  # noqa: PLC0415

        now_s = time.time()
        for note in notes:
            if self._is_json:
                print(json.dumps(_fleet_lines.document(note, now_s), ensure_ascii=True))
            elif self._shows_all or note.kind not in _QUIET:
                print(_fleet_lines.text(note, now_s, is_coloured=self._is_coloured))
        sys.stdout.flush()

    def remark(self, text: str) -> None:
        """What is about the connection goes to stderr: stdout is for what devices say."""
        from vedette.codec.text import escape  # noqa: PLC0415

        print(f"vedette fleet: {escape(text)}", file=sys.stderr, flush=True)


def _read_key(text: str, fingerprint: str) -> bytes:
    from vedette.trust.keyfile import key_id, load_public  # noqa: PLC0415

    key = bytes.fromhex(text) if _HEX_KEY.fullmatch(text) else load_public(Path(text))
    found = key_id(key)
    if fingerprint and fingerprint.replace(":", "").lower() != found:
        raise RequestError(
            f"--fingerprint: expected the fingerprint of the key that is enrolled, {found}, got "
            f"{fingerprint!a}: somebody may have changed the key on its way; compare both with "
            "what the device shows (vedette enroll)"
        )
    return key


def _write_whole(path: Path, data: bytes) -> None:
    """Readers see the old or the new registry, after a power cut too."""
    new = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        with new.open("xb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)
