"""What a container is given, and what is said where there is no docker."""

from __future__ import annotations

from pathlib import Path

import pytest

from vedette.errors import DeviceError
from vedette_dev.docker import Settings, connected
from vedette_dev.docker.client import LABEL, PASSED
from vedette_dev.docker.device_tests import TESTS, WORKSHOP


def put_docker(folder: Path, script: str) -> None:
    program = folder / "docker"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


def test_a_container_gets_what_is_named_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PASSED:
        monkeypatch.delenv(name, raising=False)
    settings = Settings(
        image="image:tag",
        command=("make", "it"),
        capabilities=("CHOWN",),
        options=("--network=none",),
        mounts={Path("/here"): "/there:ro"},
        environment={"A": "b"},
    )
    words = settings.words("name")
    assert words[-4:] == ["--network=none", "image:tag", "make", "it"]
    rights = [word for word in words if word.startswith(("--cap", "--priv", "--volume", "--env"))]
    assert rights == ["--cap-drop=ALL", "--cap-add=CHOWN", "--volume=/here:/there:ro", "--env=A=b"]
    assert {"--name=name", "--pull=never", f"--label={LABEL}"} <= set(words)


def test_what_leads_to_packages_is_passed_by_name_without_its_value(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("https_proxy", "http://somebody:secret@proxy")
    words = Settings("image", ()).words("name")
    assert "--env=https_proxy" in words
    assert not any("secret" in word for word in words)


def test_what_boots_devices_may_not_mount() -> None:
    assert set(TESTS) < set(WORKSHOP)
    assert set(WORKSHOP) - set(TESTS) == {"MKNOD", "SETFCAP", "SYS_ADMIN", "SYS_CHROOT"}


def test_without_docker_it_is_said_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DeviceError, match=r"docker is missing: .*apt-get install docker\.io"):
        connected()


def test_without_its_daemon_it_is_said_how_to_start_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_docker(tmp_path, "echo 'Cannot connect to the Docker daemon' >&2; exit 1")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(DeviceError, match="does not answer") as raised:
        connected()
    assert "Cannot connect to the Docker daemon" in str(raised.value)
    assert "systemctl start docker" in str(raised.value)
    assert "DOCKER_HOST" in str(raised.value)


@pytest.mark.parametrize(
    ("networks", "expected"), [("bridge host none", "bridge"), ("host", "host")]
)
def test_the_narrowest_network_that_leads_outside_is_used(
    networks: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_docker(tmp_path, f"case $1 in network) printf '%s\\n' {networks} ;; esac")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert connected().network == expected


def test_what_docker_says_when_it_fails_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_docker(tmp_path, "case $1 in run) echo 'no such image' >&2; exit 125 ;; esac")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    docker = connected()
    with pytest.raises(DeviceError, match=r"docker run left with 125:\n *no such image"):
        docker.ask("run", "x")


def test_a_container_that_could_not_start_is_removed_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = tmp_path / "calls"
    put_docker(tmp_path, f'echo "$*" >>{calls}; case $1 in run) exit 125 ;; esac')
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    docker = connected()
    with (
        pytest.raises(DeviceError, match="left with 125"),
        docker.running("begun", Settings("image", ())),
    ):
        pytest.fail("it does not run")
    assert calls.read_text().splitlines()[-1] == "rm --force --volumes begun"
