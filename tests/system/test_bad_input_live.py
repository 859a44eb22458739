"""Hostile executions, names and pids against one running sentinel: each has a stated outcome."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import locked_kernel
from tests.system._site import Running, Site, rule

from vedette.model.rule import Match

pytestmark = [pytest.mark.system, pytest.mark.kernel]

OFF = ["conntrack", "journald", "log_file", "listeners", "procnet"]
OTHER_TIERS = {"ebpf": [], "audit": ["ebpf"]}
RULES = (
    rule("long", "process_creation", Match("CommandLine", "startswith", "true long-", False)),
    rule("bytes", "process_creation", Match("CommandLine", "startswith", "true bytes-", False)),
    rule("path", "process_creation", Match("Image", "endswith", "/program-of-ours", False)),
    rule("child", "process_creation", Match("CommandLine", "startswith", "true child-of-", False)),
    rule("file", "file_event", Match("TargetFilename", "endswith", ".seen", False)),
    rule("deepest", "file_event", Match("TargetFilename", "endswith", ".deepest", False)),
    rule("many", "file_event", Match("TargetFilename", "contains", "/many-", False)),
)


@pytest.fixture(scope="module", params=OTHER_TIERS)
def site(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    """A device whose sentinel runs with fanotify and a source of every execution."""
    if os.geteuid() != 0:
        pytest.skip("needs root: run the tests with sudo to include it")
    with locked_kernel():
        off = json.dumps(OFF + OTHER_TIERS[request.param])
        made = Site(tmp_path_factory.mktemp("site"), sensors=f"[sensors]\ndisable = {off}\n")
        made.offer(*RULES)
        try:
            with Running(made) as running:
                tiers = {one["class"]: one["tier"] for one in made.ask("doctor")["tiers"]}
                if tiers["process"] != request.param:
                    got = tiers["process"]
                    pytest.skip(f"needs {request.param}, got {got}: see vedette doctor")
                yield made
                assert running.process.poll() is None, "it went on to the end"
                assert running.stop() == 0
        finally:
            shutil.rmtree(made.run, ignore_errors=True)


def evidence(site: Site, rule_id: str, text: str) -> dict[str, Any]:
    """Wait for the report of a rule's incidents that holds a text."""

    def look() -> dict[str, Any] | None:
        for document in site.incidents():
            if document["finding_info"]["analytic"]["uid"] != rule_id:
                continue
            uid = document["finding_info"]["uid"]
            for report in site.ask("incidents.show", id=uid)["reports"]:
                if text in json.dumps(report["evidences"], ensure_ascii=False):
                    return dict(report)
        return None

    return site.until(look)


def data(report: dict[str, Any]) -> dict[str, Any]:
    return dict(report["evidences"][0]["data"])


def test_two_megabytes_of_arguments_are_seen_and_said_to_be_cut(site: Site) -> None:
    token = f"long-{secrets.token_hex(6)}"
    words = [token, *("y" * 131_000 for _ in range(15)), "last"]
    subprocess.run(["true", *words], executable="/bin/true", check=True, env={})
    found = data(evidence(site, "long", token))
    assert found["CommandLineIncomplete"] == "true"
    assert found["Image"] == str(Path("/bin/true").resolve())
    assert found["CommandLine"].startswith(f"true {token} yyy")


def test_every_byte_may_stand_in_an_argument(site: Site) -> None:
    token = f"bytes-{secrets.token_hex(6)}"
    every = bytes(range(1, 256))
    subprocess.run(
        [b"true", token.encode(), every, every[::-1]], executable="/bin/true", check=True
    )
    found = data(evidence(site, "bytes", token))
    assert "CommandLineIncomplete" not in found
    assert "abcdefghij" in found["CommandLine"]
    assert "jihgfedcba" in found["CommandLine"]


def noise(size: int) -> bytes:
    """Random bytes that may be a file name."""
    return bytes(byte or 1 for byte in os.urandom(size).replace(b"/", b"."))


@contextlib.contextmanager
def deep_folder(site: Site, size: int) -> Iterator[bytes]:
    """A folder below the watched tree whose path has a number of bytes, random ones mostly."""
    path = os.fsencode(site.watched)
    first = path + b"/" + secrets.token_hex(4).encode()
    path = first
    Path(os.fsdecode(path)).mkdir()
    while len(path) < size:
        path += b"/" + noise(min(255, max(1, size - len(path) - 1)))
        Path(os.fsdecode(path)).mkdir()
    try:
        yield path
    finally:
        shutil.rmtree(first)


def test_a_program_at_the_end_of_a_path_of_random_bytes_is_seen(site: Site) -> None:
    with deep_folder(site, 4000) as folder:
        program = folder + b"/program-of-ours"
        Path(os.fsdecode(program)).write_bytes(Path("/bin/true").read_bytes())
        Path(os.fsdecode(program)).chmod(0o755)
        token = secrets.token_hex(6)
        subprocess.run(["true", token], executable=program, check=True)
        found = data(evidence(site, "path", token))
        assert found["Image"].endswith("/program-of-ours")


