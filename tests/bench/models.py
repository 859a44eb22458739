"""Models: what an OpenSSF signature costs, and how fast a bad model is out of use again.

Rule: breach to previous model is measured by the inference process, from the moment it speaks on
its health socket until `current` leads to the model before.
"""

from __future__ import annotations

import hashlib
import os
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from tests.bench.figure import Figure, figure
from tests.simulators.model_content import NAME, make, stage
from tests.simulators.model_signer import ModelSigner

from vedette.daemon.model_options import Models
from vedette.daemon.models.in_use import DeviceModels
from vedette.daemon.models.watch import Watch
from vedette.model.model_use import ModelUse
from vedette.store.models import ModelStore
from vedette.trust import model_signature

MODEL_BYTES = 30_000_000
SHARD_BYTES = 4_000_000
BUDGET_S = 2.0
RUNS = 7


def figures(*, is_quick: bool) -> Iterator[Figure]:
    """Verification of 30 MB beside a plain SHA-256, then the way back."""
    runs = 3 if is_quick else RUNS
    with tempfile.TemporaryDirectory(prefix="vedette-bench-") as folder:
        yield from _verification(Path(folder), runs)
    yield figure(
        "model: breach to the model before", [_way_back() for _ in range(runs)], "s", BUDGET_S,
        "budget; from the datagram of the inference process to the switched link, synced",
    )  # fmt: skip


def _verification(folder: Path, runs: int) -> Iterator[Figure]:
    model = folder / "model"
    model.mkdir()
    for number in range(3):
        (model / f"part-{number}.bin").write_bytes(os.urandom(MODEL_BYTES // 3))
    plain_ms = min(_timed(lambda: _hashed(model)) for _ in range(runs))
    signer = ModelSigner()
    keys = [model_signature.read_key(signer.public_pem)]
    for method, shard_size in (("files", 0), ("shards", SHARD_BYTES)):
        signature = signer.sign(model, shard_size=shard_size)
        times = [
            _timed(partial(model_signature.verify, model, signature, keys)) for _ in range(runs)
        ]
        yield figure(
            f"model signature of 30 MB, {method}: verified", times, "ms", plain_ms,
            "SHA-256 of the same files alone",
        )  # fmt: skip


def _timed(work: Callable[[], object]) -> float:
    began_s = time.perf_counter()
    work()
    return (time.perf_counter() - began_s) * 1000


def _hashed(model: Path) -> None:
    for path in sorted(model.iterdir()):
        with path.open("rb") as file:
            hashlib.file_digest(file, "sha256")


def _way_back() -> float:
    """Seconds from a breach until the link leads to the model before."""
    with tempfile.TemporaryDirectory(prefix="vedette-bench-") as folder:
        place = Path(folder)
        use = ModelUse(NAME, health=str(place / "health"), user="0", silence_s=60)
        models = DeviceModels(Models(folder=str(place / "models"), uses={NAME: use}))
        first = _installed(models.store, b"1")
        models.store.commit(NAME, first)
        with Watch(use) as watch:
            _installed(models.store, b"2")
            said: list[float] = []
            speaker = threading.Thread(target=_breach, args=(use.health, said))
            speaker.start()
            problem = watch.run(30.0)
            models.roll_back(NAME)
            ended_s = time.perf_counter()
            speaker.join()
        if problem is None or models.pointers(NAME).current != first:
            raise RuntimeError(f"expected a breach and the first model, got {problem}")
        return ended_s - said[0]


def _installed(store: ModelStore, data: bytes) -> str:
    digest = stage(store, make({"m.onnx": data * 1000}))
    store.switch(NAME, digest)
    return digest


def _breach(path: str, said: list[float]) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        said.append(time.perf_counter())
        sender.sendto(b"BREACH=psi 0.31", path)
