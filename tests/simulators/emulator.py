"""Stands for QEMU with a device of a few lines in it: console, monitor and root shell are real.

Each start of it takes the next word of the file "plan" in the folder of its console (the last one
for ever after): "well" answers at the root shell, "still" says one line and never moves again
(the disk of all others does, whenever somebody looks),
"moves" never answers, "resets" ends at once, "updates:PLACE,PLACE" writes what
lies at these places of its disk there again, WRITES sectors each, when it is told to update.
"""

from __future__ import annotations

import base64
import contextlib
import itertools
import selectors
import socket
import sys
import time
from pathlib import Path

WRITES = 150
SECTOR = 512


def main() -> None:
    places = dict(_chardevs(sys.argv[1:]))
    console = Path(places["console"])
    words = (console.parent / "plan").read_text().split()
    (console.parent / "plan").write_text(" ".join(words[1:] or words))
    with console.open("a") as stream:
        stream.write(f"Starting kernel ... ({words[0]})\n")
    if words[0] != "resets":
        _Device(words[0], places).run()


def _chardevs(argv: list[str]) -> list[tuple[str, str]]:
    found = []
    for before, word in itertools.pairwise(argv):
        values = dict(part.split("=", 1) for part in word.split(",") if "=" in part)
        if before == "-chardev":
            found.append((values["id"], values["path"]))
        elif before == "-drive":
            found.append(("disk", values["file"]))
    return found


class _Device:
    def __init__(self, way: str, places: dict[str, str]) -> None:
        self._way, _, written = way.partition(":")
        self._written = [int(word) for word in written.split(",") if word]
        self._disk = places["disk"]
        self._selector = selectors.DefaultSelector()
        for place, answer in (
            (places["monitor"], self._at_monitor),
            (places["shell"], self._at_shell),
        ):
            listener = socket.socket(socket.AF_UNIX)
            listener.bind(place)
            listener.listen(4)
            self._selector.register(listener, selectors.EVENT_READ, answer)

    def run(self) -> None:
        while True:
            for key, _ in self._selector.select():
                one = key.fileobj
                if not isinstance(one, socket.socket):
                    raise TypeError("expected sockets alone")
                if one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                    self._accept(one, key.data)
                    continue
                data = one.recv(65536)
                if not data:
                    self._selector.unregister(one)
                    one.close()
                else:
                    with contextlib.suppress(BrokenPipeError):
                        one.sendall(key.data(data.decode()))

    def _accept(self, listener: socket.socket, answer: object) -> None:
        one, _ = listener.accept()
        self._selector.register(one, selectors.EVENT_READ, answer)
        if answer == self._at_monitor:
            one.sendall(b"QEMU 7.2.0 monitor\r\n(qemu) ")

    def _at_monitor(self, asked: str) -> bytes:
        done = 7 if self._way == "still" else time.monotonic_ns()
        said = f"disk (#block1): rd_operations={done} idle_time_ns={time.monotonic_ns()}"
        answer = said if "blockstats" in asked else "RIP=ffffffff81000000"
        return f"{asked}\r\n{answer}\r\n(qemu) ".encode()

    def _at_shell(self, asked: str) -> bytes:
        if self._way not in {"well", "updates"}:
            return b""
        for line in asked.splitlines():
            if self._written and b"update run" in base64.b64decode(line.split(" ")[2]):
                self._update()
        return b"".join(b"%s 0 \n" % line.split()[0].encode() for line in asked.splitlines())

    def _update(self) -> None:
        # By its path: nobody starts QEMU with our path.
        sys.path.insert(0, str(Path(__file__).parents[2]))
        from tests.simulators.block_client import BlockClient  # noqa: PLC0415

        with BlockClient(self._disk) as disk:
            for number in range(WRITES):
                for place in self._written:
                    offset = place + number % 8 * SECTOR
                    disk.write(offset, disk.read(offset, SECTOR))


if __name__ == "__main__":
    main()
