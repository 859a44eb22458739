"""What an operator's command line believes of what comes back."""

from __future__ import annotations

from base64 import b64encode

import pytest

from vedette.codec import cloudevents, evidence, ocsf, receipt, report
from vedette.codec.envelope import Purpose, signed_bytes
from vedette.codec.registry import Registered
from vedette.codec.strict_json import Json
from vedette.core.answers import Answered, Answers
from vedette.core.fleet import Publication
from vedette.errors import ParseError
from vedette.model.command import Audience, Receipt, ReceiptStatus
from vedette.trust.ed25519 import Ed25519Signer, Ed25519Verifier

KEYS = {"cam-7": Ed25519Signer(bytes(32)), "cam-8": Ed25519Signer(bytes(31) + b"\x01")}
STRANGER = Ed25519Signer(bytes(31) + b"\x02")
REGISTRY = {
    ("acme", name): Registered("acme", name, key.public_key, "") for name, key in KEYS.items()
}
COMMAND, OTHER = "ab" * 32, "cd" * 32
ONE = Audience("acme", is_group=False, name="cam-7")
GROUP = Audience("acme", is_group=True, name="cameras")
DONE = Receipt(COMMAND, "operator:aa:1", "collect", ReceiptStatus.DONE, "sent", {"parts": "3"})
DOCUMENT: Json = {"incident": "feed", "noise": [n * n for n in range(900)]}


def published(
    document: Json,
    device: str = "cam-7",
    *,
    suffix: str = "up/receipt",
    purpose: Purpose = Purpose.RECEIPT,
    key: Ed25519Signer | None = None,
) -> Publication:
    body = ocsf.canonical(document) if isinstance(document, dict) else b"[]"
    boot = "0" * 32
    attributes = cloudevents.attributes(purpose, "acme", device, boot, 1, 0.0, "", body)
    signature = (key or KEYS.get(device, STRANGER)).sign(
        signed_bytes(purpose, "acme", device, boot, 1, suffix, report.JSON, attributes, body)
    )
    return Publication(
        f"fleet/v1/acme/{device}/{suffix}",
        report.JSON,
        (*attributes, ("vsig", b64encode(signature).decode())),
        body,
        is_retained=False,
    )


def answers(audience: Audience = ONE) -> Answers:
    return Answers(audience, COMMAND, REGISTRY, Ed25519Verifier())


def test_a_genuine_receipt_is_an_answer_once() -> None:
    found = answers()
    message = published(receipt.plain(DONE))
    assert found.handle(message) == Answered("cam-7", DONE)
    assert found.handle(message) == "", "a double of the broker's"
    assert found.receipts == {"cam-7": DONE}


def test_a_second_and_other_receipt_is_told_and_not_believed() -> None:
    found = answers()
    found.handle(published(receipt.plain(DONE)))
    refused = DONE._replace(status=ReceiptStatus.REFUSED, detail="it is a replay")
    assert found.handle(published(receipt.plain(refused))) == "cam-7 answers twice: it is a replay"
    assert found.receipts["cam-7"].status is ReceiptStatus.DONE


def test_a_group_is_answered_by_each_of_its_devices() -> None:
    found = answers(GROUP)
    for device in KEYS:
        assert found.handle(published(receipt.plain(DONE), device)) == Answered(device, DONE)


FORGED = {
    "signed by another key": published(receipt.plain(DONE), key=STRANGER),
    "of a device that was not asked": published(receipt.plain(DONE), "cam-8"),
    "of a device nobody enrolled": published(receipt.plain(DONE), "cam-9"),
    "a receipt that is signed as an incident": published(
        receipt.plain(DONE), purpose=Purpose.INCIDENT
    ),
    "that cannot be read": published({**receipt.plain(DONE), "status": "delighted"}),
}


@pytest.mark.parametrize("message", FORGED.values(), ids=FORGED.keys())
def test_what_is_not_genuine_is_told_and_believed_in_nothing(message: Publication) -> None:
    found = answers()
    told = found.handle(message)
    assert isinstance(told, str)
    assert told
    assert found.receipts == {}


FOREIGN = {
    "the answer to another command": published(receipt.plain(DONE._replace(command=OTHER))),
    "no JSON": published(receipt.plain(DONE))._replace(body=b"\xff"),
    "a list": published([]),
    "no topic of ours": published(receipt.plain(DONE))._replace(topic="home/kitchen"),
    "no signature at all": published(receipt.plain(DONE))._replace(properties=()),
}


@pytest.mark.parametrize("message", FOREIGN.values(), ids=FOREIGN.keys())
def test_what_is_none_of_ours_is_nothing(message: Publication) -> None:
    assert answers().handle(message) == ""


def test_evidence_is_whole_when_all_parts_are_there_whatever_their_order() -> None:
    found = answers()
    parts = evidence.split(DOCUMENT, command=COMMAND, incident="feed", part_bytes=600)
    assert len(parts) > 2
    assert found.missing_parts("cam-7") == [0]
    for part in reversed(parts):
        with pytest.raises(ParseError):
            found.evidence("cam-7")
        message = published(part, suffix="up/collected", purpose=Purpose.COLLECTED)
        assert found.handle(message) == ""
    assert found.missing_parts("cam-7") == []
    assert found.evidence("cam-7") == DOCUMENT


def test_a_part_that_another_key_signed_is_none() -> None:
    found = answers()
    (part, *_) = evidence.split(DOCUMENT, command=COMMAND, incident="feed", part_bytes=600)
    message = published(part, suffix="up/collected", purpose=Purpose.COLLECTED, key=STRANGER)
    assert "not genuine" in str(found.handle(message))
    assert found.missing_parts("cam-7") == [0]