def test_names_of_random_bytes_in_the_deepest_paths_are_seen(site: Site) -> None:
    with deep_folder(site, 4075) as folder:
        name = secrets.token_hex(4)
        path = folder + b"/" + name.encode() + b".seen"
        assert len(path) <= 4095
        Path(os.fsdecode(path)).write_bytes(b"x")
        evidence(site, "file", name)
    wide = os.fsencode(site.watched) + b"/" + noise(241) + secrets.token_hex(4).encode() + b".seen"
    Path(os.fsdecode(wide)).write_bytes(b"x")
    evidence(site, "file", os.fsdecode(wide[-13:]))


def test_a_path_longer_than_any_call_takes_is_seen_or_counted(site: Site) -> None:
    """Made from within (chdir), so that its absolute path has 8 KB: nobody can open it by name."""
    root = site.watched / secrets.token_hex(4)
    root.mkdir()
    before = losses(site)
    made = subprocess.run(
        [sys.executable, "-c", DEEPER, str(root)], check=True, capture_output=True, text=True
    ).stdout.strip()
    try:
        site.until(lambda: losses(site) > before or told(site, made))
    finally:
        shutil.rmtree(root)


DEEPER = """
import os, secrets, sys
os.chdir(sys.argv[1])
for _ in range(33):
    os.mkdir("d" * 250)
    os.chdir("d" * 250)
name = secrets.token_hex(4)
os.mkdir(name + ".deepest")
print(name)
"""


def losses(site: Site) -> int:
    rows = site.ask("status")["ledger"]
    return sum(int(row["losses"]) for row in rows)


def told(site: Site, text: str) -> bool:
    return text in json.dumps(site.incidents())


def test_twenty_thousand_names_at_once_are_all_counted(site: Site) -> None:
    total, token = 20_000, secrets.token_hex(4)
    folder = site.watched / f"many-{token}"
    folder.mkdir()
    before = counters(site, "fanotify")
    subprocess.run(
        [sys.executable, "-S", "-c", MANY, str(folder), str(total)],
        check=True,
    )  # fmt: skip

    def is_covered() -> bool:
        now = counters(site, "fanotify")
        seen = now["in"] - before["in"] + now["unwatched"] - before["unwatched"]
        return seen >= total or now["overflows"] > before["overflows"]

    site.until(is_covered)
    overflows = counters(site, "fanotify")["overflows"] - before["overflows"]
    assert not overflows or losses(site) > 0
    shutil.rmtree(folder)


MANY = """
import os, sys
os.chdir(sys.argv[1])
for number in range(int(sys.argv[2])):
    os.close(os.open(str(number), os.O_CREAT | os.O_WRONLY))
"""


def counters(site: Site, stage: str) -> dict[str, int]:
    (row,) = [row for row in site.ask("status")["ledger"] if row["stage"] == stage]
    found: dict[str, int] = row["counters"]
    return found


# Executes as one program under a pid, ends; then forks without executing into the same pid, and
# has that copy execute a child. Prints the pid, or nothing where others took it in between.
REUSE = """
import os, sys
def wait(pid):
    os.waitpid(pid, 0)
token, former = sys.argv[1], os.environ["FORMER"]
first = os.posix_spawn(former, ["former", token], {})
wait(first)
for attempt in range(50):
    with open("/proc/sys/kernel/ns_last_pid", "w") as last:
        last.write(str(first - 1))
    copy = os.fork()
    if copy == 0:
        if os.getpid() != first:
            os._exit(1)
        import time
        ends = time.monotonic() + 0.03
        while time.monotonic() < ends:
            pass
        wait(os.posix_spawn("/bin/true", ["true", "child-of-" + token], {}))
        sys.stdin.read()
        os._exit(0)
    if copy == first:
        print(copy, flush=True)
        wait(copy)
        break
    wait(copy)
"""


def test_a_pid_used_again_lends_nobody_its_former_owner(site: Site) -> None:
    token = secrets.token_hex(6)
    former = site.folder / "former"
    shutil.copy("/bin/true", former)
    with subprocess.Popen(
        [sys.executable, "-c", REUSE, token], env={"FORMER": str(former)},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as story:  # fmt: skip
        assert story.stdin is not None
        assert story.stdout is not None
        if not story.stdout.readline():
            pytest.skip("the pid was not given again: somebody else was faster")
        report = evidence(site, "child", token)
        story.stdin.close()
    found = data(report)
    assert str(former) not in json.dumps(report), "the former owner of the pid is no parent"
    assert found.get("ParentImage", sys.executable) != str(former)


def test_a_process_that_is_gone_before_anyone_looks_has_its_arguments(site: Site) -> None:
    """Audit's records carry all; who made it is known from events, not from /proc."""
    token = f"bytes-{secrets.token_hex(6)}"
    subprocess.run(["bash", "-c", f"(exec -a true /bin/true {token} &)"], check=True)
    found = data(evidence(site, "bytes", token))
    assert found["ParentProcessId"].isdigit()


def test_the_sentinel_has_lost_nothing_in_silence(site: Site) -> None:
    status = site.ask("status")
    assert not status["journal"]["degraded"], status["journal"]
    answer = site.ask("check")
    assert answer["changed"] == []
