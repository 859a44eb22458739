"""Tells who opens the memory of the agent's processes, or writes in its folders, as it happens.

Rule 1: the kernel tells the pid of who did it (fanotify(7)); what the agent does itself is no news.
Rule 2: where the kernel or the user gives no fanotify this says so and does nothing: the files are
compared at every look all the same (own_files.py).
Rule 3: the entry of a process in /proc is held while it is watched, or the kernel would forget the
mark with it. Another mount of procfs has entries of its own: docs/threat-model.md says so.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import Final, NamedTuple

from vedette.codec import fanotify
from vedette.codec.fanotify import handle_of
from vedette.errors import ParseError
from vedette.sensors._libc import FAN_REPORT_DFID_NAME, FanotifyCalls

FOLDER_MASK: Final = (
    0x0800_0002  # FAN_EVENT_ON_CHILD | FAN_MODIFY
    | fanotify.ATTRIB | fanotify.CLOSE_WRITE | fanotify.CREATE | fanotify.DELETE
    | fanotify.MOVED_FROM | fanotify.MOVED_TO | fanotify.ONDIR
)  # fmt: skip
_OPEN: Final = 0x20  # FAN_OPEN
_READ_BYTES: Final = 65_536
_PAUSE_S: Final = 0.2
"""Our own commits make most of the events: they are read together, and the kernel merges them."""
_MOST_TOLD: Final = 16
"""At one reading: who writes ten thousand files tells nothing more with each."""


class Meddling(NamedTuple):
    """What somebody did; `path` is the file, or /proc/PID/mem."""

    pid: int
    path: str
    is_memory: bool


class MeddlingWatch:
    """Watches memory and folders.

    Args:
        tell: gets what was seen, in the event loop.
        own: pids whose doings are no news; asked anew at each event.
        proc: where proc(5) is mounted.

    Attributes:
        lacking: why memory or folders cannot be watched so, one line each.
    """

    def __init__(
        self,
        tell: Callable[[Meddling], None],
        own: Callable[[], Collection[int]],
        proc: Path = Path("/proc"),
    ) -> None:
        self._tell, self._own, self._proc = tell, own, proc
        self._calls: FanotifyCalls | None = None
        self._memory = self._files = -1
        self._pins: dict[int, int] = {}
        self._folders: tuple[str, ...] = ()
        self._timer: asyncio.TimerHandle | None = None
        self.lacking: list[str] = []

    def open(self, folders: Iterable[str]) -> None:
        """Begin to watch folders (not what is below them); raises nothing."""
        try:
            self._calls = FanotifyCalls()
            self._memory = self._calls.init(0)
        except OSError as error:
            self.lacking.append(f"memory of the agent: no fanotify ({error.strerror})")
            return
        loop = asyncio.get_running_loop()
        loop.add_reader(self._memory, self._read_memory)
        try:
            self._files = self._calls.init(FAN_REPORT_DFID_NAME)
            self._mark_folders(self._calls, tuple(folders))
            loop.add_reader(self._files, self._readable)
        except OSError as error:
            self.lacking.append(f"folders of the agent: no fanotify with names ({error.strerror})")

    def guard(self, pids: Iterable[int]) -> None:
        """Watch the memory of these processes, and no longer that of others."""
        wanted = {pid for pid in pids if pid > 0}
        for pid in self._pins.keys() - wanted:
            os.close(self._pins.pop(pid))  # its mark went with the process
        if self._calls is None:
            return
        for pid in wanted - self._pins.keys():
            path = str(self._proc / str(pid) / "mem")
            with contextlib.suppress(OSError):  # it has ended meanwhile
                self._pins[pid] = os.open(path, os.O_PATH | os.O_CLOEXEC)
                self._calls.mark_file(self._memory, _OPEN, path)

    def close(self) -> None:
        """Stop watching. Safe to call twice."""
        if self._timer is not None:
            self._timer.cancel()
        loop = asyncio.get_running_loop()
        for descriptor in (self._memory, self._files):
            if descriptor >= 0:
                loop.remove_reader(descriptor)
                os.close(descriptor)
        self._memory = self._files = -1
        while self._pins:
            os.close(self._pins.popitem()[1])
        self._calls = None

    def _mark_folders(self, calls: FanotifyCalls, folders: tuple[str, ...]) -> None:
        for folder in folders:
            try:
                calls.mark_file(self._files, FOLDER_MASK, folder)
            except OSError as error:
                self.lacking.append(f"{folder}: not watched ({error.strerror})")
        self._folders = folders

    def _read_memory(self) -> None:
        """Each event brings a descriptor of what was opened: close it, whoever opened it."""
        try:
            opened = fanotify.parse_opened(os.read(self._memory, _READ_BYTES))
        except (OSError, ParseError):
            return
        own = self._own()
        for event in opened[:_MOST_TOLD]:
            if event.pid not in own:
                self._tell(Meddling(event.pid, _path_of(event.descriptor), is_memory=True))
        for event in opened:
            if event.descriptor >= 0:
                os.close(event.descriptor)

    def _readable(self) -> None:
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._files)
        self._timer = loop.call_later(_PAUSE_S, self._read_files)

    def _read_files(self) -> None:
        self._timer = None
        try:
            events = fanotify.parse_events(os.read(self._files, _READ_BYTES))
        except (OSError, ParseError):
            events = []
        asyncio.get_running_loop().add_reader(self._files, self._readable)
        own = self._own()
        others = dict.fromkeys(
            (event.pid, event.directory, event.name) for event in events if event.pid not in own
        )
        for pid, directory, name in list(others)[:_MOST_TOLD]:
            self._tell(Meddling(pid, self._path(directory, name), is_memory=False))

    def _path(self, directory: bytes, name: bytes) -> str:
        folder = self._folder(directory) if directory else ""
        return f"{folder}/{os.fsdecode(name)}" if name not in {b"", b"."} else folder

    def _folder(self, key: bytes) -> str:
        """Where a folder lies, or "a folder of the agent" where the kernel does not say."""
        for folder in self._folders:
            found = self._through(folder, key)
            if found:
                return found
        return "a folder of the agent"

    def _through(self, folder: str, key: bytes) -> str:
        if self._calls is None:
            return ""
        try:
            mount = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError:
            return ""
        try:
            descriptor = self._calls.open_by_handle(mount, handle_of(key))
        except OSError:
            return ""
        finally:
            os.close(mount)
        try:
            return _path_of(descriptor)
        finally:
            os.close(descriptor)


def _path_of(descriptor: int) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}")  # noqa: PTH115
    except OSError:
        return "what is gone"
