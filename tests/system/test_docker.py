"""On a real daemon: what a run starts ends with it, however; skipped where there is none."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from vedette.errors import DeviceError
from vedette_dev.docker import Docker, Settings, connected
from vedette_dev.docker.device_tests import BINFMT, own_binfmt
from vedette_dev.docker.image import build

pytestmark = pytest.mark.system

DEADLINE_S = 60.0
DOCKERFILE = """\
FROM scratch
COPY busybox /bin/
RUN ["/bin/busybox", "--install", "-s", "/bin"]
"""
FOREIGN = ":vedette-test:M::\\x00vedette-test::/bin/busybox:"
"""A line of binfmt_misc's register (binfmt_misc.rst): for files that begin so."""
RUN = """
import os, sys, time
from vedette_dev.docker import Settings, connected, ended_in_order
settings = Settings(sys.argv[2], ("sleep", "600"), options=("--volume=/v",))
with ended_in_order():
    with connected().running(sys.argv[1], settings):
        print("runs", flush=True)
        time.sleep(600)
"""


@pytest.fixture(scope="module")
def docker() -> Docker:
    try:
        return connected()
    except DeviceError as error:
        pytest.skip(str(error).partition("\n")[0])


@pytest.fixture(scope="module")
def image(docker: Docker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A small one, from no registry."""
    busybox = shutil.which("busybox")
    if busybox is None:
        pytest.skip("busybox is missing: apt-get install busybox-static")
    folder = tmp_path_factory.mktemp("image")
    context = folder / "context"
    context.mkdir()
    shutil.copy(busybox, context)
    (folder / "Dockerfile").write_text(DOCKERFILE)
    tag = f"vedette-test:{os.getpid()}"
    build(docker, folder / "Dockerfile", context, tag, folder / "log")
    yield tag
    docker.ask("rmi", "--force", tag)


def standing(docker: Docker, name: str) -> list[str]:
    """The containers of that name."""
    return docker.ask("ps", "--all", "--quiet", f"--filter=name={name}").split()


def volumes(docker: Docker) -> set[str]:
    return set(docker.ask("volume", "ls", "--quiet").split())


def test_a_container_and_its_volume_end_with_what_needed_them(docker: Docker, image: str) -> None:
    before, name = volumes(docker), f"vedette-test-ends-{os.getpid()}"
    settings = Settings(image, ("sleep", "600"), options=("--volume=/v", "--network=none"))

    def use() -> None:
        with docker.running(name, settings):
            assert standing(docker, name)
            assert volumes(docker) > before
            assert docker.ask("exec", name, "id", "-u") == "0"
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        use()
    assert not standing(docker, name)
    assert volumes(docker) == before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_a_run_that_is_interrupted_leaves_nothing(
    number: signal.Signals, docker: Docker, image: str
) -> None:
    before, name = volumes(docker), f"vedette-test-cut-{number}-{os.getpid()}"
    with started(name, image) as run:
        run.send_signal(number)
        assert run.wait(DEADLINE_S) != 0
    assert not standing(docker, name)
    assert volumes(docker) == before


def test_what_a_killed_run_left_goes_with_the_next_one(docker: Docker, image: str) -> None:
    before, name = volumes(docker), f"vedette-test-killed-{os.getpid()}"
    with started(name, image) as run:
        docker.remove_left()
        assert standing(docker, name), "a run that goes on was taken for one that was killed"
        run.kill()
        run.wait(DEADLINE_S)
        assert standing(docker, name)
    docker.remove_left()
    assert not standing(docker, name)
    assert volumes(docker) == before


def test_the_table_of_foreign_programs_is_put_back(docker: Docker, image: str) -> None:
    name = f"vedette-test-binfmt-{os.getpid()}"
    rights = Settings(
        image,
        ("sleep", "600"),
        capabilities=("SYS_ADMIN",),
        options=("--network=none", "--security-opt=apparmor=unconfined"),
    )
    with docker.running(name, rights):

        def table() -> list[str]:
            return docker.ask("exec", name, "ls", BINFMT).split()

        with own_binfmt(docker, name):
            before = table()
            docker.ask("exec", name, "sh", "-c", f"echo '{FOREIGN}' >{BINFMT}/register")
            assert set(table()) - set(before) == {"vedette-test"}
        assert table() == before


def test_a_client_without_a_daemon_is_told_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    if shutil.which("docker") is None:
        pytest.skip("docker is missing")
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    with pytest.raises(DeviceError, match="does not answer") as raised:
        connected()
    assert "systemctl start docker" in str(raised.value)


def started(name: str, image: str) -> subprocess.Popen[bytes]:
    """A run that has begun a container of this name."""
    run = subprocess.Popen([sys.executable, "-c", RUN, name, image], stdout=subprocess.PIPE)
    assert run.stdout is not None
    ends_s = time.monotonic() + DEADLINE_S
    assert run.stdout.readline() == b"runs\n", "it did not start"
    assert time.monotonic() < ends_s
    return run
