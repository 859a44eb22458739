"""A holder without a kernel: `python -m tests.simulators.fake_holder BEHAVIOUR`, socket as output.

well: uses all lists, answers all questions. mute: takes everything, says nothing. forgetful: uses
lists and answers no question. refuses: says why it cannot and ends. babbles: tells nonsense. dies:
ends after the first lists. deaf: ends after them as well, with a question that it has not read.
"""

from __future__ import annotations

import os
import select
import sys

from vedette.codec.holder_orders import ASK, COMMIT, MESSAGE_BYTES, Draft
from vedette.codec.holder_reports import Alive, InUse, Refused, encode_report

SOCKET = 1


def main(behaviour: str) -> int:
    """Run until nobody listens any more."""
    if behaviour == "refuses":
        os.write(SOCKET, encode_report(Refused("no such kernel")))
        return 2
    if behaviour == "babbles":
        os.write(SOCKET, b"\xff\xff")
    draft, denied = Draft(), 0
    while message := os.read(SOCKET, MESSAGE_BYTES):
        kind, number = draft.take(message)
        if behaviour == "mute":
            continue
        if kind == COMMIT:
            denied = len(draft.lists.denied) + len(draft.lists.denied_paths)
            os.write(SOCKET, encode_report(InUse(number, denied, "", is_cached=True)))
            if behaviour == "deaf":
                select.select([SOCKET], [], [])
            if behaviour in {"dies", "deaf"}:
                return 3
        if kind == ASK and behaviour != "forgetful":
            os.write(SOCKET, encode_report(Alive(number, 1, denied, 0, 0)))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
