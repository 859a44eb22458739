"""Takes out of the kernel what responses of a killed agent left in force there.

Rule: the records stay, so that the next start does again what still has time; a response that
nobody is left to end must not go on.
"""

from __future__ import annotations

from vedette.daemon import assembly
from vedette.daemon.config import Config
from vedette.daemon.defending import response_store
from vedette.errors import DeviceError


def leave_all(config: Config) -> tuple[list[str], list[str]]:
    """Let every responder leave; only while no agent runs.

    Returns:
        One line for each response that was let go, and one for each that could not be.
    """
    found = response_store(config).load()
    responders = assembly.responders(config).usable
    left: list[str] = []
    failed = list(found.problems)
    for kept in found.kept:
        responder = responders.get(kept.order.responder)
        name = f"{kept.order.responder} {kept.order.response_id}"
        if responder is None:
            failed.append(f"{name}: there is no such responder any more")
            continue
        try:
            if responder.holds(kept.order, kept.record):
                responder.leave(kept.order, kept.record)
                if not responder.holds(kept.order, kept.record):
                    left.append(name)
        except (DeviceError, OSError) as error:
            failed.append(f"{name}: {error}")
    return left, failed
