"""Follows a device's checkpoints by its links: what was signed once cannot become something else.

Rule 1: the first link is taken on the device's own signature; each later one has to be signed by
the key that the one before has named, which the device erased when it had signed.
Rule 2: the journal only grows: each link proves that its tree continues the one before, or begins
a new epoch, which is told.
Rule 3: a missing link is told; from the next one on the chain is followed again, on the device's
signature alone, since whoever took a link away may have had all later keys.
Rule 4: a link that does not fit changes nothing here: what is known stands against it.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from vedette.codec import chain_link, note
from vedette.codec.chain_link import Link
from vedette.codec.merkle import is_consistent
from vedette.codec.note import Note
from vedette.codec.strict_json import Json
from vedette.errors import ParseError
from vedette.ports.signer import Verifier


class Verdict(Enum):
    """What a link is worth."""

    BEGUN = "begun"
    HOLDS = "holds"
    KNOWN = "known"
    MISSING = "missing"
    EPOCH = "epoch"
    """It holds, and the journal of before is gone: the device began another one."""
    BROKEN = "broken"


class Judgement(NamedTuple):
    """A verdict with its reason, for people."""

    verdict: Verdict
    detail: str


class Chain:
    """The links of one device.

    Args:
        tenant: whose device it is.
        device: the fleet's name of it.
        public_key: the device's own, from the registry.
        last: the newest link that held when the device was followed before.
    """

    def __init__(
        self, tenant: str, device: str, public_key: bytes, last: Link | None = None
    ) -> None:
        self._origin = f"vedette/{tenant}/{device}/"
        self._device, self._public_key = device, public_key
        self._last = last

    @property
    def last(self) -> Link | None:
        """The newest link that holds."""
        return self._last

    def take(self, document: Json, verifier: Verifier) -> Judgement:
        """Judge a link as it was published.

        Raises:
            ParseError: it is none.
        """
        data, proof = chain_link.decode_body(document)
        signed, link = chain_link.decode_note(data)
        self._epoch(link)
        wrong = self._unsigned(signed, link, verifier)
        if wrong:
            return Judgement(Verdict.BROKEN, f"link {link.number}: {wrong}")
        last = self._last
        if last is None:
            self._last = link
            return Judgement(Verdict.BEGUN, f"followed from link {link.number} on")
        if link.number <= last.number:
            return self._repeated(link, last)
        judgement = self._next(link, last, proof)
        if judgement.verdict is not Verdict.BROKEN:
            self._last = link
        return judgement

    def _unsigned(self, signed: Note, link: Link, verifier: Verifier) -> str:
        """Which of the two signatures is missing, or ""."""
        text = signed.text.encode()
        for name, key, who in (
            (self._device, self._public_key, "the device"),
            (chain_link.key_name(self._device, link.number), link.key, "its own key"),
        ):
            signature = note.signature_of(signed, name, key)
            if signature is None or not verifier.verify(key, signature, text):
                return f"{who} did not sign it"
        return ""

    def _repeated(self, link: Link, last: Link) -> Judgement:
        if link == last:
            return Judgement(Verdict.KNOWN, f"link {link.number} again")
        if link.number == last.number:
            return Judgement(
                Verdict.BROKEN, f"a second link {link.number} says something else than the first"
            )
        return Judgement(Verdict.KNOWN, f"link {link.number} is older than {last.number}")

    def _next(self, link: Link, last: Link, proof: tuple[bytes, ...]) -> Judgement:
        missing = link.number - last.number - 1
        if not missing and link.key != last.next_key:
            return Judgement(
                Verdict.BROKEN,
                f"link {link.number} is not signed by the key that link {last.number} named: the "
                "device lost it, or somebody begins a chain of his own",
            )
        if wrong := self._shrunk(link, last, proof, is_next=not missing):
            return Judgement(Verdict.BROKEN, f"link {link.number}: {wrong}")
        if missing:
            return Judgement(
                Verdict.MISSING,
                f"{missing} missing before link {link.number}: that it continues what was signed "
                "before is its own word",
            )
        if (epoch := self._epoch(link)) != (before := self._epoch(last)):
            return Judgement(
                Verdict.EPOCH,
                f"link {link.number} signs epoch {epoch}: the {last.checkpoint.size} entries of "
                f"epoch {before} are no longer the device's journal",
            )
        return Judgement(Verdict.HOLDS, f"link {link.number}, {link.checkpoint.size} entries")

    def _shrunk(self, link: Link, last: Link, proof: tuple[bytes, ...], *, is_next: bool) -> str:
        """Why its tree does not continue the one before, or ""."""
        before, after = last.checkpoint, link.checkpoint
        old_epoch, epoch = self._epoch(last), self._epoch(link)
        if epoch != old_epoch:
            return "" if epoch > old_epoch else f"epoch {epoch} comes after epoch {old_epoch}"
        if after.size < before.size:
            return f"{before.size} entries were signed before, and {after.size} now"
        if not is_next or not before.size:
            return ""
        if is_consistent(before.size, before.root, after.size, after.root, proof):
            return ""
        return f"its {after.size} entries do not continue the {before.size} signed before"

    def _epoch(self, link: Link) -> int:
        origin = link.checkpoint.origin
        epoch = origin.removeprefix(self._origin)
        if epoch == origin or not (epoch.isascii() and epoch.isdigit() and len(epoch) < 16):  # noqa: PLR2004
            raise ParseError(f"expected a checkpoint of {self._origin}EPOCH, got {origin[:80]!a}")
        return int(epoch)
