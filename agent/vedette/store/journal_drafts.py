"""Entries that the journal makes itself: the first of an epoch, a stand-in for a body too long."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256

from vedette.codec.journal_entry import MAX_BODY_BYTES, Tip
from vedette.codec.strict_json import Json, canonical
from vedette.model.finding import Severity
from vedette.model.journal import EntryDraft


def first_of_epoch(tip: Tip | None, known: int, reason: str, wall_s: float) -> EntryDraft:
    """Says where the epoch before was last seen, and why it is not continued.

    Args:
        tip: how far the journal is known to have come.
        known: the epoch before, 0 where there was none.
        reason: "" at the first start of all, which alone is nothing critical.
        wall_s: Unix seconds.
    """
    is_seen = tip is not None and tip.epoch == known
    previous: Json = {
        "epoch": known,
        "root": tip.root.hex() if tip and is_seen else None,
        "size": tip.size if tip and is_seen else None,
    }
    body: Json = {
        "epoch": known + 1,
        "previous": previous if known else None,
        "reason": reason or "first start",
    }
    severity = Severity.CRITICAL if reason else Severity.INFORMATIONAL
    return EntryDraft("epoch", severity, wall_s, canonical(body), "", "", is_routine=False)


def bounded(draft: EntryDraft) -> EntryDraft:
    """A body that no reader would take is replaced by its digest, which says what is missing."""
    size = len(draft.body)
    if size <= MAX_BODY_BYTES:
        return draft
    body = canonical({"omitted_bytes": size, "sha256": sha256(draft.body).hexdigest()})
    return replace(draft, body=body)
