"""A process of an update for firmware alone: `CONFIG recover`, `CONFIG apply RELEASE TARGETS [N]`.

With N the source says "stopped" after so many bytes and gives no more, until it is killed.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from vedette.codec import release as release_codec
from vedette.daemon import config as configuration
from vedette.daemon.appliers import firmware
from vedette.daemon.appliers.applier import Context
from vedette.daemon.step_teller import StepTeller
from vedette.daemon.updater.directory_source import DirectorySource
from vedette.ports.release_source import Reader, ReleaseSource
from vedette.store.state import FileState
from vedette.trust.tuf_floors import Floors


class StoppingSource(ReleaseSource):
    """A source that gives so many bytes of an image and then hangs."""

    def __init__(self, source: ReleaseSource, stops_after: int) -> None:
        self._source, self._left = source, stops_after

    def metadata(self, name: str, max_bytes: int) -> bytes:
        return self._source.metadata(name, max_bytes)

    def target(self, path: str, runs: Sequence[tuple[int, int]]) -> Reader:
        reader = self._source.target(path, runs)
        return _Stopping(reader, self) if path.endswith(".img") else reader

    def take(self, count: int) -> None:
        self._left -= count
        if self._left < 0:
            os.write(1, b"stopped\n")
            sys.stdin.read()


class _Stopping:
    def __init__(self, reader: Reader, source: StoppingSource) -> None:
        self._reader, self._source = reader, source

    def readinto(self, buffer: memoryview, /) -> int:
        count = self._reader.readinto(buffer)
        self._source.take(count)
        return count


def say(words: str) -> None:
    os.write(1, words.encode() + b"\n")


def main(arguments: Sequence[str]) -> None:
    config = configuration.load(Path(arguments[0]))
    teller = StepTeller(config.control_socket, config.updates_folder / "steps", by="schedule")
    floors = Floors(FileState(Path(config.paths.state) / "releases" / "floors"), 0)
    context = Context(config, teller, config.updates_folder / "staging", floors)
    firmware.recover(context)
    if arguments[1] == "apply":
        path, length, sha256, custom = json.loads(Path(arguments[2]).read_text())
        release = release_codec.decode(path, length, sha256, custom)
        source: ReleaseSource = DirectorySource(Path(arguments[3]), Path(arguments[3]))
        if len(arguments) > 4:
            source = StoppingSource(source, int(arguments[4]))
        say(firmware.applier(context).apply(release, source).name)
    say(str(floors.counter("firmware", "cam")))


if __name__ == "__main__":
    main(sys.argv[1:])
