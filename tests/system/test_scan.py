"""The scan: a real scanner process, a real baseline, files changed in every way."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from tests.system._watching import Seen, changed_paths, context, find

from vedette.errors import SensorError
from vedette.model.baseline import Difference, Hint
from vedette.model.event import EventsLost
from vedette.sensors import _scan_pass
from vedette.sensors.scan import ScanReport, ScanSensor
from vedette.store.baseline import SqliteBaseline

Story = Callable[[Seen, ScanSensor], Awaitable[None]]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    made = tmp_path / "tree"
    (made / "bin").mkdir(parents=True)
    (made / "bin" / "su").write_bytes(b"program")
    (made / "bin" / "su").chmod(0o755)
    (made / "etc").mkdir()
    (made / "etc" / "passwd").write_text("root")
    (made / "etc" / "link").symlink_to("passwd")
    (made / "empty").touch()
    return made


@pytest.fixture
def baseline(tmp_path: Path) -> Iterator[SqliteBaseline]:
    (tmp_path / "state").mkdir()
    made = SqliteBaseline(tmp_path / "state")
    made.open()
    yield made
    made.close()


@asynccontextmanager
async def scanning(
    tmp_path: Path, baseline: SqliteBaseline | None, *watch: Path
) -> AsyncIterator[tuple[Seen, ScanSensor]]:
    seen = Seen()
    sensor = ScanSensor(replace(context(seen, tmp_path, *watch), baseline=baseline))
    await sensor.open()
    try:
        yield seen, sensor
    finally:
        await sensor.close()
        await sensor.close()


def play(tmp_path: Path, baseline: SqliteBaseline, story: Story, *watch: Path) -> None:
    async def run() -> None:
        async with scanning(tmp_path, baseline, *watch) as (seen, sensor):
            await story(seen, sensor)

    asyncio.run(run())


def words(sensor: ScanSensor, path: Path) -> tuple[str, ...]:
    return next(one.words for one in sensor.differences if one.path == str(path))


def settle(baseline: SqliteBaseline, tree: Path) -> None:
    """Let the baseline believe that all files had been left alone for long when it read them."""
    for record in list(baseline.paths(str(tree))):
        ctime_ns = os.lstat(record.path).st_ctime_ns
        baseline.accept([record._replace(ctime_ns=ctime_ns)], ())


def whole(report: ScanReport) -> ScanReport:
    assert report.outcome.failure == ""
    return report


def test_the_first_scan_is_trusted_and_the_second_finds_nothing(
    tmp_path: Path, tree: Path, baseline: SqliteBaseline
) -> None:
    async def story(seen: Seen, sensor: ScanSensor) -> None:
        first = whole(await sensor.scan("start"))
        assert first.outcome.is_first
        assert first.outcome.counts.files == 7
        assert first.outcome.counts.hashed == 3
        assert first.outcome.counts.hashed_bytes == len(b"programroot")
        assert baseline.count() == 7
        second = whole(await sensor.scan("again"))
        assert not second.outcome.is_first
        assert (second.outcome.counts.files, second.outcome.counts.differences) == (7, 0)
        assert seen.events == []

    play(tmp_path, baseline, story, tree)


def test_every_kind_of_difference_is_found_and_told_once(
    tmp_path: Path, tree: Path, baseline: SqliteBaseline
) -> None:
    async def story(seen: Seen, sensor: ScanSensor) -> None:
        whole(await sensor.scan("start"))
        (tree / "bin" / "su").chmod(0o4755)
        (tree / "etc" / "passwd").write_text("toor")
        (tree / "etc" / "link").unlink()
        (tree / "etc" / "link").symlink_to("shadow")
        (tree / "empty").unlink()
        (tree / "new").mkdir()
        sensor.who = lambda path: Hint(42, "/bin/sed", 1.0) if path.endswith("passwd") else None
        report = whole(await sensor.scan("request"))
        assert report.outcome.counts.differences == 5
        assert words(sensor, tree / "bin" / "su") == ("mode 0755 -> 4755",)
        assert words(sensor, tree / "etc" / "passwd") == ("content",)
        assert words(sensor, tree / "etc" / "link") == ("target",)
        assert sorted(changed_paths(seen.events)) == [
            ("attributes", f"{tree}/bin/su"),
            ("created", f"{tree}/new"),
            ("deleted", f"{tree}/empty"),
            ("modified", f"{tree}/etc/link"),
            ("modified", f"{tree}/etc/passwd"),
        ]
        content = find(seen.events, "modified", tree / "etc" / "passwd")
        assert content is not None
        assert (content.pid, content.tier, len(content.digest)) == (42, "scan", 64)
        changed_by = next(d.changed_by for d in sensor.differences if d.path.endswith("passwd"))
        assert changed_by == "/bin/sed (pid 42)"
        setuid = find(seen.events, "attributes", tree / "bin" / "su")
        assert setuid is not None
        assert setuid.mode == 0o104755
        told = changed_paths(seen.events)
        whole(await sensor.scan("again"))
        assert changed_paths(seen.events) == told
        assert len(sensor.differences) == 5
        (tree / "bin" / "su").chmod(0o2755)
        whole(await sensor.scan("changed once more"))
        assert changed_paths(seen.events) == [*told, ("attributes", f"{tree}/bin/su")]

    play(tmp_path, baseline, story, tree)


def test_a_file_and_a_folder_changed_into_each_other(
    tmp_path: Path, tree: Path, baseline: SqliteBaseline
) -> None:
    async def story(_: Seen, sensor: ScanSensor) -> None:
        whole(await sensor.scan("start"))
        (tree / "empty").unlink()
        (tree / "empty").mkdir()
        (tree / "bin" / "su").unlink()
        (tree / "bin").rmdir()
        (tree / "bin").symlink_to("/etc")
        whole(await sensor.scan("request"))
        assert words(sensor, tree / "empty")[0] == "kind file -> dir"
        assert words(sensor, tree / "bin")[0] == "kind dir -> link"
        assert [d.change for d in sensor.differences if d.path.endswith("/su")] == ["removed"]
        assert not [d for d in sensor.differences if d.path.startswith(f"{tree}/bin/pass")]

    play(tmp_path, baseline, story, tree)


def test_owner_and_capabilities(
    tmp_path: Path, tree: Path, baseline: SqliteBaseline, as_root: None
) -> None:
    capability = bytes.fromhex("0100000200200000000000000000000000000000")  # cap_net_raw=p

    async def story(_: Seen, sensor: ScanSensor) -> None:
        whole(await sensor.scan("start"))
        os.setxattr(tree / "bin" / "su", "security.capability", capability)
        os.chown(tree / "etc" / "passwd", 65534, 65534)
        whole(await sensor.scan("request"))
        assert words(sensor, tree / "bin" / "su") == (f"capabilities none -> {capability.hex()}",)
        assert words(sensor, tree / "etc" / "passwd") == ("owner 0:0 -> 65534:65534",)

    play(tmp_path, baseline, story, tree)


def test_only_touched_files_are_read_again_and_their_times_are_taken_over(
    tmp_path: Path, tree: Path, baseline: SqliteBaseline, monkeypatch: pytest.MonkeyPatch
) -> None:
    old_ns = 1_000_000_000_000_000_000

    async def story(_: Seen, sensor: ScanSensor) -> None:
        monkeypatch.setattr(_scan_pass, "SLICES", 1 << 30)  # no file's turn comes
        whole(await sensor.scan("start"))
        # What was changed less than two seconds before it was read is read again.
        assert [r.ctime_ns for r in baseline.paths(str(tree)) if r.kind == "file"] == [0, 0, 0]
        settle(baseline, tree)
        assert whole(await sensor.scan("second")).outcome.counts.hashed == 0
        os.utime(tree / "etc" / "passwd", ns=(old_ns, old_ns))
        third = whole(await sensor.scan("third")).outcome.counts
        assert (third.hashed, third.differences) == (1, 0)
        taken_over = baseline.known(str(tree / "etc" / "passwd"))
        assert taken_over is not None
        assert taken_over.mtime_ns == old_ns

    play(tmp_path, baseline, story, tree)


def test_every_file_is_read_in_its_turn(
    tmp_path: Path, tree: Path, baseline: SqliteBaseline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_scan_pass, "SLICES", 3)

    async def story(_: Seen, sensor: ScanSensor) -> None:
        whole(await sensor.scan("start"))
        hashed = 0
        for _turn in range(3):
            settle(baseline, tree)
            hashed += whole(await sensor.scan("turn")).outcome.counts.hashed
        assert hashed == 3

    play(tmp_path, baseline, story, tree)


def test_a_missing_tree_is_all_removed_and_named(
    tmp_path: Path, tree: Path, baseline: SqliteBaseline
) -> None:
    async def story(_: Seen, sensor: ScanSensor) -> None:
        whole(await sensor.scan("start"))
        os.rename(tree, tmp_path / "moved")  # noqa: PTH104
        report = whole(await sensor.scan("request"))
        assert report.outcome.counts.differences == 7
        assert sensor.blind_spots() == (f"{tree}: it does not exist",)

    play(tmp_path, baseline, story, tree)


def test_a_single_file_is_a_tree_too(tmp_path: Path, tree: Path, baseline: SqliteBaseline) -> None:
    async def story(seen: Seen, sensor: ScanSensor) -> None:
        whole(await sensor.scan("start"))
        assert baseline.count() == 1
        (tree / "etc" / "passwd").write_text("toor")
        whole(await sensor.scan("request"))
        assert changed_paths(seen.events) == [("modified", f"{tree}/etc/passwd")]

    play(tmp_path, baseline, story, tree / "etc" / "passwd")


def test_a_sparse_giant_a_fifo_and_a_loop_do_not_stop_it(
    tmp_path: Path, tree: Path, baseline: SqliteBaseline
) -> None:
    with (tree / "giant").open("wb") as giant:
        giant.truncate(8 << 40)
    os.mkfifo(tree / "fifo")
    (tree / "loop").symlink_to("loop")

    async def story(_: Seen, sensor: ScanSensor) -> None:
        report = whole(await sensor.scan("start"))
        assert report.outcome.counts.files == 10
        assert [line for line in report.outcome.skipped if "giant: larger than 1024 MB" in line]
        with (tree / "giant").open("r+b") as giant:
            giant.truncate(9 << 40)
        whole(await sensor.scan("request"))
        assert words(sensor, tree / "giant") == ("size",)

    play(tmp_path, baseline, story, tree)


def test_names_of_any_bytes_and_paths_beyond_path_max(
    tmp_path: Path, tree: Path, baseline: SqliteBaseline
) -> None:
    name = bytes(value for value in range(1, 256) if value != ord("/")) + b"x"
    (tree / os.fsdecode(name)).touch()
    script = 'cd "$0"; n=$(printf %0250d 0); for i in $(seq 18); do mkdir $n; cd -P $n; done; >f'
    subprocess.run(["bash", "-c", script, str(tree)], check=True)

    async def story(_: Seen, sensor: ScanSensor) -> None:
        report = whole(await sensor.scan("start"))
        assert report.outcome.counts.files == 7 + 1 + 18 + 1
        assert max(len(record.path) for record in baseline.paths(str(tree))) > 4096
        again = whole(await sensor.scan("again"))
        assert again.outcome.counts.differences == 0

    play(tmp_path, baseline, story, tree)
    subprocess.run(["rm", "-rf", str(tree)], check=True)


def test_a_scanner_that_dies_is_a_loss_and_leaves_the_baseline_alone(
    tmp_path: Path, tree: Path, baseline: SqliteBaseline, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(seen: Seen, sensor: ScanSensor) -> None:
        whole(await sensor.scan("start"))
        expected = baseline.digest()
        with monkeypatch.context() as patch:
            patch.setattr("vedette.sensors._scanner_process.SCANNER", "vedette.no_such_module")
            report = await sensor.scan("request")
        assert "the scanner ended early" in report.outcome.failure
        (loss,) = seen.events
        assert isinstance(loss, EventsLost)
        assert baseline.digest() == expected
        assert sensor.counters()["failed"] == 1
        whole(await sensor.scan("next"))

    play(tmp_path, baseline, story, tree)


def test_closing_ends_a_scan_that_runs(
    tmp_path: Path, tree: Path, baseline: SqliteBaseline
) -> None:
    for number in range(2000):
        (tree / f"f{number}").touch()

    async def run() -> None:
        async with scanning(tmp_path, baseline, tree) as (_, sensor):
            sensor.request("start")
            running = sensor._running
            assert running is not None
        assert running.done()
        assert running.result().outcome.failure
        assert baseline.is_empty()
        with pytest.raises(SensorError, match="closed"):
            await sensor.scan("after the end")

    asyncio.run(run())


def test_the_scanner_dies_with_its_parent(tmp_path: Path) -> None:
    fifo_folder = tmp_path / "many"
    fifo_folder.mkdir()
    for number in range(3000):
        (fifo_folder / f"{number}").touch()
    script = (
        "import subprocess, sys, os, time\n"
        "p = subprocess.Popen([sys.executable, '-I', '-m', 'vedette.daemon.scanner',"
        "str(os.getpid()), '0', '1', '', sys.argv[1]], stdout=subprocess.PIPE)\n"
        "p.stdout.read(4)\n"  # it runs and will block: nobody reads its pipe
        "print(p.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    command = [sys.executable, "-I", "-c", script, str(fifo_folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        scanner = os.pidfd_open(int(parent.stdout.readline()))
        parent.send_signal(signal.SIGKILL)
        assert select.select([scanner], [], [], 20.0)[0], "the scanner outlived its parent"
        os.close(scanner)


def test_scans_nobody_waits_for_keep_a_pause_and_urgent_ones_do_not(
    tmp_path: Path, tree: Path, baseline: SqliteBaseline
) -> None:
    async def story(_: Seen, sensor: ScanSensor) -> None:
        whole(await sensor.scan("start"))
        sensor.request("overflow")
        assert not sensor.is_scanning
        sensor.request("operator", is_urgent=True)
        assert sensor.is_scanning
        sensor.request("overflow")
        sensor.request("accepted", is_urgent=True)
        sensor.request("overflow")
        assert whole(await sensor.scan("joins")).reason == "operator"
        async with asyncio.timeout(20):
            while sensor.report is None or sensor.report.reason != "accepted":
                assert sensor._running is not None
                await asyncio.wait([sensor._running])
        assert not sensor.is_scanning

    play(tmp_path, baseline, story, tree)


def test_the_proof_runs_a_real_scanner_and_leaves_nothing(
    tmp_path: Path, tree: Path, baseline: SqliteBaseline
) -> None:
    async def story(_: Seen, sensor: ScanSensor) -> None:
        await sensor.prove("abcdefgh")
        assert list((tmp_path / "run" / "scan-proof").iterdir()) == []

    play(tmp_path, baseline, story, tree)


def test_without_a_baseline_it_says_so(tmp_path: Path, tree: Path) -> None:
    async def run() -> None:
        async with scanning(tmp_path, None, tree):
            pass

    with pytest.raises(SensorError, match="expected a baseline"):
        asyncio.run(run())


def test_accepted_differences_are_forgotten(
    tmp_path: Path, tree: Path, baseline: SqliteBaseline
) -> None:
    async def story(_: Seen, sensor: ScanSensor) -> None:
        whole(await sensor.scan("start"))
        (tree / "new").touch()
        whole(await sensor.scan("request"))
        (found,) = sensor.differences
        assert isinstance(found, Difference)
        assert found.found is not None
        baseline.accept([found.found], [])
        sensor.forget([found.path])
        assert sensor.differences == ()
        assert whole(await sensor.scan("again")).outcome.counts.differences == 0

    play(tmp_path, baseline, story, tree)
