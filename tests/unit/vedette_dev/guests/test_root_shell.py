"""The harness's end of the root shell, against a device of a few lines."""

import base64
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from vedette_dev.cache import REPOSITORY
from vedette_dev.guests.root_shell import Ended, NoAnswerError, RootShell

SHELL = REPOSITORY / "qemu-images/root/usr/local/lib/vedette-test/shell"


class Device:
    """Accepts one connection and answers each line as it is told."""

    def __init__(self, place: Path, answer: Callable[[str], bytes]) -> None:
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(place))
        self._listener.listen(1)
        self._answer = answer
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self) -> None:
        connection, _ = self._listener.accept()
        with connection, connection.makefile("r") as lines:
            for line in lines:
                answer = self._answer(line)
                if not answer:
                    return
                connection.sendall(answer)

    def close(self) -> None:
        self._listener.close()
        self.thread.join(10)


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[[Callable[[str], bytes]], RootShell]]:
    made: list[tuple[Device, RootShell]] = []

    def start(answer: Callable[[str], bytes]) -> RootShell:
        device = Device(tmp_path / "shell", answer)
        shell = RootShell(tmp_path / "shell", lambda: True)
        made.append((device, shell))
        return shell

    yield start
    for device, shell in made:
        shell.close()
        device.close()


def _said(line: str, status: int, output: bytes) -> bytes:
    number, _, _ = line.partition(" ")
    return f"{number} {status} {base64.b64encode(output).decode()}\n".encode()


def test_a_command_comes_back_with_its_status_and_output(serve: Callable[..., RootShell]) -> None:
    shell = serve(lambda line: _said(line, 3, b"two\nlines\n"))
    assert shell.run("anything", 5) == Ended(3, "two\nlines\n")


def test_an_answer_to_an_earlier_command_is_passed_over(serve: Callable[..., RootShell]) -> None:
    shell = serve(lambda line: b"0 0 \n0 0 \n" + _said(line, 0, b"mine"))
    assert shell.run("anything", 5) == Ended(0, "mine")


@pytest.mark.parametrize("answer", [b"1\n", b"1 x y\n", b"1 0 ***\n", b"1 0 eA== more\n"])
def test_an_answer_that_is_none_is_told(serve: Callable[..., RootShell], answer: bytes) -> None:
    with pytest.raises(NoAnswerError, match="expected ID STATUS BASE64"):
        serve(lambda _: answer).run("anything", 5)


def test_a_device_that_goes_away_is_told(serve: Callable[..., RootShell]) -> None:
    with pytest.raises(NoAnswerError, match="QEMU closed the root shell"):
        serve(lambda _: b"").run("anything", 5)


def test_nobody_waits_for_a_device_that_ended(tmp_path: Path) -> None:
    with pytest.raises(NoAnswerError):
        RootShell(tmp_path / "nowhere", lambda: False).run("anything", 5)


@pytest.mark.parametrize(
    ("command", "ended"),
    [
        ("echo out; echo err >&2; exit 7", Ended(7, "out\nerr\n")),
        ("printf 'no \\0 newline'", Ended(0, "no \0 newline")),
        ("sleep 60", Ended(137, "Killed\n")),
        ("cat", Ended(0, "")),
    ],
)
def test_the_device_s_end_runs_what_is_asked(tmp_path: Path, command: str, ended: Ended) -> None:
    ours, theirs = socket.socketpair()
    work = tmp_path / "work"
    work.mkdir()
    # The script as it is, but for its folder and its port, which is a virtio device there.
    script = (
        SHELL.read_text().replace("/run/vedette-test", str(work)).replace('exec <>"$1" >&0', "")
    )
    with subprocess.Popen(
        ["sh", "-c", script], stdin=theirs.fileno(), stdout=theirs.fileno()
    ) as shell:
        theirs.close()
        with ours, ours.makefile("rb") as lines:
            text = base64.b64encode(command.encode()).decode()
            ours.sendall(b"0 1 \n" + f"1 1 {text}\n".encode())
            assert lines.readline() == b"0 0 \n"
            _, status, output = lines.readline().split(b" ")
            ours.shutdown(socket.SHUT_RDWR)
        shell.wait(10)
    assert Ended(int(status), base64.b64decode(output).decode()) == ended
