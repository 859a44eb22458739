"""The prober: what is up, what is down, and that nothing it starts outlives it."""

from __future__ import annotations

import os
import socket
import sys
import time
from pathlib import Path

import pytest
from tests.simulators.systemctl import Systemctl

from vedette.codec.essential import decode_report, encode_request
from vedette.daemon import essential_prober as prober
from vedette.kernel import program
from vedette.model.essential import EssentialFunction, Probed


def command(code: str, timeout_s: int = 10) -> EssentialFunction:
    words = (sys.executable, "-IS", "-c", code)
    return EssentialFunction("f", command=words, user=str(os.geteuid()), timeout_s=timeout_s)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prober, "PAUSE_S", 0.01)


def test_a_port_that_takes_connections_is_up_and_its_listener_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        found = prober.probe(EssentialFunction("web", port=port))
    assert found == Probed("web", True, f"127.0.0.1 port {port} takes connections", (os.getpid(),))


def test_a_port_of_ipv6_is_probed_too() -> None:
    try:
        listener = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("no IPv6 here")
    with listener:
        port = listener.getsockname()[1]
        assert prober.probe(EssentialFunction("web", address="::1", port=port)).is_up


def test_a_port_nobody_listens_on_is_down() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    found = prober.probe(EssentialFunction("web", port=port))
    assert not found.is_up
    assert "Connection refused" in found.detail


def test_a_port_that_comes_back_at_the_second_try_is_up(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    late: list[socket.socket] = []
    monkeypatch.setattr(
        time, "sleep", lambda _: late.append(socket.create_server(("127.0.0.1", port)))
    )
    try:
        assert prober.probe(EssentialFunction("web", port=port)).is_up
    finally:
        for one in late:
            one.close()


def test_a_listener_whose_queue_is_full_is_down_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        address = listener.getsockname()
        waiting = []
        for _ in range(4):
            client = socket.socket()
            client.setblocking(False)
            client.connect_ex(address)
            waiting.append(client)
        began_s = time.monotonic()
        found = prober.probe(EssentialFunction("web", port=address[1], timeout_s=1))
        assert time.monotonic() - began_s < 10.0
        for client in waiting:
            client.close()
    assert not found.is_up
    assert "does not answer in time" in found.detail


def test_a_command_that_ends_with_0_is_up() -> None:
    assert prober.probe(command("pass")).is_up


def test_a_command_that_fails_is_down_with_its_last_words() -> None:
    found = prober.probe(command("print('a'); print('no picture'); raise SystemExit(3)"))
    assert not found.is_up
    assert "ended with 3: no picture" in found.detail


def test_a_command_that_hangs_is_down_and_nothing_of_it_is_left(tmp_path: Path) -> None:
    note = tmp_path / "pids"
    code = (
        "import os, time, sys\n"
        "child = os.fork()\n"
        f"open({str(note)!r}, 'a').write(f'{{os.getpid()}}\\n')\n"
        "time.sleep(60)"
    )
    found = prober.probe(command(code, timeout_s=1))
    assert not found.is_up
    assert "did not end in time" in found.detail
    for pid in map(int, note.read_text().split()):
        assert not _runs(pid)


def _runs(pid: int) -> bool:
    """Whether it is there and no zombie that its new parent has not buried yet."""
    ends_s = time.monotonic() + 10.0
    while time.monotonic() < ends_s:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][:1]
        except OSError:
            return False
        if state in "ZX":
            return False
    return True


def test_a_command_that_is_not_there_is_down() -> None:
    found = prober.probe(EssentialFunction("f", command=("/nowhere/check",), user="0"))
    assert not found.is_up
    assert "could not be probed" in found.detail


def test_a_user_who_is_not_there_makes_it_down() -> None:
    one = EssentialFunction("f", command=("/bin/true",), user="no-such-user")
    assert 'no user "no-such-user"' in prober.probe(one).detail


def test_a_command_runs_as_its_user_without_a_privilege(as_root: None) -> None:
    script = 'test "$(id -u)" = 65534 && grep -Eq "^CapEff:\\s*0+$" /proc/self/status'
    one = EssentialFunction("f", command=("/bin/sh", "-c", script), user="65534")
    found = prober.probe(one)
    assert found.is_up, found.detail
    assert not prober.probe(one._replace(user="0")).is_up


def test_units_are_asked_of_systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    systemctl = Systemctl(tmp_path)
    systemctl.add("stream.service")
    systemctl.add("gone.service", ActiveState="failed", SubState="failed")
    monkeypatch.setattr(prober, "SYSTEMCTL", (str(systemctl.program),))
    up = prober.probe(EssentialFunction("s", unit="stream.service"))
    assert up == Probed("s", True, "stream.service is active", (77,))
    down = prober.probe(EssentialFunction("s", unit="gone.service"))
    assert (down.is_up, down.detail) == (False, "gone.service is failed (failed), loaded")


def test_without_systemd_a_unit_is_down_and_says_what_to_declare(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(prober, "SYSTEMCTL", ("/nowhere",))
    found = prober.probe(EssentialFunction("s", unit="stream.service"))
    assert not found.is_up
    assert "declare a port or a command" in found.detail


def test_all_that_is_declared_must_hold() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        one = command("raise SystemExit(1)")._replace(port=listener.getsockname()[1])
        assert not prober.probe(one).is_up
        assert prober.probe(one._replace(command=("/bin/true",))).is_up


def test_functions_are_probed_side_by_side_and_told_in_their_order() -> None:
    slow = command("import time; time.sleep(60)", timeout_s=1)
    several = [slow._replace(name=f"f{number}") for number in range(4)]
    began_s = time.monotonic()
    found = prober.probe_all(several)
    assert [one.name for one in found] == ["f0", "f1", "f2", "f3"]
    assert time.monotonic() - began_s < 8.0  # one after the other: 8 s and more


def test_the_program_reports_what_it_found() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        functions = [EssentialFunction("web", port=listener.getsockname()[1])]
        argv = [sys.executable, "-m", prober.__name__, encode_request(functions)]
        ran = program.run([sys.executable, "-I", *argv[1:]], 30.0)
    assert ran.status == 0, ran.output
    (found,) = decode_report(ran.output.encode(), ["web"])
    assert found.is_up
