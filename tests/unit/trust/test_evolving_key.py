"""The key of the checkpoints: used once, forgotten for good, and never begun anew in silence."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from tests.simulators.signing import signer

from vedette.codec import chain_link, note
from vedette.codec.chain_link import Link
from vedette.errors import StoreError
from vedette.store import durable
from vedette.store.cell import FileCell
from vedette.trust import evolving_key
from vedette.trust.ed25519 import Ed25519Verifier
from vedette.trust.evolving_key import FILE, EvolvingKey

DEVICE = signer(1)


def link(key: EvolvingKey) -> Link:
    data = key.sign_link("vedette/acme/cam-7/1", 3, bytes(32), "ab" * 32, "cam-7", DEVICE)
    return chain_link.decode_note(data)[1]


def test_each_link_names_the_key_of_the_next(tmp_path: Path) -> None:
    key = EvolvingKey(FileCell(tmp_path / FILE), 0)
    assert (key.number, key.problem) == (0, "")
    links = []
    for _ in range(5):
        links.append(link(key))
        key.evolve()
    assert [one.number for one in links] == [0, 1, 2, 3, 4]
    for before, after in itertools.pairwise(links):
        assert before.next_key == after.key
    assert len({one.key for one in links}) == 5


def test_a_link_is_signed_by_the_device_and_by_its_own_key(tmp_path: Path) -> None:
    key = EvolvingKey(FileCell(tmp_path / FILE), 0)
    data = key.sign_link("vedette/acme/cam-7/1", 3, bytes(32), "", "cam-7", DEVICE)
    found, read = chain_link.decode_note(data)
    for name, public_key in (("cam-7", DEVICE.public_key), ("cam-7/0", read.key)):
        signature = note.signature_of(found, name, public_key)
        assert signature is not None
        assert Ed25519Verifier().verify(public_key, signature, found.text.encode())
    assert note.signature_of(found, "cam-8", DEVICE.public_key) is None


def test_what_is_left_of_a_used_key_signs_nothing_of_before(tmp_path: Path) -> None:
    key = EvolvingKey(FileCell(tmp_path / FILE), 0)
    used, seed, file = key.public_key, bytes(key._seed), tmp_path / FILE
    with file.open("rb") as old:
        key.evolve()
        assert set(old.read()) == {0}, "what the name led to before is overwritten"
    everything = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert seed.hex().encode() not in everything
    assert seed not in everything
    stolen = EvolvingKey(FileCell(tmp_path / FILE), 1)  # by whoever reads the folder now
    for _ in range(50):
        assert stolen.public_key != used
        stolen.evolve()


def test_it_goes_on_after_a_restart(tmp_path: Path) -> None:
    key = EvolvingKey(FileCell(tmp_path / FILE), 0)
    key.evolve()
    again = EvolvingKey(FileCell(tmp_path / FILE), 1)
    assert (again.number, again.public_key, again.problem) == (1, key.public_key, "")


def test_a_crash_between_signing_and_evolving_leads_to_the_key_that_was_named(
    tmp_path: Path,
) -> None:
    named = link(EvolvingKey(FileCell(tmp_path / FILE), 0)).next_key
    again = EvolvingKey(FileCell(tmp_path / FILE), 1)  # the journal holds link 0
    assert (again.number, again.public_key, again.problem) == (1, named, "")


LOST = {
    "it was removed": (None, "is gone"),
    "it was damaged": (b"vedette checkpoint key 1\n7\n", "is damaged"),
    "an older one was put back": (
        b"vedette checkpoint key 1\n2\n" + b"ab" * 32 + b"\n", "is the key of link 2, expected",
    ),
    "it was made too long to be one": (b"x" * 10_000, "expected at most"),
}  # fmt: skip


@pytest.mark.parametrize("how", LOST)
def test_a_key_that_was_lost_is_told_and_another_chain_begun(tmp_path: Path, how: str) -> None:
    data, problem = LOST[how]
    if data is not None:
        (tmp_path / FILE).write_bytes(data)
    key = EvolvingKey(FileCell(tmp_path / FILE), 7)
    assert problem in key.problem
    assert key.number == 7
    assert EvolvingKey(FileCell(tmp_path / FILE), 7).problem == ""


def test_a_journal_that_lost_its_newest_links_is_no_fault_of_the_key(tmp_path: Path) -> None:
    key = EvolvingKey(FileCell(tmp_path / FILE), 0)
    for _ in range(9):
        key.evolve()
    assert (EvolvingKey(FileCell(tmp_path / FILE), 3).number, key.problem) == (9, "")


def test_a_disk_that_takes_nothing_leaves_the_key_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = EvolvingKey(FileCell(tmp_path / FILE), 0)
    before = key.public_key

    def refuse(path: Path, data: bytes) -> None:
        raise StoreError(f"{path}: no space left")

    monkeypatch.setattr(durable, "write", refuse)
    with pytest.raises(StoreError, match="no space left"):
        key.evolve()
    assert (key.number, key.public_key) == (0, before)
    monkeypatch.undo()
    assert EvolvingKey(FileCell(tmp_path / FILE), 0).public_key == before
    assert evolving_key.FILE == "checkpoint.key"
