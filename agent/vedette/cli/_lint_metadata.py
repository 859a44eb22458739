"""What a rule says of itself: id, title, author, level, tags, and the samples beside it."""

from __future__ import annotations

import difflib
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

from vedette.cli import _attack_tags
from vedette.cli._diagnostic import Diagnostic
from vedette.cli._lint_codes import diagnose
from vedette.cli._sigma_document import Document
from vedette.core.drills import TAG as DRILL
from vedette.model.finding import Severity

MAX_TITLE_CHARS = 256  # Sigma specification, "Title"
_LEVELS = tuple(level.name.lower() for level in Severity)
_KNOWN_KEYS = frozenset((
    "title", "id", "name", "related", "taxonomy", "status", "description", "license", "author",
    "references", "date", "modified", "logsource", "detection", "fields", "falsepositives",
    "level", "tags", "scope", "correlation", "filter", "generate", "custom", "action",
))  # fmt: skip
"""Sigma specification 2.1, "Structure", with those of correlations and filters."""

_CLOSE = 0.8


def check_metadata(document: Document) -> Iterator[Diagnostic]:
    """Look at everything but the detection."""
    yield from _check_id(document)
    yield from _check_texts(document)
    yield from _check_level(document)
    yield from _check_tags(document)
    yield from _check_keys(document)


def is_detection(document: Document) -> bool:
    """Whether a document is a rule about events, not about rules."""
    return not {"correlation", "filter", "action"} & document.value.keys()


def text_of(value: Mapping[str, Any], name: str) -> str:
    """The text below a name, "" where there is none."""
    found = value.get(name)
    return found.strip() if isinstance(found, str) else ""


def is_uuid(text: str) -> bool:
    """Whether a text is a UUID as RFC 9562 writes it."""
    try:
        return str(uuid.UUID(text)) == text.lower()
    except ValueError:
        return False


def _check_id(document: Document) -> Iterator[Diagnostic]:
    rule_id = text_of(document.value, "id")
    if not rule_id:
        yield _diagnose("VR301", document, "id", "expected an id, got none")
        return
    if not is_uuid(rule_id):
        yield _diagnose("VR302", document, "id", f"expected a UUID as id, got {rule_id!r}")


def _check_texts(document: Document) -> Iterator[Diagnostic]:
    title = text_of(document.value, "title")
    if not title or len(title) > MAX_TITLE_CHARS:
        got = f"{len(title)} characters" if title else "none"
        message = f"expected a title of 1 to {MAX_TITLE_CHARS} characters, got {got}"
        yield _diagnose("VR307", document, "title", message)
    is_filter = "filter" in document.value
    if not is_filter and not text_of(document.value, "author"):
        yield _diagnose("VR303", document, "author", "expected an author, got none")
    if not text_of(document.value, "description"):
        yield _diagnose("VR308", document, "description", "expected a description, got none")
    if not is_filter and not document.value.get("falsepositives"):
        yield _diagnose("VR309", document, "falsepositives", "expected falsepositives, got none")


def _check_level(document: Document) -> Iterator[Diagnostic]:
    level = document.value.get("level")
    if "filter" in document.value or level in _LEVELS:
        return
    close = difflib.get_close_matches(str(level).lower(), _LEVELS, n=1)
    hint = f'; did you mean "{close[0]}"?' if level is not None and close else ""
    message = f"expected one of {', '.join(_LEVELS)} as level, got {_shown(level)}{hint}"
    yield _diagnose("VR304", document, "level", message)


def _check_tags(document: Document) -> Iterator[Diagnostic]:
    tags = document.value.get("tags") or []
    if not isinstance(tags, list):
        yield _diagnose("VR306", document, "tags", f"expected a list of tags, got {_shown(tags)}")
        return
    is_known = any(str(tag).startswith("attack.") or tag == DRILL for tag in tags)
    if "filter" not in document.value and not is_known:
        yield _diagnose("VR305", document, "tags", "expected a tag of ATT&CK, got none")
    for number, tag in enumerate(tags):
        name = str(tag)
        wrong = _attack_tags.complaint(name) if name.startswith("attack.") else ""
        if not wrong and "." not in name:
            wrong = "expected a namespace in front of a tag, such as attack."
        if wrong:
            place = item_place(document, "tags", number)
            yield diagnose("VR306", document.file, place, f"{name}: {wrong}")


def _check_keys(document: Document) -> Iterator[Diagnostic]:
    for name in document.value:
        if name in _KNOWN_KEYS:
            continue
        close = difflib.get_close_matches(name.lower(), _KNOWN_KEYS, n=1, cutoff=_CLOSE)
        if close:
            message = f'unknown key "{name}": did you mean "{close[0]}"?'
            yield _diagnose("VR310", document, name, message)


def item_place(document: Document, name: str, number: int) -> tuple[int, int]:
    """Where an item of a list at the top stands; the key itself where that is not known."""
    for key in document.keys:
        places = getattr(key, "places", ())
        if key.path == (name,) and number < len(places):
            line, column = places[number]
            return line, column
    return document.place(name)


def _diagnose(code: str, document: Document, name: str, message: str) -> Diagnostic:
    return diagnose(code, document.file, document.place(name), message)


def _shown(value: object) -> str:
    return "none" if value is None else repr(value)[:60]
