"""`make docker-test`: a device is built and tested in containers; of them only the report stays."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tests.device._device import ARCH, REPOSITORY

from vedette.errors import DeviceError
from vedette_dev.device import outcomes
from vedette_dev.docker import Docker, connected
from vedette_dev.docker.client import LABEL

pytestmark = pytest.mark.device

SHORTEST = "starts_slot_a"
"""U-Boot alone, once."""
RUN_S = 1700.0


@pytest.fixture
def docker() -> Docker:
    try:
        return connected()
    except DeviceError as error:
        pytest.skip(str(error).partition("\n")[0])


def ours(docker: Docker) -> list[str]:
    """All containers that runs of this clone have started."""
    return docker.ask("ps", "--all", "--quiet", f"--filter=label={LABEL}").split()


def test_the_shortest_device_test_passes_in_a_container(docker: Docker, tmp_path: Path) -> None:
    before = set(ours(docker)), set(docker.ask("volume", "ls", "--quiet").split())
    ran = subprocess.run(
        [sys.executable, "-m", "vedette_dev", "docker-test", "--arch", ARCH,
         "--folder", tmp_path, f"ARGS=-k {SHORTEST}"],
        cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        timeout=RUN_S, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout
    assert [one.outcome for one in outcomes.read(tmp_path / f"{ARCH}.jsonl")] == ["passed"]
    consoles = [path.read_text("utf-8", "replace") for path in tmp_path.rglob("console.log")]
    assert any("U-Boot" in console for console in consoles), consoles
    assert not (tmp_path / "source.bundle").exists()
    after = set(ours(docker)), set(docker.ask("volume", "ls", "--quiet").split())
    assert after == before
