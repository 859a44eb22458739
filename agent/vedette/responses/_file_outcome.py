"""What the disk says against a response on files, as an outcome that tells what to do about it."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from functools import wraps
from typing import Final, TypeVar

from vedette.codec.text import escape
from vedette.errors import ParseError, ResponseError
from vedette.model.response import Order, Outcome, ResponseStatus, UndoRecord
from vedette.ports.responder import Responder
from vedette.responses._place import RefusedError

_ADVICE: Final = {
    errno.EROFS: "its file system is read-only: nothing can be moved there, deny its execution",
    errno.ENOSPC: "the disk is full: make room",
    errno.EDQUOT: "the quota is used up: make room",
    errno.EPERM: "the kernel forbids it: an immutable folder (lsattr -d), or a capability lacks",
    errno.EACCES: "a security module forbids it, or the capability dac_override lacks",
    errno.EBUSY: "it is in use as a mount point: unmount what lies there",
    errno.ENOENT: "it is gone, or its folder is",
    errno.ENOTDIR: "a folder on the way is no folder any more",
    errno.EIO: "the disk does not work",
}

_Files = TypeVar("_Files", bound=Responder)
_Method = Callable[[_Files, Order, UndoRecord], Outcome]


def told(method: _Method[_Files]) -> _Method[_Files]:
    """Let a responder's method end with an Outcome, whatever the kernel or the disk says."""

    @wraps(method)
    def ended(self: _Files, order: Order, record: UndoRecord) -> Outcome:
        facts = {"path": str(record.get("path", ""))}
        try:
            return method(self, order, record)
        except RefusedError as error:
            return Outcome(ResponseStatus.REFUSED, str(error), facts)
        except (ResponseError, ParseError) as error:
            return Outcome(ResponseStatus.FAILED, str(error), facts)
        except OSError as error:
            return Outcome(ResponseStatus.FAILED, reason(error), facts)

    return ended


def reason(error: OSError) -> str:
    """What went wrong and what lifts it."""
    words = _ADVICE.get(error.errno or 0, "")
    said = error.strerror or os.strerror(error.errno or errno.EIO)
    return escape(f"{said}: {words}" if words else said)
