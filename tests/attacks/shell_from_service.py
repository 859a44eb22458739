"""Makes a network service start a shell, as command injection into a device's web page does.

BusyBox's own web server, copied to the name of one of the daemons that the rules list, serves one
CGI script on a random loopback address; asking for the page runs the shell.
ATT&CK T1190, T1059.004.
"""

from __future__ import annotations

import contextlib
import http.client
import threading

from vedette_dev.stage import LINGER_S, Drawn, Stage

TECHNIQUE = "T1190"
EXPECTS = ("attack.t1190",)


def act(stage: Stage) -> str:
    home = stage.folder()
    daemon = stage.draw(
        "process_creation", "ParentImage", operators=("endswith",), where=_is_daemon
    ).match.value.lstrip("/")
    server = stage.copy(stage.busybox(), home / daemon)
    script = home / "cgi-bin" / stage.word()
    script.parent.mkdir()
    script.write_text(
        f"#!/bin/sh\nprintf 'Content-Type: text/plain\\r\\n\\r\\n'\nsleep {LINGER_S}\n"
    )
    script.chmod(0o755)
    address, port = stage.loopback(), stage.free_port()
    stage.start(["httpd", "-f", "-p", f"{address}:{port}", "-h", home], program=server)
    stage.await_listener(address, port)
    stage.begin()
    threading.Thread(
        target=_ask, args=(address, port, f"/cgi-bin/{script.name}"), daemon=True
    ).start()
    return script.name


def _is_daemon(drawn: Drawn) -> bool:
    name = drawn.match.value.lstrip("/")
    return bool(name) and "/" not in name and any(tag in EXPECTS for tag in drawn.rule.tags)


def _ask(address: str, port: int, path: str) -> None:
    with contextlib.suppress(OSError, http.client.HTTPException):
        connection = http.client.HTTPConnection(address, port, timeout=LINGER_S)
        connection.request("GET", path)
        connection.getresponse().read()
