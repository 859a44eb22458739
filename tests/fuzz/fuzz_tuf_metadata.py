"""Release metadata, whole: any file of any role, and what the installer's client makes of it."""

from __future__ import annotations

import atexit
import json
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from securesystemslib.exceptions import FormatError
from securesystemslib.formats import encode_canonical
from tests.simulators.memory_state import MemoryState
from tests.simulators.tuf_repository import ALL, MemorySource, Repository

from vedette.errors import FetchError, StoreError
from vedette.trust.tuf_client import RefusedError, ReleaseTrust
from vedette.trust.tuf_floors import Floors

_REPOSITORY = Repository()
_REPOSITORY.delegate("rules", ["rules/*/*"])
_REPOSITORY.add_target("rules/main/1", b"x", "rules", {"vedette": {"counter": 1}})
_REPOSITORY.publish("rules", "root", *ALL)
_GOOD = dict(_REPOSITORY.files)
_NAMES = ("2.root.json", "timestamp.json", "2.snapshot.json", "2.targets.json", "1.rules.json")
_FOLDER = tempfile.TemporaryDirectory()
atexit.register(_FOLDER.cleanup)
(Path(_FOLDER.name) / "root_history").mkdir()

SIGNED = 128
"""Added to the number of a file: the rest is signed as its role would."""

SEEDS = [bytes((index,)) + _GOOD[name] for index, name in enumerate(_NAMES)] + [
    bytes((SIGNED + index,)) + json.dumps(json.loads(_GOOD[name])["signed"]).encode()
    for index, name in enumerate(_NAMES)
]


def target(data: bytes) -> None:
    """One file of a good repository, replaced by any bytes, is refused or harmless.

    The first byte says which file, and whether the rest is only what its role signs: then it is
    signed rightly, as a thief of the key would. Where it is not, the device has learnt nothing, and
    accepts the good repository afterwards.
    """
    kind = data[0] if data else 0
    name, is_signed = _NAMES[kind % SIGNED % len(_NAMES)], kind >= SIGNED
    content = _signed(name, data[1:]) if is_signed else data[1:]
    state = MemoryState()
    _REPOSITORY.files = {**_GOOD, name: content}
    with suppress(RefusedError, FetchError, StoreError):
        _opened(state).targets("rules")
    if is_signed:
        return
    _REPOSITORY.files = _GOOD
    found = _opened(state).targets("rules")
    if [one.path for one in found] != ["rules/main/1"]:
        raise AssertionError(f"after {name} was bent, the good repository has {found}")


def _signed(name: str, signed: bytes) -> bytes:
    """A file with this content, if it is one that can be signed."""
    role = name.removesuffix(".json").rpartition(".")[2]
    try:
        content = json.loads(signed)
        payload = str(encode_canonical(content)).encode()
    except (ValueError, RecursionError, FormatError):
        return signed
    signatures = [signer.sign(payload).to_dict() for signer in _REPOSITORY.signers[role]]
    return json.dumps({"signatures": signatures, "signed": content}).encode()


def _opened(state: MemoryState) -> ReleaseTrust:
    return ReleaseTrust(
        Path(_FOLDER.name),
        root=_GOOD["1.root.json"],
        floors=Floors(state, 0),
        source=MemorySource(_REPOSITORY),
        save=lambda path, data: None,  # nothing is kept: each input begins anew
        wall_s=time.time(),
    )
