"""Runs a BusyBox applet under its applet's name, the way every command of a router is run.

The applet is drawn from those that the rules name; the file executed is the one BusyBox binary,
and what it talks to is a socket of our own that never answers. ATT&CK T1105, T1133.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from vedette_dev.stage import Drawn, Stage

TECHNIQUE = "T1105"
EXPECTS = ("attack.t1105", "attack.t1133")


def act(stage: Stage) -> str:
    drawn = stage.draw("process_creation", "Image", operators=("endswith",), where=_is_applet)
    name = drawn.match.value.lstrip("/")
    folder, token = stage.folder(), stage.word()
    applet = folder / "bin" / name
    applet.parent.mkdir()
    applet.symlink_to(stage.busybox())
    words = _ARGUMENTS[name](stage, token)
    stage.begin()
    stage.start([applet, *words], cwd=folder)
    return token


def _is_applet(drawn: Drawn) -> bool:
    has_tag = any(tag.startswith(EXPECTS) for tag in drawn.rule.tags)
    return has_tag and drawn.match.value.lstrip("/") in _ARGUMENTS


def _tftp(stage: Stage, token: str) -> list[str | Path]:
    address, port = stage.silent_udp(stage.loopback())
    return ["-g", "-r", token, address, str(port)]


def _ftpget(stage: Stage, token: str) -> list[str | Path]:
    address, port = stage.listen(stage.loopback()).getsockname()
    return ["-P", str(port), address, token, stage.word()]


def _wget(stage: Stage, token: str) -> list[str | Path]:
    address, port = stage.listen(stage.loopback()).getsockname()
    return [f"http://{address}:{port}/{token}"]


def _telnetd(stage: Stage, token: str) -> list[str | Path]:
    return ["-F", "-b", stage.loopback(), "-p", str(stage.free_port()), "-l", f"/bin/sh{token}"]


_ARGUMENTS: dict[str, Callable[[Stage, str], list[str | Path]]] = {
    "tftp": _tftp,
    "ftpget": _ftpget,
    "wget": _wget,
    "telnetd": _telnetd,
}
"""How each is run so that it stays for a while; which of them is run the rules decide."""
