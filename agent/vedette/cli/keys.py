"""Make, list and rotate the keys that sign releases.

Keys are files of one folder: NAME.key (private, encrypted with a password), NAME.pub (public), or
NAME.token for a key in hardware (PKCS#11). Keep the root keys on a machine that is never online:
of the others' keys only NAME.pub has to be there.

  vedette keys create root-a                      asks for a password
  vedette keys create root-pq --type ml-dsa-65    beside an Ed25519 key, for a 2-of-2
  vedette keys create root-b --token "YubiKey PIV" --module /usr/lib/libykcs11.so --id 2
  vedette keys list
  vedette keys rotate rules                       then: vedette repo rotate

Where no terminal is, --password-file names a file (mode 0600) or a descriptor (/dev/fd/3); a
password is never taken from the command line or from a variable. How keys and roles fit together:
agent/docs/releases.md.

Exit codes: 0 done, 2 nothing was written
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from vedette.cli._options import add_json, summary
from vedette.cli._passwords import Passwords, add_password_file
from vedette.cli._release_options import add_keys
from vedette.errors import RequestError

if TYPE_CHECKING:
    from vedette.cli._key_store import KeyInfo, KeyStore

_TYPES = ("ed25519", "ml-dsa-65")


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand and its verbs."""
    parser = commands.add_parser("keys", help=summary(__doc__), description=__doc__)
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", required=True, dest="verb")
    creating = verbs.add_parser("create", help="make a key pair, or take one of a token")
    creating.add_argument("names", nargs="+", metavar="NAME")
    creating.add_argument("--type", choices=_TYPES, default=_TYPES[0], help="default: ed25519")
    creating.add_argument("--token", metavar="LABEL", help="the key is in this PKCS#11 token")
    creating.add_argument("--module", type=Path, metavar="FILE", help="the token's library")
    creating.add_argument("--id", type=int, metavar="N", help="of the key in the token (CKA_ID)")
    _add_common(creating, create, may_be_open=True)
    listing = verbs.add_parser("list", help="which keys are here, and where their secrets are")
    _add_common(listing, show)
    rotating = verbs.add_parser("rotate", help="make a new key under a name; the old one stays")
    rotating.add_argument("names", nargs="+", metavar="NAME")
    _add_common(rotating, rotate, may_be_open=True)
    changing = verbs.add_parser("password", help="encrypt private keys under a new password")
    changing.add_argument("names", nargs="+", metavar="NAME")
    changing.add_argument(
        "--new-password-file", type=Path, metavar="FILE", help="else it is asked twice"
    )
    _add_common(changing, set_password)


def _add_common(parser: argparse.ArgumentParser, run: object, *, may_be_open: bool = False) -> None:
    add_keys(parser)
    add_password_file(parser)
    if may_be_open:
        parser.add_argument(
            "--no-password", action="store_true", help="leave it unencrypted: for development"
        )
    add_json(parser)
    parser.set_defaults(run=run)


def create(args: argparse.Namespace) -> int:
    """Make keys, or adopt one of a token."""
    store = _store(args)
    if args.token is None:
        if args.module or args.id is not None:
            raise RequestError("expected --token LABEL with --module and --id")
        made = [
            store.create(name, args.type, is_encrypted=not args.no_password) for name in args.names
        ]
        return _tell(args, made)
    if len(args.names) != 1 or args.module is None or args.id is None:
        raise RequestError("expected one NAME, --module FILE and --id N with --token")
    return _tell(args, [store.adopt(args.names[0], args.module, args.token, args.id)])


def show(args: argparse.Namespace) -> int:
    """Print the keys of the folder."""
    store = _store(args)
    found = [store.info(name) for name in store.names()]
    if not found and not args.json:
        raise RequestError(f"{args.keys}: there is no key; make one with: vedette keys create NAME")
    return _tell(args, found)


def rotate(args: argparse.Namespace) -> int:
    """Make new keys under names that are in use."""
    store = _store(args)
    pairs = [store.rotate(name, is_encrypted=not args.no_password) for name in args.names]
    if not args.json:
        for new, old in pairs:
            print(f"{new.name} is a new key; the one before is {old.name}: keep it for now")
        print("next: vedette repo rotate, then vedette repo publish", file=sys.stderr)
    return _tell(args, [info for pair in pairs for info in pair])


def set_password(args: argparse.Namespace) -> int:
    """Encrypt keys under another password."""
    store = _store(args)
    for name in args.names:
        store.set_password(name, Passwords(args.new_password_file))
    return _tell(args, [store.info(name) for name in args.names])


def _store(args: argparse.Namespace) -> KeyStore:
    from vedette.cli._key_store import KeyStore  # noqa: PLC0415 - cryptography: only when needed

    return KeyStore(args.keys, Passwords(args.password_file))


def _tell(args: argparse.Namespace, found: list[KeyInfo]) -> int:
    if args.json:
        print(json.dumps([one._asdict() for one in found]))
        return 0
    width = max((len(one.name) for one in found), default=0)
    for one in found:
        secret = one.place if one.place != "file" else "" if one.is_encrypted else "NOT ENCRYPTED"
        print(f"{one.name:{width}}  {one.key_type:10}  {one.key_id[:16]}  {secret}".rstrip())
    return 0
