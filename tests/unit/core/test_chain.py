"""What a reader off the device believes of its checkpoints, whatever became of the device."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.simulators.signing import signer

from vedette.codec import chain_link, strict_json
from vedette.codec.merkle import Frontier, Tree, leaf_hash
from vedette.codec.strict_json import Json
from vedette.core.chain import Chain, Judgement, Verdict
from vedette.errors import ParseError
from vedette.store.cell import FileCell
from vedette.trust.ed25519 import Ed25519Signer, Ed25519Verifier
from vedette.trust.evolving_key import FILE, EvolvingKey

DEVICE = signer(1)
VERIFIER = Ed25519Verifier()
HONEST = [leaf_hash(b"honest %d" % number) for number in range(64)]
REWRITTEN = [leaf_hash(b"innocent %d" % number) for number in range(64)]


class Device:
    """A device that signs, and from some moment on an intruder who has all that it has.

    Attributes:
        key: the evolving key, as anybody finds it who reads the state folder now.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.key = EvolvingKey(FileCell(folder / FILE), 0)
        self.signed = 0

    def link(
        self,
        size: int,
        *,
        leaves: list[bytes] = HONEST,
        old: int | None = None,
        epoch: int = 1,
        device_key: Ed25519Signer = DEVICE,
        is_last: bool = False,
    ) -> Json:
        """Sign a tree of so many leaves, with a proof from `old`; evolve unless it is the last."""
        old = self.signed if old is None else old
        proof = Tree(Frontier(), leaves).consistency(old, size) if 0 < old <= size else []
        root = Tree(Frontier(), leaves).root(size)
        origin = f"vedette/acme/cam-7/{epoch}"
        data = self.key.sign_link(origin, size, root, "", "cam-7", device_key)
        if not is_last:
            self.key.evolve()
            self.signed = size
        body = chain_link.encode_body(data, tuple(proof))
        return strict_json.parse(body, max_bytes=len(body))


def chain() -> Chain:
    return Chain("acme", "cam-7", DEVICE.public_key)


def verdicts(reader: Chain, *documents: Json) -> list[Verdict]:
    return [reader.take(document, VERIFIER).verdict for document in documents]


def test_an_honest_device_is_followed(tmp_path: Path) -> None:
    device = Device(tmp_path)
    links = [device.link(size) for size in (1, 1, 2, 5, 8, 33, 64)]
    assert verdicts(chain(), *links) == [Verdict.BEGUN, *[Verdict.HOLDS] * 6]


def test_a_link_that_is_delivered_twice_is_known(tmp_path: Path) -> None:
    device, reader = Device(tmp_path), chain()
    first, second = device.link(3), device.link(4)
    expected = [Verdict.BEGUN, Verdict.HOLDS, Verdict.KNOWN, Verdict.KNOWN]
    assert verdicts(reader, first, second, second, first) == expected
    assert reader.last is not None
    assert reader.last.number == 1


def _rewrites_the_past(device: Device, _: Path) -> Json:
    """He has today's key and signs a journal in which yesterday was quiet, grown by as much."""
    return device.link(9, leaves=REWRITTEN)


def _rewrites_with_an_honest_proof(device: Device, _: Path) -> Json:
    document = device.link(9, leaves=REWRITTEN)
    honest = Tree(Frontier(), HONEST).consistency(5, 9)
    assert isinstance(document, dict)
    return {**document, "proof": [digest.hex() for digest in honest]}


def _cuts_the_journal(device: Device, _: Path) -> Json:
    return device.link(2, old=0)


def _leaves_the_proof_out(device: Device, _: Path) -> Json:
    document = device.link(9)
    assert isinstance(document, dict)
    return {**document, "proof": []}


def _begins_a_chain_of_his_own(device: Device, folder: Path) -> Json:
    """Same number, but the key that was named is erased or unknown to him: he makes one."""
    other = Device(folder / "other")
    while other.key.number < device.key.number:
        other.key.evolve()
    other.signed = 5
    return other.link(9)


