"""Applies a release of the trust document: the sentinel follows it if the root's keys signed it."""

from __future__ import annotations

from vedette.codec.strict_json import Json
from vedette.daemon.appliers._content import ContentApplier
from vedette.daemon.appliers.applier import Context
from vedette.model.release import Release


def applier(context: Context) -> ContentApplier:
    """The applier of this kind."""
    return ContentApplier(context, context.config.rules.trust, _why_not)


def _why_not(_release: Release, _status: dict[str, Json]) -> str:
    """A document that does not follow the one before makes the reload itself fail."""
    return ""
