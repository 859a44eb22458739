"""What the sentinel stands on is taken away while it runs: folders, disk, clock. It watches on."""

from __future__ import annotations

import shutil
import signal
import struct
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.simulators.mounts import mounted
from tests.system import _preload
from tests.system._site import Running, Site, rule

from vedette.errors import DeviceError
from vedette.model.finding import Severity
from vedette.model.playbook import Playbook, Step
from vedette.model.rule import Match

pytestmark = pytest.mark.system

SEEN = rule("seen", "file_event", Match("TargetFilename", "endswith", ".seen", False))
QUIET = """[sensors]
disable = [
  "ebpf", "audit", "proc_connector", "conntrack", "journald", "log_file", "listeners", "procnet"
]
"""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path, sensors=QUIET)
    made.offer(SEEN)
    yield made
    shutil.rmtree(made.run, ignore_errors=True)


def touch(site: Site, name: str) -> Path:
    path = site.watched / f"{name}.seen"
    path.mkdir()  # one event, where a file is created and then changed
    return path


def remove(folder: Path) -> None:
    """By rm, which goes on where the agent takes a file away itself meanwhile.

    Again where the agent had just made one: rm removes no folder that is not empty.
    """
    command = ["rm", "-rf", "--", str(folder)]
    for _ in range(100):
        if subprocess.run(command, check=False, stderr=subprocess.DEVNULL).returncode == 0:
            return
    subprocess.run(command, check=True)


def shown(site: Site, path: Path) -> bool:
    """Whether a report about a path is in the journal."""
    found = site.find("seen")
    if found is None:
        return False
    reports = site.ask("incidents.show", id=found["finding_info"]["uid"])["reports"]
    return str(path) in str(reports)


@contextmanager
def on_a_disk(folder: Path, image: Path) -> Iterator[None]:
    """A folder on an ext4 of its own, which can fail as a worn-out flash does."""
    with image.open("wb") as file:
        file.truncate(16 << 20)
    subprocess.run(["mkfs.ext4", "-q", str(image)], check=True)
    with ExitStack() as stack:
        try:
            stack.enter_context(mounted(folder, "loop,errors=remount-ro", "ext4", image))
        except subprocess.CalledProcessError as error:
            pytest.skip(f"needs a loop device: {error.stderr.strip()}")
        yield


