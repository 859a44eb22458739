"""Applies a release of playbooks: the sentinel verifies and takes it over by a reload."""

from __future__ import annotations

from vedette.codec.strict_json import Json
from vedette.daemon.appliers._content import ContentApplier
from vedette.daemon.appliers.applier import Context
from vedette.model.release import Release


def applier(context: Context) -> ContentApplier:
    """The applier of this kind."""
    return ContentApplier(context, context.config.response.playbooks, _why_not)


def _why_not(release: Release, status: dict[str, Json]) -> str:
    defence = status.get("defence")
    playbooks = defence.get("playbooks") if isinstance(defence, dict) else None
    found = playbooks if isinstance(playbooks, dict) else {}
    if found.get("counter") == release.counter:
        return ""
    return str(found.get("reason") or "the agent did not take it and gave no reason")
