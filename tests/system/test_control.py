"""The control socket over a real socket: who is served, and what hostile clients can(not) do."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from pathlib import Path

import pytest

from vedette.codec.strict_json import Json
from vedette.daemon import control, control_client
from vedette.daemon.control import ControlServer, Params
from vedette.daemon.feed import MAX_WAITING, Feed
from vedette.errors import DeviceError, RequestError

pytestmark = pytest.mark.system


async def echo(params: Params) -> Mapping[str, Json]:
    return {"echo": dict(params)}


async def refuse(params: Params) -> Mapping[str, Json]:
    raise RequestError("not today; come back tomorrow")


async def foreign(params: Params) -> Mapping[str, Json]:
    return {"path": "/tmp/\udcff\udc00"}


async def huge(params: Params) -> Mapping[str, Json]:
    return {"text": "x" * control.MAX_REPLY_BYTES}


async def bad_stream(params: Params) -> AsyncGenerator[Mapping[str, Json], None]:
    control.number(params, "limit", default=0, low=1, high=9)
    yield {}


class Stage:
    def __init__(self, path: Path, server: ControlServer, feed: Feed) -> None:
        self.path = path
        self.server = server
        self.feed = feed

    async def ask(self, do: str, params: Mapping[str, Json] | None = None) -> dict[str, Json]:
        return await asyncio.to_thread(control_client.ask, self.path, do, params)

    async def raw(self, data: bytes) -> list[dict[str, Json]]:
        """Send bytes, close the sending half, and return what comes back."""
        reader, writer = await asyncio.open_unix_connection(self.path)
        with contextlib.suppress(ConnectionError):
            writer.write(data)
            writer.write_eof()
            await writer.drain()
        answer = await reader.read()
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
        return [json.loads(line) for line in answer.splitlines()]


@contextlib.asynccontextmanager
async def serving(max_clients: int = 4) -> AsyncIterator[Stage]:
    feed = Feed()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "control.sock"
        server = ControlServer(
            path,
            handlers={"echo": echo, "refuse": refuse, "foreign": foreign, "huge": huge},
            streams={"follow": feed.follow, "bad": bad_stream},
            max_clients=max_clients,
        )
        server.open()
        async with asyncio.TaskGroup() as group:
            task = group.create_task(server.serve())
            try:
                yield Stage(path, server, feed)
            finally:
                task.cancel()
                server.close()
        assert not path.exists()


def test_an_answer_a_refusal_and_an_unknown_request() -> None:
    async def play() -> None:
        async with serving() as stage:
            assert await stage.ask("echo", {"a": [1, "ü"]}) == {"echo": {"a": [1, "ü"]}}
            with pytest.raises(RequestError, match="not today; come back tomorrow"):
                await stage.ask("refuse")
            with pytest.raises(
                RequestError, match='unknown request "nothing"; there are: bad, echo'
            ):
                await stage.ask("nothing")

    asyncio.run(play())


def test_text_that_is_not_utf8_arrives_escaped_and_too_much_is_refused() -> None:
    async def play() -> None:
        async with serving() as stage:
            assert await stage.ask("foreign") == {"path": "/tmp/\\xff\\udc00"}
            with pytest.raises(RequestError, match="ask for less"):
                await stage.ask("huge")

    asyncio.run(play())


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n",
        b"\x00\xff\xfe\n",
        b"[]\n",
        b'{"do": 1}\n',
        b'{"do": "echo", "with": []}\n',
        b'{"do": "echo", "more": 1}\n',
        b'{"do": "echo"',
        b"[" * 5000 + b"\n",
        b"x" * (control.MAX_REQUEST_BYTES + 1),
        b'{"do": "bad", "with": {"limit": "\\ud800"}}\n',
        b'{"do": "bad", "with": {"limit": true}}\n',
    ],
)
def test_bytes_that_are_no_request_get_an_error_and_the_next_client_is_served(data: bytes) -> None:
    async def play() -> None:
        async with serving() as stage:
            replies = await stage.raw(data)
            assert [list(reply) for reply in replies] in ([["error"]], [])
            assert await stage.ask("echo") == {"echo": {}}

    asyncio.run(play())


def test_a_follower_gets_items_in_order_and_is_forgotten_when_it_hangs_up() -> None:
    async def play() -> None:
        async with serving() as stage:
            reader, writer = await asyncio.open_unix_connection(stage.path)
            writer.write(b'{"do": "follow"}\n')
            await until(lambda: len(stage.feed) == 1)
            stage.feed.publish({"n": 1})
            stage.feed.publish({"n": 2})
            lines = [json.loads(await reader.readline()) for _ in range(2)]
            assert lines == [{"item": {"n": 1}}, {"item": {"n": 2}}]
            writer.close()
            await until(lambda: len(stage.feed) == 0)

    asyncio.run(play())


def test_a_follower_that_does_not_read_loses_the_oldest_and_is_told_how_many() -> None:
    async def play() -> list[Mapping[str, Json]]:
        feed = Feed()
        stream = feed.follow({})
        async with asyncio.TaskGroup() as group:
            first = group.create_task(anext(stream))
            await until(lambda: len(feed) == 1)
            for n in range(MAX_WAITING + 7):
                feed.publish({"n": n})
        items = [first.result(), await anext(stream)]
        await stream.aclose()
        assert len(feed) == 0
        return items

    assert asyncio.run(play()) == [{"missed": 7}, {"n": 7}]


def test_one_client_too_many_is_told_what_to_do_and_served_after_the_others_left() -> None:
    async def play() -> None:
        async with serving(max_clients=1) as stage:
            _, writer = await asyncio.open_unix_connection(stage.path)
            writer.write(b'{"do": "follow"}\n')
            await until(lambda: len(stage.feed) == 1)
            with pytest.raises(RequestError, match=r"raise \[control\] max_clients"):
                await stage.ask("echo")
            writer.close()
            await until(lambda: len(stage.feed) == 0)
            assert await stage.ask("echo") == {"echo": {}}
            assert stage.server.refused == 1

    asyncio.run(play())


def test_a_client_that_sends_nothing_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "REQUEST_TIMEOUT_S", 0.05)

    async def play() -> None:
        async with serving() as stage:
            reader, writer = await asyncio.open_unix_connection(stage.path)
            writer.write(b'{"do": ')
            async with asyncio.timeout(5):
                assert await reader.read() == b""
            writer.close()

    asyncio.run(play())


def test_another_user_is_refused_even_when_the_socket_lets_it_in(as_root: None) -> None:
    script = (
        "import os, socket, sys\n"
        "s = socket.socket(socket.AF_UNIX)\n"
        "os.setresuid(65534, 65534, 65534)\n"
        "s.connect(sys.argv[1])\n"
        's.sendall(b\'{"do": "echo"}\\n\')\n'
        "print(s.makefile().read())\n"
    )

    async def play() -> str:
        async with serving() as stage:
            assert stage.path.stat().st_mode & 0o777 == 0o600
            stage.path.parent.chmod(0o711)
            stage.path.chmod(0o666)
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-I", "-c", script, str(stage.path), stdout=subprocess.PIPE
            )
            out, _ = await process.communicate()
            return out.decode()

    assert "expected root or uid 0, got uid 65534" in asyncio.run(play())


def test_a_socket_left_by_a_killed_sentinel_is_replaced_a_living_one_is_not() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "control.sock"
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(path))
        first = ControlServer(path, handlers={}, streams={}, max_clients=1)
        first.open()
        second = ControlServer(path, handlers={}, streams={}, max_clients=1)
        with pytest.raises(DeviceError, match="another sentinel serves here"):
            second.open()
        assert path.exists()
        first.close()
        path.write_text("mine")
        with pytest.raises(DeviceError, match="expected a socket or nothing"):
            second.open()
        assert path.read_text() == "mine"


def test_the_client_says_what_to_do_when_nobody_answers(tmp_path: Path) -> None:
    with pytest.raises(control_client.NotRunningError, match="start it with: vedette run"):
        control_client.ask(tmp_path / "none.sock", "status")


@pytest.mark.parametrize("reply", [b"", b"garbage\n", b"[]\n", b'{"ok": 1}\n', b'{"ok":{}'])
def test_the_client_survives_any_answer(reply: bytes, tmp_path: Path) -> None:
    async def play() -> None:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readline()
            writer.write(reply)
            writer.close()

        path = tmp_path / "s"
        async with await asyncio.start_unix_server(answer, path):
            with pytest.raises(DeviceError):
                await asyncio.to_thread(control_client.ask, path, "status")

    asyncio.run(play())


async def until(condition: object) -> None:
    """Give the loop turns until a condition holds, at most five seconds."""
    assert callable(condition)
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 (any condition, not one event)
            await asyncio.sleep(0)
