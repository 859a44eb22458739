"""The sentinel's half of the holder, alone: `python -m tests.simulators.exec_stage SOCKET MOUNT`.

It watches one file system, which has to be the caller's own, and says each thing it is told as one
JSON line. SIGTERM ends it in good order; after ALARM_S it ends whatever happens, and everybody is
let go.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
from pathlib import Path

from vedette.daemon.deny_lists import UNKNOWN, Found
from vedette.daemon.deny_words import Report
from vedette.daemon.exec_holder import ExecHolder
from vedette.model.denial import Lists

ALARM_S = 100
LOOK_S = 0.005


def main(arguments: list[str]) -> int:
    """Run until SIGTERM.

    Args:
        arguments: the socket, the mount, then any of: unknown=MODE, essential=PATH,
            allowed=SIZE:SHA256.
    """
    signal.alarm(ALARM_S)
    socket, folder, *options = arguments
    lists = _lists(folder, options)
    holder = ExecHolder(Path(socket), lambda: Found(lists, ()), _tell)
    holder.open()
    with contextlib.suppress(asyncio.CancelledError):
        asyncio.run(_run(holder))
    return 0


def _lists(folder: str, options: list[str]) -> Lists:
    named = [option.partition("=")[::2] for option in options]
    unknown = next((value for name, value in named if name == "unknown"), "allow")
    sizes = [value.partition(":")[::2] for name, value in named if name == "allowed"]
    return Lists(
        unknown=UNKNOWN[unknown],
        allowed=frozenset((int(size), bytes.fromhex(digest)) for size, digest in sizes),
        essential=frozenset(value for name, value in named if name == "essential"),
        watched=frozenset({folder}),
    )


async def _run(holder: ExecHolder) -> None:
    loop = asyncio.get_running_loop()
    async with asyncio.TaskGroup() as group:
        running = group.create_task(holder.run())
        telling = group.create_task(_tell_starts(holder))
        loop.add_signal_handler(signal.SIGTERM, running.cancel)
        await asyncio.wait([running])
        telling.cancel()


async def _tell_starts(holder: ExecHolder) -> None:
    """Say each time that a holder has begun to use lists, or that it has ended."""
    was_up = False
    while True:
        is_up = holder.in_use is not None
        if is_up is not was_up:
            was_up = is_up
            _say({"up": is_up})
        await asyncio.sleep(LOOK_S)


def _tell(report: Report) -> None:
    _say({"condition": report.condition, **report.fields})


def _say(line: dict[str, object]) -> None:
    print(json.dumps(line), flush=True)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
