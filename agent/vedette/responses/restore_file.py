"""Puts the last good copy of a watched file into its place, and takes it away again.

Rule 1: good is what the hash baseline expects: content by its digest, owner, mode and capabilities
from its record, the other attributes from the copy.
Rule 2: the two change places in one step: no reader ever finds the file missing or half written.
Rule 3: what was there is kept as it is, a link as well, where only root can reach it, and has its
name back with the undo.
Rule 4: who changed the file since it was restored meant it: the undo leaves that alone.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from typing import ClassVar, Final, NamedTuple

from vedette.errors import ResponseError, StoreError
from vedette.model.baseline import FileRecord, GoodCopy
from vedette.model.response import FileTarget, Order, Outcome, ResponseStatus, Target, UndoRecord
from vedette.ports.responder import Responder, ResponderContext
from vedette.responses._aside import (
    CONTENT,
    RETURNING,
    beside_at,
    made_beside,
    remove,
    remove_beside,
    status_of,
)
from vedette.responses._file_calls import exchange, flags_of, mount_of, rename_new, set_flags, sync
from vedette.responses._file_outcome import reason, told
from vedette.responses._judged import (
    file_target,
    folder_of,
    identity,
    judge,
    opened_at,
    refuse_other_folder,
    refuse_own,
)
from vedette.responses._place import Place, RefusedError, held, shown
from vedette.responses._twin import digest_of, set_attributes, write
from vedette.responses._vault import Vault

NOTHING: Final = ""
"""In the record: no file had the name."""

SWAPPED: Final = "swapped"
"""What changes places with the file: after a kill it may be any file. RETURNING is always ours."""

_MAKE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Good(NamedTuple):
    """What the file is meant to be."""

    record: FileRecord
    copy: GoodCopy


class RestoreFile(Responder):
    """Restores from the good copies that the agent keeps (daemon/good_copies.py)."""

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
        """Why files cannot be restored here, or ""."""
        if self.context.baseline is None or self.context.good_copies is None:
            return "no good copies are kept: let the scan run (vedette doctor says why it does not)"
        return ""

    def plan(self, order: Order) -> UndoRecord:
        """Look at what is there, and whether there is something better."""
        target = file_target(order)
        try:
            with held(target.path) as place:
                refuse_own(place.path, self.context.untouchable_paths)
                good = self._good(place.path)
                if _is_good(place, good):
                    raise ResponseError(
                        f"{shown(place.path)} is as the baseline has it: nothing is to be restored"
                    )
                return {
                    "path": place.path,
                    **folder_of(place),
                    "good": good.record.digest,
                    **_before(place, target),
                }
        except OSError as error:
            raise ResponseError(f"{shown(target.path)}: {reason(error)}") from error

    @told
    def act(self, order: Order, record: UndoRecord) -> Outcome:
        """Put the good copy into its place, or say that it is there already."""
        with held(str(record["path"])) as place:
            refuse_own(place.path, self.context.untouchable_paths)
            good = self._good(place.path)
            if good.record.digest != record["good"]:
                raise RefusedError(f"another {shown(place.path)} was accepted since: look again")
            key = order.response_id
            _settle(key, place, record)
            kept = self._vault.status(key, place)
            if kept is None and _name_of(place) == record["file"]:
                self._put(order, place, good, record)
            elif not _is_good(place, good):
                raise RefusedError(f"{shown(place.path)} was changed meanwhile: look again")
            self._vault.adopt(key, place)
            remove_beside(key, place)
            return self._restored(key, place, good)

    @told
    def undo(self, order: Order, record: UndoRecord) -> Outcome:
        """Bring back what was there before, which may be nothing."""
        key = order.response_id
        with held(str(record["path"])) as place:
            refuse_other_folder(place, record)
            _settle(key, place, record)
            if _name_of(place) != record["file"]:
                self._bring_back(key, place, record)
            _set_flags(place, record)
            self._drop(key, place, record)
            words = f"{shown(place.path)} is as it was before it was restored"
            return Outcome(ResponseStatus.UNDONE, words, {"path": place.path})

    def holds(self, order: Order, record: UndoRecord) -> bool:
        """Whether the restored file is there: who changed it since meant it, and is told anew."""
        try:
            with held(str(record["path"])) as place:
                is_kept = self._vault.status(order.response_id, place) is not None
                return is_kept or _digest_at(place) == record["good"]
        except (OSError, ResponseError):
            return False

    def _good(self, path: str) -> Good:
        baseline, copies = self.context.baseline, self.context.good_copies
        if baseline is None or copies is None:
            raise ResponseError(self.unavailable())
        try:
            record = baseline.known(path)
            copy = copies.find(path, record.digest) if record and record.kind == "file" else None
        except StoreError as error:
            raise ResponseError(f"{shown(path)}: {error}") from error
        if record is None or copy is None:
            raise ResponseError(
                f"there is no good copy of {shown(path)}: they are kept of small files in watched "
                "configuration folders"
            )
        return Good(record, copy)

    def _put(self, order: Order, place: Place, good: Good, record: UndoRecord) -> None:
        key, target = order.response_id, file_target(order)
        try:
            with made_beside(key, place) as beside:
                remove(RETURNING, beside)
                _make(RETURNING, beside, good)
                if record["file"] == NOTHING:
                    rename_new(RETURNING, beside, place.name, place.folder)
                else:
                    _clear_flags(place, target, record)
                    os.rename(RETURNING, SWAPPED, src_dir_fd=beside, dst_dir_fd=beside)
                    _change_places(SWAPPED, beside, place, str(record["file"]))
                    os.rename(SWAPPED, CONTENT, src_dir_fd=beside, dst_dir_fd=beside)
        except (OSError, ResponseError):
            with suppress(OSError, ResponseError):
                _set_flags(place, record)
                _settle(key, place, record)
                remove_beside(key, place)
            raise
        sync(place.folder)

    def _restored(self, key: str, place: Place, good: Good) -> Outcome:
        words = f"{shown(place.path)} is as the baseline has it"
        facts: dict[str, str | int] = {"path": place.path, "sha256": good.record.digest}
        if self._vault.status(key, place) is not None:
            where = self._vault.path_of(key, place)
            words += f"; what was there lies in {shown(where)}"
            facts["stored"] = where
        return Outcome(ResponseStatus.DONE, words, facts)

    def _bring_back(self, key: str, place: Place, record: UndoRecord) -> None:
        """Let what was there before have its name again, if it is still ours that has it."""
        if _name_of(place) != NOTHING and _digest_at(place) != record["good"]:
            raise RefusedError(
                f"{shown(place.path)} was changed since it was restored: it is left as it is, and "
                f"what was there before lies in {shown(self._vault.path_of(key, place))}"
            )
        if record["file"] == NOTHING:
            self._take_ours_away(key, place, record)
            return
        with self._vault.lying(key, place) as lying:
            if status_of(*lying) is None:
                raise RefusedError(
                    f"what {shown(place.path)} was before is neither there nor kept: there is "
                    "nothing to bring back"
                )
            if _name_of(place) == NOTHING:
                rename_new(*lying, place.name, place.folder)
            else:
                _change_places(*lying, place, _name_of(place))
        sync(place.folder)

    def _take_ours_away(self, key: str, place: Place, record: UndoRecord) -> None:
        if _name_of(place) == NOTHING:
            return
        with made_beside(key, place) as beside:
            os.rename(place.name, SWAPPED, src_dir_fd=place.folder, dst_dir_fd=beside)
            if _digest(SWAPPED, beside) != record["good"]:
                rename_new(SWAPPED, beside, place.name, place.folder)
                raise RefusedError(f"{shown(place.path)} was changed meanwhile: it is left there")
            remove(SWAPPED, beside)
        sync(place.folder)

    def _drop(self, key: str, place: Place, record: UndoRecord) -> None:
        """Remove our copy from where the file lay that is in its place again."""
        with self._vault.lying(key, place) as lying:
            if status_of(*lying) is None:
                pass
            elif _digest(*lying) == record["good"]:
                remove(*lying)
            else:  # killed between the exchange and the look at what came out of it
                exchange(*lying, place.name, place.folder)
                raise RefusedError(f"{shown(place.path)} was replaced meanwhile: it is left there")
        remove_beside(key, place)


def _before(place: Place, target: FileTarget) -> dict[str, str | int]:
    """What is there now: a file, a link, or nothing; nothing else is replaced."""
    status = place.status()
    if status is None:
        return {"file": NOTHING, "flags": 0, "ctime_ns": ""}
    found: dict[str, str | int] = {"file": identity(status), "ctime_ns": str(status.st_ctime_ns)}
    if stat.S_ISLNK(status.st_mode):
        return {**found, "flags": 0}
    with opened_at(place) as opened:
        judge(opened, target)
        return {**found, "flags": flags_of(opened.file)}


def _name_of(place: Place) -> str:
    """Which file has the name now, or NOTHING."""
    status = place.status()
    return NOTHING if status is None else identity(status)


def _is_good(place: Place, good: Good) -> bool:
    """Whether the file is what the baseline expects, and has the attributes of the copy."""
    status, record = place.status(), good.record
    if status is None or (status.st_mode, status.st_uid, status.st_gid) != (
        record.mode,
        record.uid,
        record.gid,
    ):
        return False
    return _digest_at(place) == record.digest


def _digest_at(place: Place) -> str:
    try:
        with opened_at(place) as opened:
            return digest_of(opened.file)
    except (OSError, RefusedError):
        return ""


def _digest(name: str, folder: int) -> str:
    """The digest of a file in a folder of ours, "" for what is no file."""
    return _digest_at(Place(folder, name, name, mount_of(folder), is_guarded=True))


def _make(name: str, folder: int, good: Good) -> None:
    """Write the good file as it is meant to be, whole and on the disk."""
    record, copy = good
    target = os.open(name, _MAKE, 0o600, dir_fd=folder)
    try:
        write(target, copy.content, 0)
        # chown(2) clears set-id bits and capabilities, and an ACL sets the mode: hence this order.
        os.fchown(target, record.uid, record.gid)
        set_attributes(target, copy.attributes)
        os.fchmod(target, stat.S_IMODE(record.mode))
        os.utime(target, ns=(record.mtime_ns, record.mtime_ns))
        os.fsync(target)
    finally:
        os.close(target)


def _clear_flags(place: Place, target: FileTarget, record: UndoRecord) -> None:
    """Make a file movable whose flags forbid it, and judge it again if it was touched since."""
    status = place.status()
    if status is None or stat.S_ISLNK(status.st_mode):
        return
    with opened_at(place) as opened:
        if str(opened.status.st_ctime_ns) != record["ctime_ns"]:
            judge(opened, target)
        set_flags(opened.file, 0)


def _set_flags(place: Place, record: UndoRecord) -> None:
    if record["flags"] and _name_of(place) == record["file"]:
        with opened_at(place) as opened:
            set_flags(opened.file, int(record["flags"]))


def _change_places(name: str, folder: int, place: Place, other: str) -> None:
    """Exchange a file of ours with the one that is meant, by its identity, and no other one."""
    try:
        exchange(name, folder, place.name, place.folder)
    except OSError as error:
        if error.errno not in {errno.EINVAL, errno.ENOSYS}:
            raise
        raise ResponseError(
            "the file system cannot let two files change places in one step (renameat2): the file "
            "would be missing for a moment"
        ) from error
    status = status_of(name, folder)
    if status is None or identity(status) != other:
        exchange(name, folder, place.name, place.folder)
        raise RefusedError(f"{shown(place.path)} was replaced meanwhile: look again")


def _settle(key: str, place: Place, record: UndoRecord) -> None:
    """Finish what a kill cut off at the exchange: what came out of it may be any file."""
    with beside_at(key, place) as beside:
        status = status_of(SWAPPED, beside) if beside >= 0 else None
        if status is None:
            return
        if identity(status) == record["file"]:
            os.rename(SWAPPED, CONTENT, src_dir_fd=beside, dst_dir_fd=beside)
        elif _digest(SWAPPED, beside) == record["good"]:
            remove(SWAPPED, beside)
        elif _name_of(place) == NOTHING:
            rename_new(SWAPPED, beside, place.name, place.folder)
        else:
            exchange(SWAPPED, beside, place.name, place.folder)
            if _digest(SWAPPED, beside) == record["good"]:
                remove(SWAPPED, beside)


responder_class = RestoreFile
