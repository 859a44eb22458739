"""`python -m vedette.daemon.updater`: fetches for the installer at the other end of a descriptor.

Rule 1: it has its own user, no capability, no new privileges and no trusted state; all that it can
do wrong is to give nothing.
Rule 2: it lives no longer than who started it.
"""

from __future__ import annotations

import argparse
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

from vedette.daemon import last_words, privileges
from vedette.daemon.frame_stream import FrameStream
from vedette.daemon.updater.metadata_cache import CachedSource
from vedette.daemon.updater.service import UpdaterService
from vedette.daemon.updater.sources import load, open_source
from vedette.ports.release_source import ReleaseSource


def main(arguments: Sequence[str]) -> int:
    """Serve one installer; the exit code is 0 when it left or closed the link."""
    args = _parser().parse_args(arguments)
    return last_words.guarded(lambda: _run(args))


def serve(link: socket.socket, source: ReleaseSource, cache: Path) -> None:
    """Answer one installer from a source, with a cache of metadata in a folder.

    Raises:
        LinkError: the installer is gone in the middle of an answer.
        ParseError: it said what it never says.
    """
    cached = CachedSource(source, cache)
    UpdaterService(FrameStream(link), cached, cached.clear).run()


def _run(args: argparse.Namespace) -> int:
    load(args.metadata)
    privileges.become(args.user)
    privileges.die_with_parent(signal.SIGKILL, args.parent)  # forgotten by a change of user
    source = open_source(args.metadata, args.targets, limit_bytes_s=args.limit, ca_file=args.ca)
    serve(socket.socket(fileno=args.link), source, args.cache)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="updater", allow_abbrev=False)
    parser.add_argument("--link", type=int, required=True, help="descriptor of a stream socket")
    parser.add_argument("--parent", type=int, required=True, help="pid to live no longer than")
    parser.add_argument("--metadata", required=True, help="URL or folder")
    parser.add_argument("--targets", required=True, help="URL or folder")
    parser.add_argument("--cache", type=Path, required=True, help="folder for metadata, untrusted")
    parser.add_argument("--user", default="", help="to become; none: stay")
    parser.add_argument("--limit", type=int, default=0, help="bytes a second; 0: no limit")
    parser.add_argument("--ca", default="", help="certificates instead of the system's")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