def _signs_an_old_link_again(device: Device, folder: Path) -> Json:
    """The number of the last link once more, over another past: its own key is erased."""
    other = Device(folder / "other")
    while other.key.number < device.key.number - 1:
        other.key.evolve()
    return other.link(5, leaves=REWRITTEN, old=0)


def _signs_without_the_device(device: Device, _: Path) -> Json:
    return device.link(9, device_key=signer(9))


def _goes_back_to_an_epoch(device: Device, _: Path) -> Json:
    return device.link(9, epoch=0)


ATTACKS: dict[str, tuple[Callable[[Device, Path], Json], str]] = {
    "he rewrites what was signed": (_rewrites_the_past, "do not continue the 5 signed before"),
    "he adds the proof of the honest journal": (
        _rewrites_with_an_honest_proof, "do not continue the 5 signed before",
    ),
    "he cuts off what was signed": (_cuts_the_journal, "5 entries were signed before, and 2 now"),
    "he leaves the proof out": (_leaves_the_proof_out, "do not continue"),
    "he begins a chain of his own": (_begins_a_chain_of_his_own, "not signed by the key that"),
    "he signs the last link again": (_signs_an_old_link_again, "says something else"),
    "he has not the device's key": (_signs_without_the_device, "the device did not sign it"),
    "he goes back to an earlier epoch": (_goes_back_to_an_epoch, "epoch 0 comes after epoch 1"),
}  # fmt: skip


@pytest.mark.parametrize("attack", ATTACKS)
def test_root_after_the_fact_cannot_change_what_was_signed(tmp_path: Path, attack: str) -> None:
    forge, why = ATTACKS[attack]
    device, reader = Device(tmp_path / "device"), chain()
    assert verdicts(reader, device.link(3), device.link(5)) == [Verdict.BEGUN, Verdict.HOLDS]
    before = reader.last
    judgement = reader.take(forge(device, tmp_path), VERIFIER)
    assert judgement.verdict is Verdict.BROKEN
    assert why in judgement.detail
    assert reader.last == before, "what is known stands against it"


def test_a_link_that_is_missing_is_told_and_the_chain_followed_again(tmp_path: Path) -> None:
    device, reader = Device(tmp_path), chain()
    links = [device.link(size) for size in (3, 5, 8, 9)]
    assert verdicts(reader, links[0], links[2], links[3]) == [
        Verdict.BEGUN, Verdict.MISSING, Verdict.HOLDS,
    ]  # fmt: skip


def test_a_new_epoch_is_told(tmp_path: Path) -> None:
    device, reader = Device(tmp_path), chain()
    links = [device.link(5), device.link(2, old=0, epoch=2), device.link(3, epoch=2)]
    assert verdicts(reader, *links) == [Verdict.BEGUN, Verdict.EPOCH, Verdict.HOLDS]


def test_an_altered_link_is_not_its_own_keys(tmp_path: Path) -> None:
    document = Device(tmp_path).link(5)
    assert isinstance(document, dict)
    altered = {**document, "link": str(document["link"]).replace("\n5\n", "\n6\n")}
    assert chain().take(altered, VERIFIER) == Judgement(
        Verdict.BROKEN, "link 0: the device did not sign it"
    )


@pytest.mark.parametrize("document", [None, {}, {"link": "no note", "proof": []}])
def test_what_is_no_link_is_a_parse_error(document: Json) -> None:
    with pytest.raises(ParseError):
        chain().take(document, VERIFIER)


def test_a_link_of_another_device_is_a_parse_error(tmp_path: Path) -> None:
    with pytest.raises(ParseError, match="expected a checkpoint of vedette/acme/cam-8/EPOCH"):
        Chain("acme", "cam-8", DEVICE.public_key).take(Device(tmp_path).link(5), VERIFIER)
