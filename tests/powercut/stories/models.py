"""Models: staged, switched to, committed, rolled back, removed."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from tests.powercut.story import BadStateError, Mark, require
from tests.simulators.model_content import NAME, MadeModel, make, stage

from vedette.errors import StoreError, TrustError
from vedette.store.model_staging import Staging
from vedette.store.models import ModelStore

MODELS = 3
_MAX_BYTES = 1 << 20


def play(folder: Path, mark: Mark) -> None:
    """Two models become good ones, the third fails its trial; then back by command; one goes."""
    store = _store(folder)
    mark("current 0")
    mark("kept 0")
    for number in (1, 2):
        mark(f"current {number - 1},{number}")
        digest = stage(store, _model(number), step=3000)
        store.switch(NAME, digest)
        store.commit(NAME, digest)
        mark(f"current {number}")
        mark(f"kept {','.join(str(one) for one in range(1, number + 1))}")
    store.switch(NAME, stage(store, _model(3)))
    store.roll_back(NAME)
    mark("current 1,2")
    store.roll_back(NAME)
    mark("current 1")
    mark("kept 1,2")
    store.remove(NAME, _model(3).digest)


def check(folder: Path, marks: Sequence[str]) -> None:
    """One that was allowed is in use, whole and compared; nothing that was promised is lost."""
    store = _store(folder)
    store.recover()
    pointers = store.pointers(NAME)
    require(not pointers.is_trial, "a trial runs that nobody watches")
    current = _number(pointers.current)
    require(current in _told(marks, "current"), f"model {current} is in use, not {marks[-2:]}")
    if current:
        opened = folder / "models" / NAME / "current" / "model" / "shared.bin"
        require(opened.read_bytes() == b"s" * 2000, "the link leads to another content")
    digests = store.digests(NAME)
    for digest in digests:
        try:
            store.verify(NAME, digest)
        except TrustError as error:
            raise BadStateError(f"model {_number(digest)}: {error}") from error
    lost = _told(marks, "kept") - {0} - {_number(digest) for digest in digests}
    require(not lost, f"lost: {sorted(lost)}")
    if any(mark.startswith("current") for mark in marks):
        _require_next(store)


def _require_next(store: ModelStore) -> None:
    """What was half staged can be gone on with, or begun anew."""
    for number in range(1, MODELS + 1):
        made = _model(number)
        if (store.folder / NAME / "staging" / made.digest).exists():
            with suppress(StoreError):  # torn by the cut: the next one begins anew
                stage(store, made)
            require(stage(store, made) == made.digest, "it cannot be gone on with")
            require(Staging(store, made.data).is_whole, "it is not whole")


def _told(marks: Sequence[str], word: str) -> set[int]:
    """The numbers of the last mark with a word."""
    told = [mark.partition(" ")[2] for mark in marks if mark.startswith(f"{word} ")]
    return {int(number) for number in told[-1].split(",")} if told else {0}


def _model(number: int) -> MadeModel:
    files = {"weights.bin": bytes([number]) * 5000, "shared.bin": b"s" * 2000}
    return make(files, version=str(number))


def _number(digest: str) -> int:
    """Which model a digest is of; 0 for none."""
    known = {_model(number).digest: number for number in range(1, MODELS + 1)}
    require(digest in known or not digest, f"nobody made the model {digest}")
    return known.get(digest, 0)


def _store(folder: Path) -> ModelStore:
    return ModelStore(folder / "models", max_bytes=_MAX_BYTES)
