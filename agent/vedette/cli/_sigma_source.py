"""Log sources of Sigma as categories of our events.

Rule 1: one log source may be spread over several categories, and one of our categories may serve
several log sources; auditd's records have a file of their own (_sigma_auditd.py).
Rule 2: what no event of ours can serve is named, and the rule is kept under its own source, where
nothing matches it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from vedette.cli import _sigma_auditd
from vedette.cli._event_fields import fields_of_category
from vedette.cli._sigma_auditd import Missing
from vedette.cli._sigma_document import Document
from vedette.codec.condition import MAX_NAME_BYTES
from vedette.core.engine import SERVICE_PREFIX
from vedette.model.rule import AllOf, AnyOf, Condition, Match, Not

_PRODUCTS = frozenset((None, "linux"))

_ALL_SERVICES = frozenset(("", "syslog", "messages", "auth", "secure", "authpriv", "daemon"))
"""Names of whole log files: their rules are asked of the lines of every service."""

_SERVICES: Mapping[str, tuple[str, ...]] = {
    "sshd": ("sshd", "sshd-session", "sshd-auth", "dropbear"),
    "cron": ("cron", "crond", "CRON", "CROND", "crontab", "anacron"),
    "sudo": ("sudo",),
    "clamav": ("clamd", "clamav", "freshclam", "clamscan", "clamonacc"),
    "vsftpd": ("vsftpd",),
    "guacamole": ("guacd", "guacamole"),
}
"""Under which names the programs of a service write to the system log."""

_CATEGORIES: Mapping[str, tuple[str, Condition | None, Mapping[str, str]]] = {
    "file_change": (
        "file_event",
        AnyOf(
            (
                Match("Action", "equals", "modified", is_cased=False),
                Match("Action", "equals", "attributes", is_cased=False),
            )
        ),
        {},
    ),
    "file_delete": ("file_event", Match("Action", "equals", "deleted", is_cased=False), {}),
    "file_rename": (
        "file_event",
        Match("Action", "equals", "renamed", is_cased=False),
        {"SourceFilename": "OldFilename"},
    ),
    "dns": ("dns_query", None, {"query": "QueryName", "record_type": "QueryType"}),
}
"""Sigma's categories that ours serve under another name: what they ask for besides, and fields."""


_MAX_SOURCE_BYTES = MAX_NAME_BYTES - len(SERVICE_PREFIX)


class Part(NamedTuple):
    """What a rule asks of the events of one category."""

    category: str
    condition: Condition


class Served(NamedTuple):
    """How a rule is served: at least one part, and what is missing."""

    parts: tuple[Part, ...]
    missing: tuple[Missing, ...]


def served_by(document: Document, condition: Condition) -> Served:
    """Find the categories that serve a rule, and what it asks of each.

    Raises:
        RuleError: the log source is no mapping, or is not of Linux.
    """
    source = document.value.get("logsource")
    if not isinstance(source, dict):
        document.refuse("expected a mapping named logsource", "logsource")
    product = source.get("product")
    if product not in _PRODUCTS:
        place = ("logsource", "product")
        document.refuse(f"expected product linux, got {product!r}", place)
    for key in ("category", "service"):
        if len(str(source.get(key, "")).encode("utf-8", "replace")) > _MAX_SOURCE_BYTES:
            document.refuse(
                f"expected a {key} of at most {_MAX_SOURCE_BYTES} bytes", ("logsource", key)
            )
    if source.get("category"):
        return _of_category(str(source["category"]), condition)
    service = str(source.get("service") or "")
    if service == "auditd":
        return _of_auditd(document, condition)
    if service in _ALL_SERVICES:
        return Served((Part(SERVICE_PREFIX, condition),), ())
    names = _SERVICES.get(service, (service,))
    return Served(tuple(Part(f"{SERVICE_PREFIX}{name}", condition) for name in names), ())


def field_in(category: str, field: str) -> str:
    """What events of a category call a field of Sigma's or auditd's."""
    if field in fields_of_category(category):
        return field
    for ours, _, names in _CATEGORIES.values():
        if ours == category and field in names:
            return names[field]
    return _sigma_auditd.field_in(category, field)


def _of_category(category: str, condition: Condition) -> Served:
    ours, besides, names = _CATEGORIES.get(category, (category, None, {}))
    if not fields_of_category(ours):
        missing = Missing(f"events of category {category}")
        return Served((Part(category, condition),), (missing,))
    renamed = _renamed(condition, names) if names else condition
    if besides is None:
        return Served((Part(ours, renamed),), ())
    return Served((Part(ours, AllOf((besides, renamed))),), ())


def _of_auditd(document: Document, condition: Condition) -> Served:
    source = document.value["logsource"]
    found, missing = _sigma_auditd.served_by(condition, str(source.get("definition") or ""))
    parts = tuple(Part(category, part) for category, part in found.items())
    return Served(parts or (Part("service:auditd", condition),), missing)


def _renamed(condition: Condition, names: Mapping[str, str]) -> Condition:
    match condition:
        case Match():
            return condition._replace(field=names.get(condition.field, condition.field))
        case Not():
            return Not(_renamed(condition.part, names))
        case AllOf():
            return AllOf(tuple(_renamed(part, names) for part in condition.parts))
        case AnyOf():
            return AnyOf(tuple(_renamed(part, names) for part in condition.parts))
