"""What came back to an operator who sent a command: receipts, and the parts of evidence.

Rule 1: only what a registered device signed, and what names this command, is an answer.
Rule 2: the first receipt of a device counts: a second one is told as wrong.
Rule 3: memory is bounded by the registry and the number of parts an answer may have.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from vedette.codec import cloudevents, evidence, receipt, report, topics
from vedette.codec.evidence import Part
from vedette.codec.registry import Registered
from vedette.codec.strict_json import Json
from vedette.core.fleet import Publication, why_not_genuine
from vedette.errors import ParseError
from vedette.model.command import Audience, Receipt
from vedette.ports.signer import Verifier


class Answered(NamedTuple):
    """A device's genuine receipt."""

    device: str
    receipt: Receipt


class Answers:
    """Gathers the answers to one command.

    Args:
        audience: whom the command was sent to.
        command: its digest.
        registry: whose keys count.
        verifier: checks Ed25519 signatures.

    Attributes:
        command: its digest.
        receipts: by device.
    """

    def __init__(
        self,
        audience: Audience,
        command: str,
        registry: Mapping[tuple[str, str], Registered],
        verifier: Verifier,
    ) -> None:
        self._audience, self.command = audience, command
        self._registry, self._verifier = registry, verifier
        self.receipts: dict[str, Receipt] = {}
        self._parts: dict[str, dict[int, Part]] = {}

    def handle(self, publication: Publication) -> Answered | str:
        """Judge one message: a receipt, or a text about what is wrong; "" for what is none of ours.

        A message of another command is not ours, whoever sent it.
        """
        try:
            topic = topics.parse(publication.topic)
            received = cloudevents.parse_properties(publication.properties)
            document = report.decode(publication.body, publication.content_type)
        except ParseError:
            return ""
        named = document.get("command") if isinstance(document, dict) else None
        if named != self.command:
            return ""
        device = self._registry.get((topic.tenant, topic.device))
        if device is None:
            return f"{topic.tenant}/{topic.device} answers and is not in the registry: enroll it"
        wrong = why_not_genuine(device, topic.suffix, received, publication, self._verifier)
        if wrong or not self._is_asked(device):
            return f"an answer in the name of {topic.device} is not genuine: {wrong or 'not asked'}"
        try:
            return self._take(topic, document)
        except ParseError as error:
            return f"{topic.device} answers what cannot be read: {error}"

    def missing_parts(self, device: str) -> list[int]:
        """Which parts of its evidence a device has still to send."""
        return evidence.missing(self._parts.get(device, {}).values())

    def evidence(self, device: str) -> Json:
        """The evidence of a device.

        Raises:
            ParseError: parts are missing, or do not belong together.
        """
        return evidence.join(self._parts.get(device, {}).values())

    def _is_asked(self, device: Registered) -> bool:
        audience = self._audience
        return device.tenant == audience.tenant and (
            audience.is_group or device.device == audience.name
        )

    def _take(self, topic: topics.Topic, document: Json) -> Answered | str:
        if topic.suffix == topics.COLLECTED:
            part = evidence.parse_part(document)
            self._parts.setdefault(topic.device, {})[part.part] = part
            return ""
        if topic.suffix != topics.RECEIPT:
            return ""
        found = receipt.parse(document)
        before = self.receipts.setdefault(topic.device, found)
        if before is not found:
            return "" if before == found else f"{topic.device} answers twice: {found.detail[:200]}"
        return Answered(topic.device, found)