def remount(folder: Path, how: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{how}", str(folder)], check=True)


def degraded(site: Site) -> dict[str, Any] | None:
    journal: dict[str, Any] = site.ask("status")["journal"]
    return journal if journal["degraded"] else None


def test_a_disk_that_turns_read_only_is_told_and_the_watch_goes_on(
    as_root: None, site: Site, tmp_path: Path
) -> None:
    if shutil.which("mkfs.ext4") is None:
        pytest.skip("needs mkfs.ext4: apt-get install e2fsprogs")
    with on_a_disk(site.state, tmp_path / "disk.img"), Running(site) as running:
        before = touch(site, "before")
        site.until(lambda: shown(site, before))
        remount(site.state, "abort")  # ext4(5): as if the file system had found an error
        touch(site, "meanwhile")
        journal = site.until(lambda: degraded(site))
        assert "disk" in journal["reason"] or "read-only" in journal["reason"], journal
        assert site.ask("status")["incidents_open"] >= 1
        assert site.ask("check")["changed"] == []
        assert running.process.poll() is None


def test_a_state_folder_that_is_removed_is_a_critical_incident(site: Site) -> None:
    with Running(site) as running:
        before = touch(site, "before")
        site.until(lambda: shown(site, before))
        remove(site.state)
        after = touch(site, "after")
        site.ask("check")
        site.until(lambda: shown(site, after))
        lost = site.until_incident("vedette:folder-lost")
        assert lost["severity_id"] == 5
        assert str(site.state) in lost["evidences"][0]["data"]["Reason"]
        assert running.process.poll() is None
        assert running.stop() == 0
    with Running(site):
        touch(site, "again")
        site.until_incident("seen")


def test_a_state_that_lies_in_memory_is_told_at_the_start(
    as_root: None, site: Site, tmp_path: Path
) -> None:
    with mounted(site.state, "size=16m"), Running(site):
        told = site.until_incident("vedette:state-in-memory")
        assert str(site.state) in told["evidences"][0]["data"]["Reason"]


def test_a_run_folder_that_is_removed_is_told_and_the_watch_goes_on(site: Site) -> None:
    with Running(site) as running:
        remove(site.run)
        path = touch(site, "after")
        running.process.send_signal(signal.SIGHUP)
        assert running.stop() == 0
    with Running(site):
        lost = site.until_incident("vedette:folder-lost")
        assert str(site.run) in lost["evidences"][0]["data"]["Reason"]
        site.until(lambda: shown(site, path))


def test_a_full_tmp_stops_nothing(as_root: None, site: Site, tmp_path: Path) -> None:
    full = tmp_path / "full"
    with mounted(full, "size=1m"):
        (full / "ballast").write_bytes(b"x" * (shutil.disk_usage(full).free - 4096))
        with pytest.raises(OSError, match="No space"):
            (full / "more").write_bytes(b"x" * 8192)
        environment = {"TMPDIR": str(full), "SQLITE_TMPDIR": str(full)}
        with Running(site, environment=environment) as running:
            path = touch(site, "full")
            site.until(lambda: shown(site, path))
            assert site.ask("check")["changed"] == []
            assert degraded(site) is None
            assert running.stop() == 0


@pytest.fixture(scope="session")
def clock_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _preload.build("jumping_clock.c", tmp_path_factory.mktemp("preload"))


YEAR_S = 365 * 86400
JUMPS = {"ten years on": 10 * YEAR_S, "back to 1970": -56 * YEAR_S, "far before 1970": -90 * YEAR_S}


def test_a_clock_that_jumps_either_way_changes_no_outcome(site: Site, clock_library: Path) -> None:
    offset = site.folder / "offset"
    offset.write_bytes(struct.pack("=q", 0))
    environment = {"LD_PRELOAD": str(clock_library), "VEDETTE_CLOCK": str(offset)}
    with Running(site, environment=environment) as running:
        first = touch(site, "first")
        site.until(lambda: shown(site, first))
        for name, jump_s in JUMPS.items():
            with offset.open("r+b") as file:
                file.write(struct.pack("=q", jump_s))
            path = touch(site, name)
            site.until(lambda path=path: shown(site, path))  # type: ignore[misc]
            assert site.ask("check")["changed"] == []
            found = [one["finding_info"]["analytic"]["uid"] for one in site.incidents()]
            assert found.count("seen") == 1, "one incident goes on"
            site.until_incident("vedette:clock-set")
        assert running.stop() == 0
    with Running(site):  # the true time again
        assert site.ask("status")["journal"]["epoch"] == 1
        assert shown(site, site.watched / "ten years on.seen")
        path = touch(site, "last")
        site.until(lambda: shown(site, path))


def test_a_clock_that_jumps_ends_no_response_and_keeps_none_for_longer(
    as_root: None, site: Site, clock_library: Path
) -> None:
    hide = Playbook(
        "hide", "Hide it", ("seen",), (), Severity.LOW, (Step("quarantine", "file", 3600),), 9, 9,
        "",
    )  # fmt: skip
    site.offer_playbooks(hide, promoted=True)
    offset = site.folder / "offset"
    offset.write_bytes(struct.pack("=q", 0))
    environment = {"LD_PRELOAD": str(clock_library), "VEDETTE_CLOCK": str(offset)}

    def left_s() -> float:
        found = site.ask("responses.list")["active"]
        return float(found[0]["left_s"]) if found else 0.0

    with Running(site, environment=environment) as running:
        file = site.watched / "program.seen"
        file.write_bytes(b"x")
        site.until(lambda: left_s() and not file.exists())
        for jump_s in JUMPS.values():
            with offset.open("r+b") as stream:
                stream.write(struct.pack("=q", jump_s))
            assert site.ask("check")["changed"] == []
            assert 3500 < left_s() <= 3600
            assert not file.exists()
        running.stop(signal.SIGKILL)  # with the clock far before 1970
    with Running(site):
        assert 3500 < site.until(left_s) <= 3600
        (active,) = site.ask("responses.list")["active"]
        assert site.ask("responses.undo", id=active["id"])["status"] == "undone"
        assert file.read_bytes() == b"x"


def test_a_start_on_a_read_only_state_is_degraded_or_refused_in_words(
    as_root: None, site: Site
) -> None:
    with mounted(site.state, "size=8m"):
        with Running(site):
            pass
        remount(site.state, "ro")
        try:
            with Running(site):
                touch(site, "watched all the same")
                assert "read-only" in site.until(lambda: degraded(site))["reason"].lower()
        except DeviceError as error:
            assert "read-only" in str(error).lower()  # noqa: PT017 - one of two good outcomes
            assert "Traceback" not in str(error)  # noqa: PT017
