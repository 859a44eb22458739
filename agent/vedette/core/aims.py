"""From a finding to what a step of a playbook acts on.

Rule 1: what the finding does not say for certain is no target: nothing is guessed.
Rule 2: a peer is one only when a TCP connection showed it that we began, or that was established:
the sender of a datagram, or of a handshake's first packet, may be anybody, and naming a victim
there must not make us block it.
"""

from __future__ import annotations

from vedette.core.findings import Sighting
from vedette.core.process_table import Process, ProcessTable
from vedette.model.playbook import Step
from vedette.model.process import ProcessKey
from vedette.model.response import (
    DeviceTarget,
    FileTarget,
    ModelTarget,
    PeerTarget,
    ProcessTarget,
    Target,
    UnitTarget,
)


def target_of(step: Step, seen: Sighting, table: ProcessTable) -> Target | None:
    """What the step acts on, None where the finding does not say."""
    fields, process = seen.fields, seen.process
    match step.aim:
        case "process":
            return _process(process, seen.at_s)
        case "parent":
            parent = table.get(process.ppid) if process is not None else None
            return _process(parent, seen.at_s)
        case "image":
            return _path(process.image, "") if process is not None else None
        case "file":
            return _path(fields.get("TargetFilename", ""), fields.get("Digest", ""))
        case "runner":
            path = fields.get("OldFilename") or fields.get("TargetFilename", "")
            return _process(table.runner(path), seen.at_s)
        case "peer":
            return _peer(seen)
        case "unit":
            return UnitTarget(step.unit)
        case "model":
            return ModelTarget(step.unit)
        case "device":
            return DeviceTarget()


def with_kin(target: Target, table: ProcessTable) -> Target:
    """A process together with all that descends from it: for one that is really to be ended."""
    if not isinstance(target, ProcessTarget):
        return target
    kin = table.descendants(target.key.pid)
    return target._replace(kin=tuple(ProcessKey(one.pid, one.start_ticks) for one in kin))


def _process(process: Process | None, at_s: float) -> ProcessTarget | None:
    if process is None or process.has_ended:
        return None
    return ProcessTarget(ProcessKey(process.pid, process.start_ticks), process.image, at_s)


def _path(path: str, sha256: str) -> FileTarget | None:
    return FileTarget(path, sha256) if path.startswith("/") else None


def _peer(seen: Sighting) -> PeerTarget | None:
    fields = seen.fields
    is_ours = fields.get("Initiated") == "true"
    if fields.get("Protocol") != "tcp" or not (is_ours or "Established" in fields):
        return None
    address = fields.get("DestinationIp" if is_ours else "SourceIp", "")
    return PeerTarget(address) if address else None
