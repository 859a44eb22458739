"""What all Sigma documents have: id, title, author, level, tags."""

from __future__ import annotations

from typing import NamedTuple

from vedette.cli._sigma_document import Document
from vedette.codec.bundle import MAX_TAGS, MAX_TEXT_BYTES
from vedette.codec.condition import MAX_NAME_BYTES
from vedette.model.finding import Severity

_LEVELS = {level.name.lower(): level for level in Severity}
_MAX_TITLE_CHARS = 256  # Sigma specification, "Title"


class Head(NamedTuple):
    """Who a finding is by and how grave it is."""

    rule_id: str
    title: str
    author: str
    severity: Severity
    tags: tuple[str, ...]


def head(document: Document) -> Head:
    """Read what a finding carries.

    Raises:
        RuleError: something is missing, or longer than a bundle takes.
    """
    rule_id = text(document, "id", MAX_NAME_BYTES)
    title = text(document, "title", MAX_TEXT_BYTES)[:_MAX_TITLE_CHARS]
    author = text(document, "author", MAX_TEXT_BYTES)
    return Head(rule_id, title, author, _severity(document), _tags(document))


def text(document: Document, name: str, max_bytes: int) -> str:
    """Text at the top of a document, its white space made single spaces.

    Raises:
        RuleError: there is none, or it is too long.
    """
    value = document.value.get(name)
    if not isinstance(value, str) or not value.strip():
        document.refuse(f"expected text named {name}, got {value!r}: a finding carries it", name)
    found = " ".join(value.split())
    if len(found.encode("utf-8", "replace")) > max_bytes:
        document.refuse(f"expected {name} of at most {max_bytes} bytes", name)
    return found


def _severity(document: Document) -> Severity:
    level = document.value.get("level")
    found = _LEVELS.get(str(level))
    if found is None:
        document.refuse(f"expected level to be one of {', '.join(_LEVELS)}; got {level!r}", "level")
    return found


def _tags(document: Document) -> tuple[str, ...]:
    tags = document.value.get("tags") or []
    if not isinstance(tags, list) or len(tags) > MAX_TAGS:
        document.refuse(f"expected tags to be a list of at most {MAX_TAGS}", "tags")
    for tag in tags:
        if len(str(tag).encode("utf-8", "replace")) > MAX_NAME_BYTES:
            document.refuse(f"expected tags of at most {MAX_NAME_BYTES} bytes", "tags")
    return tuple(map(str, tags))
