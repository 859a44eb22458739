"""Incidents as OCSF 1.8 Detection Findings (class 2004), and back for whoever reads them.

Rule 1: what OCSF has no attribute for is under `unmapped`, never beside OCSF's own names.
Rule 2: every text is whole UTF-8: bytes that were not are shown as a backslash and two hex digits.
Rule 3: the document is made of JSON values only, so that its canonical JSON and its msgpack say
exactly the same.
Rule 4: who reads takes nothing for granted: any document gives a Report or a ParseError.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from vedette import __version__
from vedette.codec import attack, strict_json
from vedette.codec.strict_json import Json
from vedette.model.finding import Finding, Incident, IncidentStatus
from vedette.model.process import ProcessFacts

VERSION = "1.8.0"
CLASS_UID = 2004
CATEGORY_UID = 2

_ACTIVITIES = {
    IncidentStatus.CREATED: (1, "Create"),
    IncidentStatus.UPDATED: (2, "Update"),
    IncidentStatus.CLOSED: (3, "Close"),
}
_STATUSES = {
    IncidentStatus.CREATED: (1, "New"),
    IncidentStatus.UPDATED: (2, "In Progress"),
    IncidentStatus.CLOSED: (4, "Resolved"),
}
_ANALYTIC_RULE = 1
_DEVICE_IOT = 7
_FILE_REGULAR = 1
_HASH_SHA256 = 3
_MAX_CHAIN = 16
_MAX_REDUCED_TEXT = 200
_SURROGATE = re.compile("[\ud800-\udfff]")
_LAST_ESCAPED_BYTE = 0xDCFF
_FIRST_ESCAPED_BYTE = 0xDC80

# OCSF 1.8 observable type_id
_HOSTNAME = (1, "Hostname")
_IP_ADDRESS = (2, "IP Address")
_USER_NAME = (4, "User Name")
_HASH = (8, "Hash")
_PROCESS_NAME = (9, "Process Name")
_COMMAND_LINE = (13, "Command Line")
_FILE_PATH = (45, "File Path")
_FIELD_OBSERVABLES = (
    ("TargetFilename", "evidences[0].file.path", _FILE_PATH),
    ("DestinationIp", "evidences[0].dst_endpoint.ip", _IP_ADDRESS),
    ("DestinationHostname", "evidences[0].dst_endpoint.hostname", _HOSTNAME),
    ("QueryName", "evidences[0].query.hostname", _HOSTNAME),
)


def detection_finding(incident: Incident, device: str = "", tenant: str = "") -> dict[str, Json]:
    """One report of an incident as OCSF has it.

    Args:
        incident: one revision of it.
        device: the fleet's name of this device; left out when "".
        tenant: whose device it is; left out when "".

    Returns:
        JSON values only; the times are milliseconds of Unix time.
    """
    finding = incident.finding
    activity_id, activity = _ACTIVITIES[incident.status]
    status_id, status = _STATUSES[incident.status]
    document: dict[str, Json] = {
        "activity_id": activity_id,
        "activity_name": activity,
        "category_uid": CATEGORY_UID,
        "class_uid": CLASS_UID,
        "class_name": "Detection Finding",
        "type_uid": CLASS_UID * 100 + activity_id,
        "severity_id": int(incident.severity),
        "severity": incident.severity.name.capitalize(),
        "status_id": status_id,
        "status": status,
        "is_alert": True,
        "count": incident.count,
        "time": _milliseconds(incident.last_seen_wall_s),
        "start_time": _milliseconds(incident.first_seen_wall_s),
        "end_time": _milliseconds(incident.last_seen_wall_s),
        "message": whole(finding.title),
        "metadata": _metadata(incident, tenant),
        "finding_info": _finding_info(incident),
        "evidences": [_evidence(finding)],
        "observables": list(_observables(finding)),
        "unmapped": _unmapped(incident),
    }
    if device:
        document["device"] = {"uid": device, "type_id": _DEVICE_IOT, "type": "IOT"}
    return document


def canonical(document: Mapping[str, Any]) -> bytes:
    """The one JSON of a document that is recorded and signed; broken text is made whole first."""
    return strict_json.canonical(_whole_value(document))


def whole(text: str) -> str:
    r"""Text that is valid UTF-8: an undecodable byte (PEP 383) becomes `\xNN`, others `\uNNNN`."""
    if text.isascii():
        return text
    return _SURROGATE.sub(_show_surrogate, text)


def reduced(body: bytes, document: Mapping[str, Json]) -> dict[str, Json]:
    """What is sent when the whole is larger than the broker takes: who, what, how bad, how often.

    Args:
        body: the recorded document, whose digest leads back to the journal's entry.
        document: the same, parsed.
    """
    kept: dict[str, Json] = {
        name: document[name]
        for name in (
            "activity_id", "category_uid", "class_uid", "type_uid", "severity_id", "status_id",
            "count", "time", "start_time", "end_time", "message",
        )
        if _is_small(document.get(name))
    }  # fmt: skip
    for name, inner in (
        ("metadata", ("version", "uid")),
        ("finding_info", ("uid", "title", "analytic")),
    ):
        found = document.get(name)
        if isinstance(found, dict):
            kept[name] = {key: _shortened(found[key]) for key in inner if key in found}
    kept["unmapped"] = {
        "is_reduced": True,
        "whole_bytes": len(body),
        "whole_sha256": hashlib.sha256(body).hexdigest(),
        "revision": _revision(document),
    }
    return kept


def _revision(document: Mapping[str, Json]) -> int:
    unmapped = document.get("unmapped")
    found = unmapped.get("revision") if isinstance(unmapped, dict) else None
    return found if isinstance(found, int) else 0


def _is_small(value: Json) -> bool:
    is_number = isinstance(value, int | float)
    return is_number or (isinstance(value, str) and len(value) <= _MAX_REDUCED_TEXT)


def _shortened(value: Json) -> Json:
    if isinstance(value, str):
        return value[:_MAX_REDUCED_TEXT]
    if isinstance(value, dict):
        return {name: inner for name, inner in value.items() if _is_small(inner)}
    return value if isinstance(value, int | float) else None


def _metadata(incident: Incident, tenant: str) -> dict[str, Json]:
    found: dict[str, Json] = {
        "version": VERSION,
        "uid": f"{incident.incident_id}-{incident.revision}",
        "product": {"name": "Vedette", "vendor_name": "Vedette", "version": __version__},
    }
    if tenant:
        found["tenant_uid"] = tenant
    return found


def _finding_info(incident: Incident) -> dict[str, Json]:
    finding = incident.finding
    found: dict[str, Json] = {
        "uid": incident.incident_id,
        "title": whole(finding.title),
        "created_time": _milliseconds(incident.first_seen_wall_s),
        "modified_time": _milliseconds(incident.last_seen_wall_s),
        "first_seen_time": _milliseconds(incident.first_seen_wall_s),
        "last_seen_time": _milliseconds(incident.last_seen_wall_s),
        "analytic": {
            "uid": finding.rule_id,
            "name": whole(finding.title),
            "type_id": _ANALYTIC_RULE,
            "type": "Rule",
            "desc": f"Sigma rule by {whole(finding.author)}",
            "version": finding.bundle,
        },
    }
    attacks = attack.attacks(finding.tags)
    if attacks:
        found["attacks"] = attacks
    return found


def _evidence(finding: Finding) -> dict[str, Json]:
    evidence: dict[str, Json] = {"data": {k: whole(v) for k, v in finding.fields.items()}}
    if finding.chain:
        evidence["process"] = _process_chain(finding.chain[:_MAX_CHAIN])
    if path := finding.fields.get("TargetFilename"):
        evidence["file"] = _file(path, "")
    if address := finding.fields.get("DestinationIp"):
        evidence["dst_endpoint"] = _endpoint(address, finding.fields)
    if name := finding.fields.get("QueryName"):
        evidence["query"] = {"hostname": whole(name)}
    return evidence


def _endpoint(address: str, fields: Mapping[str, str]) -> dict[str, Json]:
    endpoint: dict[str, Json] = {"ip": whole(address)}
    port = fields.get("DestinationPort", "")
    if port.isascii() and port.isdigit() and len(port) <= 5:  # noqa: PLR2004 (65535)
        endpoint["port"] = int(port)
    if name := fields.get("DestinationHostname"):
        endpoint["hostname"] = whole(name)
    return endpoint


def _process_chain(chain: Sequence[ProcessFacts]) -> dict[str, Json]:
    nearest: dict[str, Json] = {}
    for process in reversed(chain):
        inner = _process(process)
        if nearest:
            inner["parent_process"] = nearest
        nearest = inner
    return nearest


def _process(process: ProcessFacts) -> dict[str, Json]:
    name = process.argv0.rpartition("/")[2] or process.image.rpartition("/")[2]
    found: dict[str, Json] = {
        "pid": process.key.pid,
        "uid": f"{process.key.pid}/{process.key.start_ticks}",
        "name": whole(name),
    }
    if process.command_line:
        found["cmd_line"] = whole(process.command_line)
    if process.image:
        found["file"] = _file(process.image, process.sha256)
    if process.uid >= 0:
        found["user"] = {"uid": str(process.uid), "name": whole(process.user)}
    if process.unit:
        found["group"] = {"name": whole(process.unit), "type": "unit"}
    return found


def _file(path: str, sha256: str) -> dict[str, Json]:
    text = whole(path)
    found: dict[str, Json] = {
        "path": text,
        "name": text.rpartition("/")[2] or text,
        "type_id": _FILE_REGULAR,
    }
    if sha256:
        found["hashes"] = [{"algorithm_id": _HASH_SHA256, "algorithm": "SHA-256", "value": sha256}]
    return found


def _observables(finding: Finding) -> list[Json]:
    found: list[Json] = []

    def add(name: str, kind: tuple[int, str], value: str) -> None:
        if value:
            found.append({"name": name, "type_id": kind[0], "type": kind[1], "value": whole(value)})

    if finding.chain:
        process = finding.chain[0]
        add("evidences[0].process.file.path", _FILE_PATH, process.image)
        add("evidences[0].process.name", _PROCESS_NAME, process.argv0.rpartition("/")[2])
        add("evidences[0].process.cmd_line", _COMMAND_LINE, process.command_line)
        add("evidences[0].process.user.name", _USER_NAME, process.user)
        add("evidences[0].process.file.hashes[0].value", _HASH, process.sha256)
    for field, name, kind in _FIELD_OBSERVABLES:
        add(name, kind, finding.fields.get(field, ""))
    return found


def _unmapped(incident: Incident) -> dict[str, Json]:
    finding = incident.finding
    return {
        "revision": incident.revision,
        "tier": finding.tier,
        "event_class": str(finding.event_class),
        "rule_author": whole(finding.author),
        "tags": [whole(tag) for tag in finding.tags],
        "finding_severity_id": int(finding.severity),
        "boottime_ms": round(finding.at_s * 1000),
        "observed_time": _milliseconds(finding.wall_s),
        "actions": [whole(action) for action in incident.actions],
        "losses": [
            {"event_class": str(loss.event_class), "stage": loss.stage, "count": loss.count}
            for loss in finding.losses
        ],
    }


def _milliseconds(wall_s: float) -> int:
    return round(wall_s * 1000)


def _show_surrogate(match: re.Match[str]) -> str:
    code = ord(match.group())
    if _FIRST_ESCAPED_BYTE <= code <= _LAST_ESCAPED_BYTE:
        return f"\\x{code - 0xDC00:02x}"
    return f"\\u{code:04x}"


def _whole_value(value: Any) -> Json:
    if isinstance(value, str):
        return whole(value)
    if isinstance(value, Mapping):
        return {whole(str(name)): _whole_value(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_whole_value(inner) for inner in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    raise TypeError(f"expected a JSON value, got {type(value).__name__}")
