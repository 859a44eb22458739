"""Takes a file away to where only root can reach it, and brings it back bit for bit.

Rule 1: what is taken is the file that was judged: opened once without following a link, compared
by inode and digest, and compared again after it moved.
Rule 2: a file with one name loses its mode as well: who holds it open, or runs it, cannot
execute it again. One with other names keeps it, since those may be what the device lives by.
Rule 3: an immutable file is taken all the same, and has its flags back with the undo.
Rule 4: where it cannot be moved (a folder that takes no change, a disk without room) its mode is
taken in its place, which is told as PARTLY.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import ClassVar, Final

from vedette.errors import ResponseError
from vedette.model.response import (
    FileTarget,
    Order,
    Outcome,
    ResponseStatus,
    Target,
    UndoRecord,
)
from vedette.ports.responder import Responder, ResponderContext
from vedette.responses._file_calls import flags_of, read_only, set_flags
from vedette.responses._file_outcome import reason, told
from vedette.responses._file_users import mapped_by, running
from vedette.responses._judged import (
    Opened,
    file_target,
    folder_of,
    identity,
    judge,
    opened,
    opened_at,
    refuse_other_folder,
    refuse_own,
)
from vedette.responses._place import Place, RefusedError, held, shown
from vedette.responses._twin import digest_of, is_regular
from vedette.responses._vault import Kept, Vault

SHOWN_PIDS: Final = 8


class Quarantine(Responder):
    """Moves files into the responder's state folder."""

    target_type: ClassVar[type[Target]] = FileTarget
    has_undo: ClassVar[bool] = True
    outlives_reboot: ClassVar[bool] = True
    capabilities: ClassVar[frozenset[str]] = frozenset(
        ("chown", "dac_override", "fowner", "fsetid", "linux_immutable", "setfcap")
    )
    timeout_s: ClassVar[float] = 30.0

    def __init__(self, context: ResponderContext) -> None:
        super().__init__(context)
        self._vault = Vault(context.state_dir)

    def unavailable(self) -> str:
        """Why files cannot be moved here, or ""."""
        if not os.path.isdir("/proc/self/fd"):  # noqa: PTH112
            return "files are compared through /proc: mount it"
        return ""

    def plan(self, order: Order) -> UndoRecord:
        """Look at the file: which it is, and what its attributes are."""
        target = file_target(order)
        try:
            with opened(target.path) as found:
                self._guard(found)
                judge(found, target)
                return _record(found)
        except OSError as error:
            raise ResponseError(f"{shown(target.path)}: {reason(error)}") from error

    @told
    def act(self, order: Order, record: UndoRecord) -> Outcome:
        """Take the file away, or say that it lies there already."""
        target = file_target(order)
        with held(str(record["path"])) as place:
            lies_there = self._vault.status(order.response_id, place)
            if lies_there is not None:
                return self._again(order, record, place, lies_there)
        with opened(str(record["path"])) as found:
            self._guard(found)
            if identity(found.status) != record["file"]:
                raise RefusedError("another file has its name since it was judged: look again")
            if str(found.status.st_ctime_ns) != record["ctime_ns"]:
                judge(found, target)
            return self._take(order.response_id, found, record)

    @told
    def undo(self, order: Order, record: UndoRecord) -> Outcome:
        """Bring the file back to its place with all it had."""
        key, mode = order.response_id, int(record["mode"])
        with held(str(record["path"])) as place:
            refuse_other_folder(place, record)
            if _is_in_place(place, record) or self._is_returned(key, place, record):
                self._vault.forget(key, place)
            elif not self._give_back(key, place, mode):
                return _nothing_left(place, record)
            _finish(place, record)
            return _outcome(ResponseStatus.UNDONE, f"{shown(place.path)} is back", place.path)

    def holds(self, order: Order, record: UndoRecord) -> bool:
        """Whether the file lies in the quarantine still, or has no mode in its place."""
        try:
            with held(str(record["path"])) as place:
                there = place.status()
                return self._vault.status(order.response_id, place) is not None or (
                    there is not None
                    and _is_in_place(place, record)
                    and not stat.S_IMODE(there.st_mode)
                )
        except (OSError, ResponseError):
            return False

    def _guard(self, found: Opened) -> None:
        """Refuse what the device or the agent lives by."""
        path = found.place.path
        refuse_own(path, self.context.untouchable_paths)
        pids = sorted({1, os.getpid(), *self.context.untouchable_pids})
        user = mapped_by(pids, found.status, path)
        if user:
            raise RefusedError(
                f"{shown(path)} is in use by pid {user}, which must go on: not moved"
            )

    def _again(
        self, order: Order, record: UndoRecord, place: Place, status: os.stat_result
    ) -> Outcome:
        """Judge what lies in the quarantine already: `act` was cut off, or is called again."""
        key = order.response_id
        is_it = identity(status) == record["file"] or _looks_like(status, record)
        if not is_it:  # killed between moving it and comparing it
            self._vault.give_back(key, place, int(record["mode"]))
            raise RefusedError("another file was moved in its stead: that one is back")
        with self._vault.opened(key, place) as file:
            if status.st_nlink == 1:
                os.fchmod(file, 0)
            return _outcome(
                ResponseStatus.DONE,
                f"lies in {shown(self._vault.path_of(key, place))} already",
                place.path,
                sha256=digest_of(file),
            )

    def _take(self, key: str, found: Opened, record: UndoRecord) -> Outcome:
        place, file, _ = found
        flags = flags_of(file)
        try:
            set_flags(file, 0)
            is_settled = _looks_like(os.fstat(file), record)
            kept = self._vault.take(key, place, file, may_copy=is_settled)
        except RefusedError:
            set_flags(file, flags)
            raise
        except OSError as error:
            return self._in_place(found, flags, error)
        names_left = os.fstat(file).st_nlink - (kept is not Kept.COPIED)
        if found.status.st_nlink == 1 and stat.S_IMODE(found.status.st_mode) == record["mode"]:
            os.fchmod(file, 0)
        return self._taken(key, found, kept, names_left)

    def _taken(self, key: str, found: Opened, kept: Kept, names_left: int) -> Outcome:
        place, file, status = found
        where = self._vault.path_of(key, place)
        pids = running(status)
        words = [f"moved to {shown(where)}"]
        if kept is Kept.BESIDE:
            words.append("it could not be copied to the agent's folder")
        if names_left:
            words.append(f"{names_left} other names of it stay, and their mode")
        if pids:
            some = ", ".join(map(str, pids[:SHOWN_PIDS]))
            words.append(f"{len(pids)} processes go on running it: pid {some}")
        return _outcome(
            ResponseStatus.PARTLY if names_left else ResponseStatus.DONE,
            "; ".join(words),
            place.path,
            stored=kept.value,
            sha256=digest_of(file),
            size_bytes=status.st_size,
            names_left=names_left,
            running=len(pids),
        )

    def _in_place(self, found: Opened, flags: int, error: OSError) -> Outcome:
        """It cannot be moved: take the mode from it, if nothing else goes by this file."""
        place, file, status = found
        reason = error.strerror or "unknown error"
        if error.errno == errno.ENOENT or status.st_nlink != 1:
            set_flags(file, flags)
            raise error
        try:
            os.fchmod(file, 0)
        except OSError:
            set_flags(file, flags)
            raise error from None
        return _outcome(
            ResponseStatus.PARTLY,
            f"it cannot be moved ({reason}): it stays, but nobody can execute it, and only root "
            "can read it",
            place.path,
            stored="in-place",
        )

    def _is_returned(self, key: str, place: Place, record: UndoRecord) -> bool:
        """Whether an undo that was cut off had brought a copy back already."""
        status, there = self._vault.status(key, place), place.status()
        if status is None or there is None or not _looks_like(there, record):
            return False
        with self._vault.opened(key, place) as kept, opened_at(place) as found:
            return digest_of(kept) == digest_of(found.file)

    def _give_back(self, key: str, place: Place, mode: int) -> bool:
        try:
            return self._vault.give_back(key, place, mode)
        except FileExistsError as error:
            raise ResponseError(
                f"another file has the name {shown(place.path)} by now: move that away and undo "
                f"again; until then it stays in {shown(self._vault.path_of(key, place))}"
            ) from error


