"""What the device does, held against its profile, or learnt for one.

Rule 1: learning and judging see the same things in the same names, so what was learnt is quiet.
While a device learns, a profile in force goes on being judged.
Rule 2: something new is told once and counted from then on; more than MAX_DRIFT of them are told
without being remembered.
Rule 3: a connection without a name waits LATE_S for its DNS answer, bounded, before its address
stands for it. Connections to this host are not peers: their port is what was let open.
Rule 4: without a profile and without learning, an event costs one test.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from vedette.core import enrich
from vedette.core.commands import Command, Resolve, Subject
from vedette.core.findings import Findings, Sighting
from vedette.core.generalisation import RANDOM, generalise, is_transient
from vedette.core.inputs import Resolved
from vedette.core.memo import Memo
from vedette.core.names import LATE_S
from vedette.core.process_table import Process
from vedette.core.profile_judge import Judge
from vedette.core.profile_learner import Learner
from vedette.model.event import (
    ConnectionOpened,
    EventClass,
    ListenerOpened,
    ProcessStarted,
)
from vedette.model.finding import Severity
from vedette.model.profile import ANY_PROGRAM, Learnt, Profile

MAX_DRIFT = 1024
MAX_HELD = 256
MAX_QUESTIONS = 128
"""Files that are being hashed; above it one is asked for at its next execution."""
REMEMBERED = 1024

_EXECUTION = ("attack.execution",)
_ALTERED = ("attack.persistence", "attack.t1554")
"""Compromise Host Software Binary: the name is known, the content is another."""
_EXPLOITED = ("attack.initial-access", "attack.t1190", "attack.execution")
"""Exploit Public-Facing Application: what the network reaches starts what it never started."""
_CONTROL = ("attack.command-and-control",)


class Thing(NamedTuple):
    """What left the profile; `key` names it within its kind."""

    kind: str
    key: tuple[str, ...]


class _Question(NamedTuple):
    name: str
    seen: Sighting


class ProfileWatch:
    """Learns and judges; both are off until they are told.

    Attributes:
        learner: what is being learnt, None while nothing is.
        judge: the profile in force, None where there is none.
        drift: how often each thing outside the profile was seen since it was loaded.
        is_on: whether there is anything to do at all.
    """

    def __init__(self, findings: Findings, commands: list[Command]) -> None:
        self._findings = findings
        self._commands = commands
        self.learner: Learner | None = None
        self.judge: Judge | None = None
        self.drift: dict[Thing, int] = {}
        self.is_on = False
        self._names: Memo[str, str] = Memo(REMEMBERED)
        self._asked: Memo[tuple[str, int, int], bool] = Memo(REMEMBERED)
        self._questions: dict[int, _Question] = {}
        self._held: dict[ConnectionOpened, Process | None] = {}
        self._ticket = 0

    def learn(self, learnt: Learnt | None) -> None:
        """Go on from what was learnt so far, or stop learning (None)."""
        self.learner = None if learnt is None else Learner(learnt)
        self._changed()

    def load(self, profile: Profile | None) -> None:
        """Hold the device against another profile, or against none."""
        self.judge = None if profile is None else Judge(profile)
        self.drift = {}
        self._changed()

    def standing(self, process: Process, parent: Process | None, at_s: float) -> None:
        """A process that was there before anybody told of its start."""
        if not self.is_on or not process.image:
            return
        fields = enrich.standing_process(process, self._findings.users)
        seen = Sighting(EventClass.PROCESS, "procfs", at_s, fields, process)
        name = self.name(process)
        # Who has lost its parent was given another one, so its pair is learnt and never judged.
        if self.learner is not None and parent is not None and parent.image:
            self._learnt(self.learner.pair(self.name(parent), name), seen)
        self._program(name, seen, (process.image, 0, 0))

    def process_started(
        self,
        event: ProcessStarted,
        process: Process,
        parent: Process | None,
        fields: Mapping[str, str],
    ) -> None:
        """A program was executed."""
        if not process.image:
            return
        seen = Sighting(EventClass.PROCESS, event.tier, event.at_s, fields, process)
        name = self.name(process)
        is_known = self._program(name, seen, (process.image, event.device, event.inode))
        if parent is None or not parent.image:
            return
        starter = self.name(parent)
        if self.learner is not None:
            self._learnt(self.learner.pair(starter, name), seen)
        if self.judge is not None and is_known and not self.judge.pair(starter, name):
            self._unknown_pair(self.judge, starter, name, seen)

    def listener(self, event: ListenerOpened, process: Process | None) -> None:
        """A socket takes connections or datagrams."""
        name = self._name_or_any(process)
        fields = enrich.listener_opened(event, process, self._findings.users)
        seen = Sighting(EventClass.NETWORK, event.tier, event.at_s, fields, process)
        if self.learner is not None:
            self._learnt(self.learner.listener(name, event.protocol, event.port), seen)
        if self.judge is None or self.judge.listener(name, event.protocol, event.port):
            return
        # Whatever only this host reaches needs somebody on it already.
        severity = Severity.MEDIUM if _is_loopback(event.address) else Severity.HIGH
        thing = Thing("listener", (name, event.protocol, str(event.port)))
        self._left(thing, "A port was opened that the profile does not know", severity, _CONTROL,
                   seen, f"{name or 'an unknown program'} has no {event.protocol} port "
                   f"{event.port} in the profile")  # fmt: skip

    def connection(self, event: ConnectionOpened, host: str, process: Process | None) -> None:
        """A connection was begun; `host` is the name its destination was asked by, or ""."""
        if not event.is_initiated or _is_loopback(event.destination_ip):
            return
        if host:
            self._held.pop(event, None)
            self._peer(event, host, process)
            return
        if self.learner is None and self._is_known_peer(event, host, process):
            return
        if len(self._held) >= MAX_HELD:
            oldest = next(iter(self._held))
            self._peer(oldest, "", self._held.pop(oldest))
        self._held[event] = process

    def next_s(self) -> float | None:
        """When `tick` has something to do (CLOCK_BOOTTIME), or None."""
        return next(iter(self._held)).at_s + LATE_S if self._held else None

    def tick(self, at_s: float) -> None:
        """Let addresses stand for connections whose name has not come."""
        while self._held:
            event = next(iter(self._held))
            if event.at_s + LATE_S > at_s:
                return
            self._peer(event, "", self._held.pop(event))

    def resolved(self, given: Resolved) -> bool:
        """Take the answer to a question of ours; False where it is another's."""
        question = self._questions.pop(given.ticket, None)
        if question is None:
            return given.ticket < 0
        digest = next((one.sha256 for one in given.details[:1] if not one.is_other), "")
        if self.learner is not None:
            self._learnt(self.learner.digest(question.name, digest), question.seen)
        self._check_content(question.name, digest, question.seen)
        return True

    def name(self, process: Process) -> str:
        """The name by which profiles know a process's program."""
        raw = process.alias or process.image
        name = self._names.find(raw)
        if name is None:
            name = generalise(raw)
            self._names.keep(raw, name, len(raw))
        return name

    def _name_or_any(self, process: Process | None) -> str:
        return ANY_PROGRAM if process is None or not process.image else self.name(process)

    def _changed(self) -> None:
        self.is_on = self.learner is not None or self.judge is not None
        self._asked = Memo(REMEMBERED)  # what one profile had verified the next one has not
        if not self.is_on:
            self._held.clear()
            self._questions.clear()

    def _program(self, name: str, seen: Sighting, file: tuple[str, int, int]) -> bool:
        """Learn and judge a program; whether the profile knows it, as far as is known yet."""
        if self.learner is not None:
            self._learnt(self.learner.program(name), seen)
        is_known = self.judge is None or self.judge.program(name)
        if self.judge is not None and not is_known:
            self._unknown_program(self.judge, name, seen)
        wants_content = self.judge is not None and bool(self.judge.digests(name))
        if (self.learner is not None or wants_content or RANDOM in name) and is_known:
            self._ask(name, seen, file)
        return is_known

    def _ask(self, name: str, seen: Sighting, file: tuple[str, int, int]) -> None:
        process = seen.process
        if process is None or self._asked.find(file) is not None:
            return
        if len(self._questions) >= MAX_QUESTIONS:
            if RANDOM in name:
                self._check_content(name, "", seen)
            return
        self._asked.keep(file, True, len(file[0]))
        self._ticket -= 1  # those of findings are positive
        self._questions[self._ticket] = _Question(name, seen)
        subject = Subject(
            process.pid, process.start_ticks, process.image, process.seen_at_s, seen.at_s
        )
        self._commands.append(Resolve(self._ticket, (subject,)))

    def _check_content(self, name: str, digest: str, seen: Sighting) -> None:
        if self.judge is None or not self.judge.program(name):
            return
        allowed = self.judge.digests(name)
        if digest in allowed or (RANDOM not in name and not (digest and allowed)):
            return
        process = seen.process
        image = process.image if process is not None else name
        what = digest or "no readable content"
        reason = f"{name} has other contents in the profile than {what}"
        title = "A program's content is not the one of the profile"
        thing = Thing("content", (image, digest))
        self._left(thing, title, Severity.HIGH, _ALTERED, seen, reason)

    def _unknown_program(self, judge: Judge, name: str, seen: Sighting) -> None:
        # In days of learning it never ran. Where any process may write it was likely just brought
        # here; elsewhere it may be a tool of the firmware that somebody uses for once.
        severity = Severity.HIGH if is_transient(name) else Severity.MEDIUM
        process = seen.process
        image = process.image if process is not None and RANDOM in name else name
        self._left(
            Thing("program", (image,)), "A program ran that the profile does not know", severity,
            _EXECUTION, seen, f"{name} is not among the {len(judge.profile.learnt.programs)} "
            "programs of the profile",
        )  # fmt: skip

    def _unknown_pair(self, judge: Judge, parent: str, child: str, seen: Sighting) -> None:
        is_reached = judge.is_service(parent)
        self._left(
            Thing("pair", (parent, child)), "A program started one that it never started",
            Severity.HIGH if is_reached else Severity.MEDIUM,
            _EXPLOITED if is_reached else _EXECUTION, seen,
            f"{parent} does not start {child} in the profile",
        )  # fmt: skip

    def _peer(self, event: ConnectionOpened, host: str, process: Process | None) -> None:
        name, peer = self._name_or_any(process), host or event.destination_ip
        protocol, port = event.protocol, event.destination_port
        fields = enrich.network_connection(event, host, process, self._findings.users)
        seen = Sighting(EventClass.NETWORK, event.tier, event.at_s, fields, process)
        if self.learner is not None:
            self._learnt(self.learner.peer(name, protocol, peer, port), seen)
        if self.judge is None or self._is_known_peer(event, host, process):
            return
        # A neighbour may be new in the house; whoever is called on the internet has a reason.
        severity = Severity.LOW if _is_neighbour(event.destination_ip) else Severity.MEDIUM
        self._left(
            Thing("peer", (name, protocol, peer, str(port))),
            "A program connected to a peer that the profile does not know", severity, _CONTROL,
            seen, f"{name or 'an unknown program'} has no peer {peer}, {protocol} port {port}, "
            "in the profile",
        )  # fmt: skip

    def _is_known_peer(self, event: ConnectionOpened, host: str, process: Process | None) -> bool:
        """By its name or by its address: one may be known where the other was not told."""
        if self.judge is None:
            return False
        name, protocol, port = self._name_or_any(process), event.protocol, event.destination_port
        return any(
            self.judge.peer(name, protocol, peer, port)
            for peer in (host, event.destination_ip)
            if peer
        )

    def _left(
        self,
        thing: Thing,
        title: str,
        severity: Severity,
        tags: tuple[str, ...],
        seen: Sighting,
        reason: str,
    ) -> None:
        count = self.drift.get(thing, 0)
        if count or len(self.drift) < MAX_DRIFT:
            self.drift[thing] = count + 1
        if count:
            return
        told = seen._replace(fields={**seen.fields, "Reason": reason})
        self._findings.of_ours(f"profile-{thing.kind}", title, severity, told, tags)

    def _learnt(self, has_room: bool, seen: Sighting) -> None:  # noqa: FBT001 (private)
        if has_room:
            return
        fields = {
            "Class": seen.event_class,
            "Reason": "what was left out is not in the profile and will be a finding; see: "
            "vedette learn status",
        }
        told = Sighting(EventClass.AGENT, "agent", seen.at_s, fields, None)
        title = "Something new could not be learnt"
        self._findings.of_ours("learning-overflow", title, Severity.HIGH, told)


def _is_loopback(address: str) -> bool:
    return address.startswith("127.") or address == "::1"


def _is_neighbour(address: str) -> bool:
    """RFC 1918, RFC 3927, RFC 4193 and RFC 4291 2.5.6; multicast and broadcast of the link."""
    if ":" in address:
        return address.startswith(("fc", "fd", "fe8", "fe9", "fea", "feb", "ff"))
    if address.startswith("172."):
        second = address.split(".")[1]
        return second.isdecimal() and 16 <= int(second) <= 31  # noqa: PLR2004 (172.16.0.0/12)
    return address.startswith(("10.", "192.168.", "169.254.", "224.0.0.", "239.", "255."))
