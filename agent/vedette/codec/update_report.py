"""Steps of updates as JSON: as the installer tells them, and as devices publish under up/update.

Told over the control socket (daemon/update_answers.py):

    {"step_id": "<16 hex digits>", "step": "verified", "kind": "rules" or "", "name": "fleet",
     "version": "1.2", "counter": 7, "digest": "<64 hex digits>" or "", "cause": "", "reason": "",
     "by": "schedule", "happened_s": 1800000000, "facts": {"name": "text"}}

Published: OCSF 1.8 Application Lifecycle (class 6002, activity Update), with the same under
`unmapped.update`, and the techniques of what is wrong under `attacks`.

Rule 1: any document gives an UpdateReport or a ParseError; nothing more and nothing less than these
members is taken.
Rule 2: what OCSF has no attribute for is under `unmapped` (codec/ocsf.py, rule 1).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import StrEnum
from typing import TypeVar

from vedette import __version__
from vedette.codec import attack
from vedette.codec.ocsf import VERSION, whole
from vedette.codec.strict_json import Json
from vedette.codec.text import quoted
from vedette.errors import ParseError
from vedette.model.finding import Severity
from vedette.model.release import MAX_NUMBER, ReleaseKind
from vedette.model.update import Cause, Step, UpdateReport

CLASS_UID = 6002
CATEGORY_UID = 6
ACTIVITY_UPDATE = 8

MAX_TEXT = 256
MAX_REASON = 2000
MAX_FACTS = 32
MAX_FACT = 512

_MEMBERS = frozenset(UpdateReport.__dataclass_fields__)
_STEP_ID = re.compile(r"[0-9a-f]{16}")
_DIGEST = re.compile(r"(?:[0-9a-f]{64})?")
_FACT_NAME = re.compile(r"[a-z][a-z0-9_]{0,31}")
_SUCCESS, _FAILURE, _OTHER = (1, "Success"), (2, "Failure"), (99, "Other")
_STATUS = {Step.REFUSED: _FAILURE, Step.ROLLED_BACK: _FAILURE, Step.DEFERRED: _OTHER}
_DEVICE_IOT = 7

Word = TypeVar("Word", bound=StrEnum)


def plain(report: UpdateReport) -> dict[str, Json]:
    """A report as JSON; texts that are too long are cut to what `parse` takes."""
    return {
        "step_id": report.step_id,
        "step": str(report.step),
        "kind": str(report.kind or ""),
        "name": whole(report.name)[:MAX_TEXT],
        "version": whole(report.version)[:MAX_TEXT],
        "counter": report.counter,
        "digest": report.digest,
        "cause": str(report.cause),
        "reason": whole(report.reason)[:MAX_REASON],
        "by": whole(report.by)[:MAX_TEXT],
        "happened_s": report.happened_s,
        "facts": {name: whole(value)[:MAX_FACT] for name, value in report.facts.items()},
    }


def parse(document: Json) -> UpdateReport:
    """Read what `plain` made.

    Raises:
        ParseError: it is no report of a step.
    """
    if not isinstance(document, dict) or document.keys() != _MEMBERS:
        raise ParseError(f"expected a step with {', '.join(sorted(_MEMBERS))}")
    kind = document["kind"]
    return UpdateReport(
        step_id=_matching(_STEP_ID, document["step_id"], "an id of 16 hex digits"),
        step=_word(Step, document["step"], "a step"),
        kind=None if kind == "" else _word(ReleaseKind, kind, "a kind of release"),
        name=_text(document["name"], "a name"),
        version=_text(document["version"], "a version"),
        counter=_number(document["counter"], "a counter"),
        digest=_matching(_DIGEST, document["digest"], "a SHA-256 of 64 hex digits or nothing"),
        cause=_word(Cause, document["cause"], "a cause"),
        reason=_text(document["reason"], "a reason", MAX_REASON),
        by=_text(document["by"], "who wanted it"),
        happened_s=_number(document["happened_s"], "a time"),
        facts=_facts(document["facts"]),
    )


def document(
    report: UpdateReport, severity: Severity, tags: Iterable[str], *, device: str, tenant: str,
    wall_s: float,
) -> dict[str, Json]:  # fmt: skip
    """The message of a step.

    Args:
        report: which step.
        severity: how bad it is.
        tags: techniques, as Sigma writes them.
        device: the fleet's name of this device.
        tenant: whose it is.
        wall_s: Unix time at which it was told.
    """
    status_id, status = _STATUS.get(report.step, _SUCCESS)
    words = [str(report.step), report.title, *([report.reason] if report.reason else [])]
    found: dict[str, Json] = {
        "activity_id": ACTIVITY_UPDATE,
        "activity_name": "Update",
        "category_uid": CATEGORY_UID,
        "class_uid": CLASS_UID,
        "class_name": "Application Lifecycle",
        "type_uid": CLASS_UID * 100 + ACTIVITY_UPDATE,
        "severity_id": int(severity),
        "severity": severity.name.capitalize(),
        "status_id": status_id,
        "status": status,
        "status_code": str(report.cause),
        "status_detail": whole(report.reason)[:MAX_REASON],
        "time": round(wall_s * 1000),
        "message": whole(": ".join(words))[:MAX_REASON],
        "app": {"name": whole(report.name), "version": whole(report.version), "uid": report.digest},
        "metadata": {
            "version": VERSION,
            "uid": report.step_id,
            "product": {"name": "Vedette", "vendor_name": "Vedette", "version": __version__},
            "tenant_uid": tenant,
        },
        "device": {"uid": device, "type_id": _DEVICE_IOT, "type": "IOT"},
        "unmapped": {"update": plain(report)},
    }
    attacks = attack.attacks(tags)
    if attacks:
        found["attacks"] = attacks
    return found


def parse_document(found: Json) -> tuple[UpdateReport, Severity]:
    """Read what `document` made.

    Raises:
        ParseError: it is no message of a step.
    """
    if not isinstance(found, dict) or found.get("class_uid") != CLASS_UID:
        raise ParseError(f"expected an OCSF document of class {CLASS_UID}")
    unmapped, severity = found.get("unmapped"), found.get("severity_id")
    inner = unmapped.get("update") if isinstance(unmapped, dict) else None
    if type(severity) is not int or severity not in frozenset(Severity):
        raise ParseError(f"expected a severity from 1 to 5, got {quoted(severity)}")
    return parse(inner), Severity(severity)


def _word(words: type[Word], value: Json, what: str) -> Word:
    if not isinstance(value, str) or value not in frozenset(words):
        raise ParseError(f"expected {what}, got {quoted(value)}")
    return words(value)


def _matching(pattern: re.Pattern[str], value: Json, what: str) -> str:
    if not isinstance(value, str) or pattern.fullmatch(value) is None:
        raise ParseError(f"expected {what}, got {quoted(value)}")
    return value


def _text(value: Json, what: str, most: int = MAX_TEXT) -> str:
    if not isinstance(value, str) or len(value) > most:
        raise ParseError(f"expected {what} of at most {most} characters, got {quoted(value)}")
    return value


def _number(value: Json, what: str) -> int:
    if type(value) is not int or not 0 <= value <= MAX_NUMBER:
        raise ParseError(f"expected {what} from 0 to {MAX_NUMBER}, got {quoted(value)}")
    return value


def _facts(value: Json) -> dict[str, str]:
    if not isinstance(value, dict) or len(value) > MAX_FACTS:
        raise ParseError(f"expected at most {MAX_FACTS} facts as an object")
    found: dict[str, str] = {}
    for name, text in value.items():
        if _FACT_NAME.fullmatch(name) is None:
            raise ParseError(f"expected the name of a fact, got {quoted(name)}")
        found[name] = _text(text, f"the fact {name}", MAX_FACT)
    return found