def _record(found: Opened) -> UndoRecord:
    status = found.status
    return {
        "path": found.place.path,
        **folder_of(found.place),
        "file": identity(status),
        "mode": stat.S_IMODE(status.st_mode),
        "owner": f"{status.st_uid}:{status.st_gid}",
        "flags": flags_of(found.file),
        "size_bytes": status.st_size,
        # As text: a hostile file system has times of more than 64 bits.
        "mtime_ns": str(status.st_mtime_ns),
        "ctime_ns": str(status.st_ctime_ns),
    }


def _looks_like(status: os.stat_result, record: UndoRecord) -> bool:
    """Whether a file has size, time and owner as recorded: a copy, or itself after a reboot."""
    return is_regular(status) and (
        (status.st_size, str(status.st_mtime_ns), f"{status.st_uid}:{status.st_gid}")
        == (record["size_bytes"], record["mtime_ns"], record["owner"])
    )


def _is_in_place(place: Place, record: UndoRecord) -> bool:
    """Whether the file itself has its name: it was never moved, or is back."""
    there = place.status()
    return there is not None and is_regular(there) and identity(there) == record["file"]


def _nothing_left(place: Place, record: UndoRecord) -> Outcome:
    there = place.status()
    if there is not None and _looks_like(there, record):
        _finish(place, record)
        return _outcome(ResponseStatus.UNDONE, f"{shown(place.path)} is in its place", place.path)
    raise RefusedError(
        f"{shown(place.path)} is neither in the quarantine nor in its place: there is nothing to "
        "bring back"
    )


def _finish(place: Place, record: UndoRecord) -> None:
    """Give a file in its place the mode and the flags that it had."""
    file = read_only(place.name, place.folder)
    try:
        status = os.fstat(file)
        if identity(status) != record["file"] and not _looks_like(status, record):
            raise RefusedError("another file has its name since it came back")
        if not stat.S_IMODE(status.st_mode) and record["mode"]:
            os.fchmod(file, int(record["mode"]))
        if record["flags"]:
            set_flags(file, int(record["flags"]))
    finally:
        os.close(file)


def _outcome(status: ResponseStatus, detail: str, path: str, **facts: str | int) -> Outcome:
    return Outcome(status, detail, {"path": path, **facts})


responder_class = Quarantine
