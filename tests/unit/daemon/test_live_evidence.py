"""What is told of processes and files that this test made itself."""

from __future__ import annotations

import os
import socket
import subprocess
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vedette.daemon import facts, live_evidence
from vedette.daemon.facts import Facts
from vedette.model.process import ProcessKey


def redact(text: str) -> str:
    return text.replace("hush", "***")


def look(path: Path | str) -> dict[str, Any]:
    return live_evidence.file(str(path), Facts().digest, redact)


@contextmanager
def process(*words: str, **more: Any) -> Iterator[ProcessKey]:
    started = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, **more)
    try:
        assert started.stdout is not None
        assert started.stdout.readline() == b"ready\n"
        found = facts.lookup(started.pid)
        assert found is not None
        yield ProcessKey(started.pid, found.start_ticks)
    finally:
        started.kill()
        started.communicate()


READY = "echo ready; read line # --password=hush"


def test_a_running_process_is_described_without_its_secrets(tmp_path: Path) -> None:
    held = (tmp_path / "held").open("w")
    with held, process("sh", "-c", READY, pass_fds=[held.fileno()], cwd=tmp_path) as key:
        found: Any = live_evidence.process(key, redact)
    assert found["is_running"]
    assert (found["pid"], found["start"]) == key
    assert found["command_line"] == "sh -c echo ready; read line # --password=***"
    assert found["cwd"] == str(tmp_path)
    assert str(tmp_path / "held") in found["open_files"]
    assert found["connections"] == []


def test_its_connections_are_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        client = socket.create_connection(("127.0.0.1", port))
        with client, process("sh", "-c", READY, pass_fds=[client.fileno()]) as key:
            found: Any = live_evidence.process(key, redact)
    (connection,) = found["connections"]
    assert (connection["protocol"], connection["remote"]) == ("tcp", "127.0.0.1")
    assert connection["remote_port"] == port


def test_of_a_pid_that_was_used_again_nothing_is_told() -> None:
    with process("sh", "-c", READY) as key:
        other = ProcessKey(key.pid, key.start_ticks - 1)
        assert live_evidence.process(other, redact) == {
            "pid": key.pid, "start": key.start_ticks - 1, "is_running": False,
        }  # fmt: skip


def test_of_a_process_that_has_ended_nothing_is_told() -> None:
    with process("sh", "-c", READY) as key:
        pass
    assert not live_evidence.process(key, redact)["is_running"]


def test_a_script_comes_with_its_text_redacted_and_its_true_digest(tmp_path: Path) -> None:
    path = tmp_path / "dropper"
    path.write_text("#!/bin/sh\nTOKEN=hush\n")
    path.chmod(0o4755)
    found = look(path)
    assert (found["mode"], found["size"]) == ("-rwsr-xr-x", 21)
    assert b64decode(found["content"]) == b"#!/bin/sh\nTOKEN=***\n"
    assert found["sha256"] == Facts().digest(str(path))


def test_a_program_comes_with_its_beginning_alone(tmp_path: Path) -> None:
    path = tmp_path / "program"
    path.write_bytes(b"\x7fELF" + bytes(200_000))
    content = b64decode(look(path)["content"])
    assert len(content) == live_evidence.MAX_CONTENT_BYTES


def test_what_is_no_program_is_described_and_not_sent(tmp_path: Path) -> None:
    path = tmp_path / "shadow"
    path.write_text("root:$6$salt$hash\n")
    found = look(path)
    assert "content" not in found
    assert len(found["sha256"]) == 64


def test_links_fifos_and_folders_are_described_and_never_opened(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("#!/bin/sh\n")
    link, fifo = tmp_path / "link", tmp_path / "fifo"
    link.symlink_to(secret)
    os.mkfifo(fifo)
    assert look(link)["links_to"] == str(secret)
    for path in (link, fifo, tmp_path):
        found = look(path)
        assert found["is_there"]
        assert "content" not in found
        assert "sha256" not in found


def test_what_is_not_there_or_no_path_at_all_is_said(tmp_path: Path) -> None:
    for path in (tmp_path / "gone", "/tmp/a\0b", "/" + "x" * 5000):
        assert look(path)["is_there"] is False
