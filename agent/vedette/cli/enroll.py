"""Enroll this device: make its key, put its root of trust and its broker in place.

To be run once on the device, and again whenever something is to be added: what is there stays, and
what was asked before need not be asked again. The signing key is made here and never leaves it;
so is the key of the TLS connection, for which a certificate is asked (a CSR) or made (self-signed).
Everything else is brought by flags, or by files of these names in a folder (default: enroll.d
beside the configuration, from which they are removed once they are in place):

  enroll.toml       device = "cam-7", tenant = "acme", class = "camera", groups = [],
                    broker = "mqtt.example.org", port = 8883, updates = "https://..."; each optional
  trust.json        whom this device trusts (vedette repo init)
  root.json         the root of its releases (likewise)
  rules.bundle      signed rules          playbooks.signed   signed playbooks
  device.profile    a signed profile      ca.pem             who signs the broker's certificate
  device.pem        the certificate that was signed for this device's request

All of it is verified before anything is written. What the operator must do then is printed.

Examples:
  vedette enroll --trust trust.json --rules rules.bundle
  vedette enroll --broker mqtt.example.org --ca ca.pem --tenant acme --device cam-7
  vedette enroll --certificate device.pem
  vedette enroll --from /media/usb --json

Exit codes: 0 done, 2 nothing was changed, or not all of it was
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from vedette.cli._options import add_config, add_json, summary


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = commands.add_parser("enroll", help=summary(__doc__), description=__doc__)
    add_config(parser)
    parser.add_argument("--from", dest="folder", type=Path, metavar="FOLDER", help="see above")
    who = parser.add_argument_group("who it is")
    who.add_argument("--device", metavar="NAME", help="in the fleet: a-z, 0-9, inner hyphens")
    who.add_argument("--tenant", metavar="NAME", help="whose device it is")
    who.add_argument("--class", metavar="NAME", help="what it is, as rules' filters say it")
    who.add_argument("--group", dest="groups", action="append", metavar="NAME", help="repeatable")
    _add_trust(parser)
    _add_broker(parser)
    parser.add_argument(
        "--new-key",
        action="store_true",
        help="the signing key is lost, or others know it: make another one; the old is kept beside",
    )
    add_json(parser)
    parser.set_defaults(run=run)


def _add_trust(parser: argparse.ArgumentParser) -> None:
    trust = parser.add_argument_group("whom it believes")
    for flag, words in (
        ("trust", "the trust document"),
        ("root", "the root of its releases"),
        ("rules", "a signed bundle"),
        ("playbooks", "a signed set"),
        ("profile", "a signed profile"),
    ):
        trust.add_argument(f"--{flag}", type=Path, metavar="FILE", help=words)
    trust.add_argument("--updates", metavar="URL", help="where its releases come from")


def _add_broker(parser: argparse.ArgumentParser) -> None:
    broker = parser.add_argument_group("whom it tells")
    broker.add_argument("--broker", metavar="HOST", help="MQTT 5, TLS; without port")
    broker.add_argument("--port", type=int, metavar="N", help="default: 8883")
    broker.add_argument("--ca", type=Path, metavar="FILE", help="who signs its certificate, PEM")
    broker.add_argument("--certificate", type=Path, metavar="FILE", help="signed for us, PEM")
    broker.add_argument(
        "--client-auth",
        choices=("csr", "self-signed", "none"),
        help="how the broker knows us: a certificate that is asked for (default), one that we "
        "sign ourselves and the broker is told, or none",
    )


def run(args: argparse.Namespace) -> int:
    """Read, verify, write, and say what is to be done next."""
    from vedette.cli import _enroll_offer, _enroll_text  # noqa: PLC0415 (cryptography: not for --help)
    from vedette.cli._enroll_plan import Plan  # noqa: PLC0415

    plan = Plan(args.config, client_auth=args.client_auth, is_new_key=args.new_key)
    plan.check(_enroll_offer.read(args, plan.folder))
    result = plan.carry_out()
    if args.json:
        print(json.dumps(_enroll_text.to_json(result)))
    else:
        print("\n".join(_enroll_text.render(result)))
    return 0
