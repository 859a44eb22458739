"""Collects the evidence of one incident: reports, process tree, files, connections, journal.

Rule 1: reading runs in a worker thread, never in the loop; what is in the core is copied before.
Rule 2: an answer has bounds in bytes, and says what it left out (core/evidence.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from vedette.codec.cloudevents import rfc3339
from vedette.codec.ocsf import whole
from vedette.codec.strict_json import Json
from vedette.core import evidence
from vedette.core.agent import Agent
from vedette.core.evidence import Subjects
from vedette.daemon import live_evidence
from vedette.daemon.facts import Facts
from vedette.errors import RequestError
from vedette.model.journal import Entry
from vedette.model.message import Identity
from vedette.model.process import ProcessKey
from vedette.ports.journal import Journal

MAX_SCANNED = 5000
"""Newest reports looked through for the incident."""
MAX_AROUND = 1000
"""Newest entries looked through for what happened around it."""


class Evidence:
    """Answers `collect`.

    Args:
        identity: whose evidence it is.
        agent: the core, whose process table and redactor are used.
        journal: keeps the reports.
    """

    def __init__(self, identity: Identity, agent: Agent, journal: Journal) -> None:
        self._identity, self._agent, self._journal = identity, agent, journal

    async def is_known(self, incident_id: str) -> bool:
        """Whether the journal has an incident of this id."""
        return bool(await self._reports(incident_id))

    async def collect(self, incident_id: str, wall_s: float) -> dict[str, Json]:
        """All that is known of an incident.

        Args:
            wall_s: Unix time of collecting, for readers.

        Raises:
            RequestError: the journal knows no such incident.
        """
        reports = await self._reports(incident_id)
        if not reports:
            raise RequestError(f"the journal has no incident {incident_id} (any more)")
        around = await self._journal.entries("", MAX_AROUND)
        documents = [evidence.parsed(entry) for entry in reports]
        subjects = evidence.subjects(documents, self._agent.processes)
        known = {key: self._known(key) for key in subjects.processes}
        redact = self._agent.redact
        live = await asyncio.to_thread(_look, subjects, redact)
        processes: list[Json] = [
            {**known[key], **found} for key, found in zip(subjects.processes, live[0], strict=True)
        ]
        return evidence.fitting(
            {
                "incident": incident_id,
                "tenant": self._identity.tenant,
                "device": self._identity.device,
                "boot": self._identity.boot,
                "collected": rfc3339(wall_s),
                "reports": documents,
                "processes": processes,
                "files": live[1],
                "journal": evidence.excerpt(around, reports, redact),
                "left_out": [],
            }
        )

    async def _reports(self, incident_id: str) -> list[Entry]:
        entries = await self._journal.entries("incident", MAX_SCANNED)
        return evidence.chosen_reports(entries, incident_id)

    def _known(self, key: ProcessKey) -> dict[str, Json]:
        """What the core remembers, which is all there is of a process that has ended."""
        process = evidence.known_process(key, self._agent.processes)
        if process is None:
            return {}
        return {
            "ppid": process.ppid,
            "uid": process.uid,
            "image": whole(process.image),
            "command_line": self._agent.redact(whole(process.command_line)),
            "cwd": whole(process.cwd),
        }


def _look(
    subjects: Subjects, redact: Callable[[str], str]
) -> tuple[list[dict[str, Json]], list[Json]]:
    digest = Facts().digest
    return (
        [live_evidence.process(key, redact) for key in subjects.processes],
        [live_evidence.file(path, digest, redact) for path in subjects.paths],
    )
