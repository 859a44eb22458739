"""What the device does, held against its profile, or learnt for one.

Rule 1: learning and judging see the same things in the same names, so what was learnt is quiet.
While a device learns, a profile in force goes on being judged.
Rule 2: something new is told once and counted from then on; more than MAX_DRIFT of them are told
without being remembered.
Rule 3: a connection without a name waits LATE_S for its DNS answer, bounded, before its address
stands for it. Connections to this host are not peers: their port is what was let open.
Rule 4: what was found in order once costs one look-up from then on (bounded memory); without a
profile and without learning, an event costs one test.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from vedette.core import departures, enrich
from vedette.core.commands import Command, Resolve, Subject
from vedette.core.departures import Departure, Thing, is_loopback
from vedette.core.findings import Findings, Sighting
from vedette.core.generalisation import RANDOM, generalise
from vedette.core.inputs import Resolved
from vedette.core.memo import Memo
from vedette.core.names import LATE_S
from vedette.core.process_table import Process
from vedette.core.profile_judge import Judge
from vedette.core.profile_learner import Learner
from vedette.model.event import ConnectionOpened, EventClass, ListenerOpened, ProcessStarted
from vedette.model.finding import Severity
from vedette.model.profile import ANY_PROGRAM, Learnt, Profile

MAX_DRIFT = 1024
MAX_HELD = 256
MAX_QUESTIONS = 128
"""Files that are being hashed; above it one is asked for at its next execution."""
REMEMBERED = 1024


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
        self._quiet: set[tuple[object, ...]] = set()
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
        program = process.alias or process.image
        starter = "" if parent is None else parent.alias or parent.image
        key = (program, starter, process.image, event.device, event.inode)
        if key in self._quiet or not process.image:
            return
        seen = Sighting(EventClass.PROCESS, event.tier, event.at_s, fields, process)
        name = self.name(process)
        is_fine = self._program(name, seen, (process.image, event.device, event.inode))
        if parent is not None and starter:
            is_fine = self._pair(self.name(parent), name, seen) and is_fine
        if is_fine:
            self._remember(key)

    def listener(self, event: ListenerOpened, process: Process | None) -> None:
        """A socket takes connections or datagrams."""
        name, protocol, port = self._name_or_any(process), event.protocol, event.port
        judge = self.judge
        if self.learner is None and judge is not None and judge.listener(name, protocol, port):
            return
        fields = enrich.listener_opened(event, process, self._findings.users)
        seen = Sighting(EventClass.NETWORK, event.tier, event.at_s, fields, process)
        if self.learner is not None:
            self._learnt(self.learner.listener(name, protocol, port), seen)
        if judge is not None and not judge.listener(name, protocol, port):
            self._left(departures.of_listener(name, protocol, port, event.address), seen)

    def connection(self, event: ConnectionOpened, host: str, process: Process | None) -> None:
        """A connection was begun; `host` is the name its destination was asked by, or ""."""
        address = event.destination_ip
        if not event.is_initiated or is_loopback(address):
            return
        if host and self._held:
            self._held.pop(event, None)
        if self._connection_key(event, host, process) in self._quiet:
            return
        if host or (self.learner is None and self._is_known_peer(event, host, process)):
            self._peer(event, host, process)
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

    def settle(self) -> None:
        """Wait for no name any more: the agent ends."""
        self.tick(float("inf"))

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
        """What was in order before need not be so now."""
        self.is_on = self.learner is not None or self.judge is not None
        self._quiet.clear()
        self._asked = Memo(REMEMBERED)
        if not self.is_on:
            self._held.clear()
            self._questions.clear()

    def _program(self, name: str, seen: Sighting, file: tuple[str, int, int]) -> bool:
        """Learn and judge a program; whether there is nothing more to do for it."""
        is_fine, judge = True, self.judge
        if self.learner is not None:
            is_fine = self._learnt(self.learner.program(name), seen)
        if judge is not None and not judge.program(name):
            image = seen.process.image if seen.process is not None else name
            self._left(departures.of_program(name, image), seen)
            is_fine = False
        wants_content = (
            judge is not None
            and judge.program(name)
            and (RANDOM in name or bool(judge.digests(name)))
        )
        if self.learner is not None or wants_content:
            return self._ask(name, seen, file) and is_fine
        return is_fine

    def _pair(self, parent: str, child: str, seen: Sighting) -> bool:
        """Learn and judge a start; a child that is unknown itself is not told again."""
        is_fine, judge = True, self.judge
        if self.learner is not None:
            is_fine = self._learnt(self.learner.pair(parent, child), seen)
        if judge is None or judge.pair(parent, child) or not judge.program(child):
            return is_fine
        self._left(departures.of_pair(parent, child, is_reached=judge.is_service(parent)), seen)
        return False

    def _ask(self, name: str, seen: Sighting, file: tuple[str, int, int]) -> bool:
        """Have a file hashed once; False where there is no room to ask now."""
        process = seen.process
        if process is None or self._asked.find(file) is not None:
            return True
        if len(self._questions) >= MAX_QUESTIONS:
            if RANDOM in name:
                self._check_content(name, "", seen)
            return False
        self._asked.keep(file, True, len(file[0]))
        self._ticket -= 1  # those of findings are positive
        self._questions[self._ticket] = _Question(name, seen)
        subject = Subject(
            process.pid, process.start_ticks, process.image, process.seen_at_s, seen.at_s
        )
        self._commands.append(Resolve(self._ticket, (subject,)))
        return True

    def _check_content(self, name: str, digest: str, seen: Sighting) -> None:
        if self.judge is None or not self.judge.program(name):
            return
        allowed = self.judge.digests(name)
        if digest in allowed or (RANDOM not in name and not (digest and allowed)):
            return
        image = seen.process.image if seen.process is not None else name
        self._left(departures.of_content(name, image, digest), seen)

    def _peer(self, event: ConnectionOpened, host: str, process: Process | None) -> None:
        name, peer = self._name_or_any(process), host or event.destination_ip
        protocol, port = event.protocol, event.destination_port
        is_known = self.judge is None or self._is_known_peer(event, host, process)
        fields = enrich.network_connection(event, host, process, self._findings.users)
        seen = Sighting(EventClass.NETWORK, event.tier, event.at_s, fields, process)
        if self.learner is not None:
            is_learnt = self._learnt(self.learner.peer(name, protocol, peer, port), seen)
            is_quiet = is_known and is_learnt
        else:
            is_quiet = is_known
        if not is_known:
            address = event.destination_ip
            self._left(departures.of_peer(name, protocol, peer, port, address), seen)
        if is_quiet:
            self._remember(self._connection_key(event, host, process))

    def _connection_key(
        self, event: ConnectionOpened, host: str, process: Process | None
    ) -> tuple[object, ...]:
        program = "" if process is None else process.alias or process.image
        return (program, event.protocol, host, event.destination_ip, event.destination_port)

    def _remember(self, key: tuple[object, ...]) -> None:
        """Names in it are those of the profile, so that none is long; their files may be many."""
        if len(self._quiet) >= REMEMBERED:
            self._quiet.clear()
        self._quiet.add(key)

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

    def _left(self, departure: Departure, seen: Sighting) -> None:
        thing = departure.thing
        count = self.drift.get(thing, 0)
        if count or len(self.drift) < MAX_DRIFT:
            self.drift[thing] = count + 1
        if count:
            return
        told = seen._replace(fields={**seen.fields, "Reason": departure.reason})
        self._findings.of_ours(
            f"profile-{thing.kind}", departure.title, departure.severity, told, departure.tags
        )

    def _learnt(self, has_room: bool, seen: Sighting) -> bool:  # noqa: FBT001 (private)
        if has_room:
            return True
        fields = {
            "Class": seen.event_class,
            "Reason": "what was left out is not in the profile and will be a finding; see: "
            "vedette learn status",
        }
        told = Sighting(EventClass.AGENT, "agent", seen.at_s, fields, None)
        title = "Something new could not be learnt"
        self._findings.of_ours("learning-overflow", title, Severity.HIGH, told)
        return False
