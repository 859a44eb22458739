"""Our updater and our installer behind the command line of the public tuf-conformance suite.

    client --metadata-dir D init ROOT
    client --metadata-url U --metadata-dir D refresh
    client --metadata-url U --metadata-dir D --target-name T [--target-name T2 ...]
           --target-base-url V --target-dir X download

Exit code 0 where all of it was done, 1 else, with the reason on stderr.

It is two processes as on a device: the updater fetches, with a cache that nobody trusts; the
installer, without a network where this is root, verifies and writes. All that it trusts is under D:

    D/root.json, timestamp.json, ...   verified metadata, unversioned names
    D/root_history/                    every root on the way from the first
    D/.vedette/embedded-root           what `init` was given: the root that an image would embed
    D/.vedette/floors/                 versions, time of issue and counters, twice
    D/.vedette/.staging/, cache/       files on their way

A repository of the suite may be older than this program, so here the time floor begins at zero and
not at the time of our build.
"""

from __future__ import annotations

import argparse
import os
import socket
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from vedette.errors import VedetteError

if TYPE_CHECKING:
    from vedette.daemon.installer.linked_source import LinkedSource
    from vedette.trust.tuf_client import ReleaseTrust

OWN = ".vedette"
EMBEDDED_ROOT = "embedded-root"
MAX_ROOT_BYTES = 256 << 10
DONE, FAILED = 0, 1


def main(arguments: Sequence[str]) -> int:
    """Do what one command line says."""
    args = _parser().parse_args(arguments)
    try:
        if args.command == "init":
            init(args.metadata_dir, args.trusted_root)
        else:
            update(args)
    except (VedetteError, OSError) as error:
        print(f"client: {error}", file=sys.stderr)
        return FAILED
    return DONE


def init(folder: Path, trusted_root: Path) -> None:
    """Keep a root as if the image had brought it; it is verified when it is first used."""
    from vedette.store import durable  # noqa: PLC0415 (as all imports here: a start is 113 times)

    data = trusted_root.read_bytes()
    durable.make_folder(folder / OWN)
    durable.write(folder / OWN / EMBEDDED_ROOT, data)
    if not (folder / "root.json").exists():
        durable.write(folder / "root.json", data)


def update(args: argparse.Namespace) -> None:
    """Refresh, and download what is named."""
    from vedette.errors import StoreError  # noqa: PLC0415
    from vedette.store import durable  # noqa: PLC0415

    root = durable.read(args.metadata_dir / OWN / EMBEDDED_ROOT, MAX_ROOT_BYTES)
    if root is None:
        raise StoreError(f"{args.metadata_dir}: expected a root, found none: begin with init")
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    child = os.fork()
    if child == 0:
        ours.close()
        os._exit(_updater(theirs, args))
    theirs.close()
    try:
        _install(ours, root, args)
    finally:
        ours.close()
        os.waitpid(child, 0)


def _updater(link: socket.socket, args: argparse.Namespace) -> int:
    """The other process; what it cannot do is told over the link."""
    from vedette.daemon.updater.__main__ import serve  # noqa: PLC0415
    from vedette.daemon.updater.sources import open_source  # noqa: PLC0415

    try:
        source = open_source(args.metadata_url, args.target_base_url or args.metadata_url)
        serve(link, source, args.metadata_dir / OWN / "cache")
    except VedetteError as error:
        print(f"client, updater: {error}", file=sys.stderr)
        return FAILED
    return DONE


def _install(link: socket.socket, root: bytes, args: argparse.Namespace) -> None:
    from vedette.daemon.installer import lean_tuf  # noqa: PLC0415
    from vedette.daemon.installer.confinement import leave_network  # noqa: PLC0415

    leave_network()
    lean_tuf.leave_out_http()
    from vedette.daemon.installer.linked_source import LinkedSource  # noqa: PLC0415
    from vedette.daemon.installer.opening import open_trust  # noqa: PLC0415
    from vedette.errors import FetchError  # noqa: PLC0415

    source = LinkedSource(link)
    own = args.metadata_dir / OWN
    try:
        opened = open_trust(
            args.metadata_dir,
            own / "floors",
            root=root,
            source=source,
            build_s=0,
            wall_s=time.time(),
        )
        opened.trust.refresh()
        for name in args.target_name:
            _download(opened.trust, source, name, args.target_dir, own)
    except FetchError:
        source.close()
        raise
    finally:
        source.leave()


def _download(
    trust: ReleaseTrust, source: LinkedSource, name: str, folder: Path, own: Path
) -> None:
    from vedette.daemon.installer import staging as staged  # noqa: PLC0415
    from vedette.errors import FetchError  # noqa: PLC0415
    from vedette.store import durable  # noqa: PLC0415

    target = trust.target(name)
    if target is None:
        raise FetchError(f"expected a target {name!a}, no role has it")
    place = folder / quote(name, safe="")
    if staged.is_whole(target, place):
        return
    is_near = own.stat().st_dev == folder.stat().st_dev
    staging = (own if is_near else folder) / ".staging"
    durable.make_folder(staging)
    staged.fetch(source, target, staging / place.name)
    durable.rename(staging / place.name, place)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="client", allow_abbrev=False)
    parser.add_argument("--metadata-dir", type=Path, required=True)
    parser.add_argument("--metadata-url", default="")
    parser.add_argument("--target-name", action="append", default=[])
    parser.add_argument("--target-base-url", default="")
    parser.add_argument("--target-dir", type=Path)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("init").add_argument("trusted_root", type=Path)
    commands.add_parser("refresh")
    commands.add_parser("download")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
