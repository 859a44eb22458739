"""A repository, its server and a device, for each test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.conformance._device import Device, Forker
from tests.simulators.repository_server import RepositoryServer
from tests.simulators.tuf_repository import Repository
from tests.system._preload import build


@pytest.fixture(scope="session")
def forker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forker]:
    one = Forker(tmp_path_factory.mktemp("forker"))
    yield one
    one.close()


@pytest.fixture
def repository() -> Repository:
    return Repository()


@pytest.fixture
def server(repository: Repository) -> Iterator[RepositoryServer]:
    with RepositoryServer(repository) as running:
        yield running


@pytest.fixture
def fresh(tmp_path: Path, server: RepositoryServer, forker: Forker) -> Device:
    """A device before `init`."""
    return Device(tmp_path, server, forker)


@pytest.fixture
def device(fresh: Device, repository: Repository) -> Device:
    """A device that trusts the repository's first root and has seen nothing else."""
    assert fresh.init(repository.files["1.root.json"]).code == 0
    return fresh


@pytest.fixture
def shifted(tmp_path: Path) -> Callable[[float], dict[str, str]]:
    """The environment in which a client's clock is so many days off."""
    library = build("shifted_clock.c", tmp_path)
    return lambda days: {"LD_PRELOAD": str(library), "CLOCK_SHIFT_S": str(int(days * 86_400))}
