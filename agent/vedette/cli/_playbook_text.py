"""Playbooks as a person reads them, and as a program does; pure functions."""

from __future__ import annotations

from collections.abc import Iterator

from vedette.codec.strict_json import Json
from vedette.codec.text import escape, human_age
from vedette.model.playbook import DeviceProfile, Playbook, Playbooks, Step


def lines(playbooks: Playbooks) -> list[str]:
    """A set whole, for reading."""
    return [escape(line) for line in _lines(playbooks)]


def plain(playbooks: Playbooks) -> dict[str, Json]:
    """A set for programs."""
    return {
        "name": playbooks.name,
        "counter": playbooks.counter,
        "issued_s": playbooks.issued_s,
        "expires_s": playbooks.expires_s,
        "digest": playbooks.digest,
        "playbooks": [
            {
                "name": one.name, "digest": one.digest, "title": one.title,
                "mode": _mode(playbooks, one), "rules": list(one.rules), "tags": list(one.tags),
                "severity": one.severity.name.lower(), "steps": [_step(step) for step in one.steps],
                "per_hour": one.per_hour, "per_target": one.per_target,
            }
            for one in playbooks.playbooks
        ],
        "profiles": [
            {
                "name": one.name, "classes": list(one.classes),
                "limits": {name: str(limit.mode) for name, limit in one.limits.items()},
            }
            for one in playbooks.profiles
        ],
    }  # fmt: skip


def _lines(playbooks: Playbooks) -> Iterator[str]:
    yield f"{playbooks.name}, counter {playbooks.counter}, signed at {playbooks.issued_s}"
    for playbook in playbooks.playbooks:
        yield ""
        yield f"{playbook.name}  ({_mode(playbooks, playbook)})  {playbook.digest[:16]}"
        yield f"  {playbook.title}"
        answers = [*playbook.rules, *playbook.tags]
        yield f"  answers {', '.join(answers)}, from {playbook.severity.name.lower()} on"
        yield from (f"  - {_step(step)}" for step in playbook.steps)
        yield f"  at most {playbook.per_hour} an hour, {playbook.per_target} against one target"
    for profile in playbooks.profiles:
        yield ""
        yield from _profile(profile)


def _profile(profile: DeviceProfile) -> Iterator[str]:
    classes = ", ".join(name or "(none)" for name in profile.classes)
    scope = f"for devices of class {classes}" if classes else "only where it is named"
    yield f"profile {profile.name}, {scope}"
    for name, limit in sorted(profile.limits.items()):
        longest = f", for at most {human_age(limit.longest_s)}" if limit.longest_s else ""
        yield f"  {name}: may {limit.mode}, {limit.per_hour} an hour{longest}"


def _mode(playbooks: Playbooks, playbook: Playbook) -> str:
    return "may enforce" if playbook.digest in playbooks.promoted else "observes"


def _step(step: Step) -> str:
    lasts = f" for {human_age(step.lasts_s)}" if step.lasts_s else ""
    model = "model " if step.aim == "model" else ""
    return f"{step.responder} {model}{step.unit or f'the {step.aim}'}{lasts}"
