"""Tells an inference process that another model is in force, as the device's configuration says.

Rule 1: it is told after the switch, never before; what it opens by `current` is the new one.
Rule 2: it must say that it took it, where the way allows an answer: a unit that is up again, "ok"
on its socket. A signal has no answer; whether it was taken shows on its probes.
"""

from __future__ import annotations

import json
import os
import signal
import socket
from pathlib import Path

from vedette.codec.text import escape
from vedette.daemon import essential_prober, privileges
from vedette.daemon.essential_prober import DownError
from vedette.errors import DeviceError, ParseError
from vedette.kernel import program
from vedette.model.model_use import ModelUse

SOCKET_TIMEOUT_S = 2.0
RESTART_TIMEOUT_S = 20.0
SIGNAL_TIMEOUT_S = 5.0
MAX_ANSWER_BYTES = 512
OK = b"ok"
MAX_PID = 1 << 22
"""proc(5), /proc/sys/kernel/pid_max."""


class HookError(DeviceError):
    """The inference process could not be told, or did not take the model."""


def tell(use: ModelUse, digest: str, folder: Path) -> None:
    """Tell the user of a model that another one is in force.

    Args:
        use: who it is and how it is told.
        digest: of the content; "" where there is none any more.
        folder: of the content that is in force, by the name `current`.

    Raises:
        HookError: it was not told, or says no.
    """
    match use.hook:
        case "restart":
            _systemctl(("restart", "--", use.unit), RESTART_TIMEOUT_S)
            _check_up(use.unit)
        case "signal" if use.unit:
            kill = ("kill", "--kill-who=main", f"--signal=SIG{use.signal}", "--", use.unit)
            _systemctl(kill, SIGNAL_TIMEOUT_S)
        case "signal":
            _signal(use)
        case "socket":
            _say(use, digest, folder)
        case "none":
            return


def _systemctl(words: tuple[str, ...], timeout_s: float) -> None:
    systemctl = next((one for one in essential_prober.SYSTEMCTL if os.access(one, os.X_OK)), "")
    if not systemctl:
        raise HookError("there is no systemctl: use a socket or a pid_file instead of a unit")
    try:
        ran = program.run([systemctl, "--no-pager", *words], timeout_s)
    except (OSError, TimeoutError) as error:
        raise HookError(f"systemctl {words[0]} {words[-1]}: {error}") from error
    if ran.status:
        said = escape(ran.output.strip())[-200:]
        raise HookError(f"systemctl {words[0]} {words[-1]} left with {ran.status}: {said}")


def _check_up(unit: str) -> None:
    try:
        state = essential_prober.unit_state(unit, SIGNAL_TIMEOUT_S)
    except (DownError, ParseError) as error:
        raise HookError(f"{unit}: {error}") from error
    if not state.is_up:
        raise HookError(f"{unit} is {state.active} ({state.sub}) after its restart")


def _signal(use: ModelUse) -> None:
    """Who writes the file may name any process: only one of the declared user is signalled."""
    place = Path(use.pid_file)
    try:
        pid = int(place.read_text("ascii")[:16])
        if not 1 < pid <= MAX_PID:
            raise HookError(f"{place}: expected the pid of the inference process, got {pid}")
        owner, wanted = Path(f"/proc/{pid}").stat().st_uid, privileges.account(use.user)[0]
        if owner != wanted:
            raise HookError(f"{place}: expected a process of uid {wanted}, {pid} is of {owner}")
        os.kill(pid, signal.Signals[f"SIG{use.signal}"])
    except (OSError, ValueError) as error:
        raise HookError(f"{place}: its process cannot be signalled: {error}") from error


def _say(use: ModelUse, digest: str, folder: Path) -> None:
    line = json.dumps({"model": use.model, "digest": digest, "path": str(folder)}).encode() + b"\n"
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.settimeout(SOCKET_TIMEOUT_S)
            client.connect(use.socket)
            client.sendall(line)
            answer = client.makefile("rb").readline(MAX_ANSWER_BYTES)
    except OSError as error:
        raise HookError(f"{use.socket}: the inference process does not answer: {error}") from error
    if answer.strip() != OK:
        said = escape(answer.decode("utf-8", "replace").strip())[:200]
        raise HookError(f'{use.socket}: expected the answer "ok", got "{said}"')
