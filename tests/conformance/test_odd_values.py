"""Every value of every file, replaced by one that has no business there, and rightly signed.

A thief of a key can sign anything: what tuf or we make of it is a refusal or no harm, never another
error.
"""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from securesystemslib.exceptions import FormatError
from securesystemslib.formats import encode_canonical
from tests.simulators.memory_state import MemoryState
from tests.simulators.tuf_repository import ALL, MemorySource, Repository

from vedette.errors import FetchError, StoreError
from vedette.trust.tuf_client import RefusedError, ReleaseTrust
from vedette.trust.tuf_floors import Floors

ODD: tuple[Any, ...] = (
    None, True, -1, 0, 2**31, 2**32, 2**63, 2**64, 10**30, "", "x" * 5000, "\ud800", "../x", "/",
    "\0", [], {}, [[]], {"": {}}, ["x", "x"], "2026-13-45T99:99:99Z", "9999-12-31T23:59:59Z",
)  # fmt: skip
FILES = ("2.root.json", "timestamp.json", "2.snapshot.json", "2.targets.json", "1.rules.json")
Way = tuple[str | int, ...]


@pytest.fixture(scope="module")
def repository() -> Repository:
    one = Repository()
    one.timestamp.unrecognized_fields["x-vedette-issued"] = int(time.time())
    one.delegate("rules", ["rules/*/*"])
    one.add_target("rules/main/1", b"x", "rules", {"vedette": {"counter": 1}})
    one.publish("rules", "root", *ALL)
    return one


@pytest.mark.parametrize("name", FILES)
def test_odd_values_are_refused_or_harmless(
    name: str, repository: Repository, tmp_path: Path
) -> None:
    good, count = json.loads(repository.files[name])["signed"], 0
    for way in ways(good):
        for odd in ODD:
            bent = signed(repository, name, replaced(good, way, odd))
            if bent is not None:
                count += 1
                _try(repository, {**repository.files, name: bent}, tmp_path)
    assert count > 100


def _try(repository: Repository, files: dict[str, bytes], folder: Path) -> None:
    """On a device that has seen nothing yet, and keeps nothing: each value is met by itself."""
    (folder / "root_history").mkdir(exist_ok=True)
    source = MemorySource(repository)
    source.files = files
    with suppress(RefusedError, FetchError, StoreError):
        ReleaseTrust(
            folder,
            root=repository.files["1.root.json"],
            floors=Floors(MemoryState(), 0),
            source=source,
            save=lambda path, data: None,
            wall_s=time.time(),
        ).targets("rules")


def ways(value: Any, before: Way = ()) -> Iterator[Way]:
    """The way to every value in a document."""
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    for name, part in inner:
        yield (*before, name)
        if isinstance(part, dict | list):
            yield from ways(part, (*before, name))


def replaced(value: Any, way: Way, odd: Any) -> Any:
    """A copy with another value at the end of a way."""
    copied = copy.deepcopy(value)
    place = copied
    for step in way[:-1]:
        place = place[step]
    place[way[-1]] = odd
    return copied


def signed(repository: Repository, name: str, content: Any) -> bytes | None:
    """The file, if its content can be signed at all."""
    role = name.removesuffix(".json").rpartition(".")[2]
    try:
        payload = str(encode_canonical(content)).encode()
    except (FormatError, ValueError):
        return None
    signatures = [signer.sign(payload).to_dict() for signer in repository.signers[role]]
    return json.dumps({"signatures": signatures, "signed": content}).encode()
