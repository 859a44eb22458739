"""Put back what a killed sentinel left changed in the kernel (audit, nftables and the like).

Responses that still have time leave the kernel too, and are done again at the next start.

`vedette run` and the systemd unit (ExecStopPost, with --after) call it after each end of the
sentinel; by hand it is safe at any time while the agent does not run, and does nothing where
nothing was left.

Examples:
  vedette restore
  vedette restore --json

Exit codes: 0 all is as it was found, 2 something could not be put back
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from vedette.cli._options import add_config, add_json, summary
from vedette.codec.text import escape

if TYPE_CHECKING:
    from vedette.daemon.config import Config

SENTINEL = "sentinel"
PARTS = (SENTINEL, "uplink")


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = commands.add_parser("restore", help=summary(__doc__), description=__doc__)
    add_config(parser)
    add_json(parser)
    parser.add_argument(
        "--after",
        choices=PARTS,
        metavar="PART",
        help="this part has ended as systemd says in the environment: note it for the next sentinel"
        f" ({' or '.join(PARTS)}); only after the sentinel is anything to be restored",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Let every sensor and responder undo what an instance of it left behind."""
    from vedette.daemon import config, keeper_report  # noqa: PLC0415 (not for --help)

    settings = config.load(args.config)
    try:
        if args.after in {None, SENTINEL}:
            _restore(settings, is_json=args.json)
    finally:
        if args.after:
            end = keeper_report.end_by_systemd(os.environ)
            keeper_report.note_end(Path(settings.paths.run), args.after, end)
    return 0


def _restore(settings: Config, *, is_json: bool) -> None:
    from vedette import sensors  # noqa: PLC0415
    from vedette.daemon import assembly  # noqa: PLC0415
    from vedette.errors import DeviceError  # noqa: PLC0415
    from vedette.ports.discover import sensor_classes  # noqa: PLC0415

    run_dir = Path(settings.paths.run)
    undone: list[str] = []
    failed: list[str] = []
    for sensor_class in sensor_classes(sensors):
        try:
            undone += sensor_class.restore(run_dir)
        except (DeviceError, OSError) as error:
            failed.append(f"{sensor_class.__module__.rpartition('.')[2]}: {error}")
    undone += assembly.recover(assembly.responders(settings))
    failed += assembly.leave_kernel(settings)
    if is_json:
        print(json.dumps({"undone": undone, "failed": failed}))
    else:
        for line in undone:
            print(f"restored: {escape(line)}")
    if failed:
        raise DeviceError(
            "not everything could be put back; run it again as root\n" + "\n".join(failed)
        )
