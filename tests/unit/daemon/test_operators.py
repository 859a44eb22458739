"""Commands on a device: what is done, recorded, answered and told; core and gate are whole."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from tests.simulators.memory_journal import MemoryJournal
from tests.simulators.memory_state import MemoryState
from tests.simulators.operators import (
    ALICE,
    BOB,
    CAMERAS,
    HERE,
    STATION,
    command,
    trust_document,
)
from tests.simulators.signing import BUILD_S

from vedette.codec import command as codec
from vedette.codec import evidence as parts_codec
from vedette.core.agent import Agent, AgentSettings
from vedette.core.inputs import PlaybooksLoaded
from vedette.daemon import operators
from vedette.daemon.evidence import Evidence
from vedette.daemon.operators import MAX_WAITING, REFUSALS_BURST, Operators
from vedette.daemon.shell import Shell, now
from vedette.model.finding import Severity
from vedette.model.journal import EntryDraft
from vedette.model.message import Identity
from vedette.model.playbook import Playbook, Playbooks, Step
from vedette.model.response import Mode, Order, Outcome, ResponseStatus
from vedette.trust.ed25519 import Ed25519Verifier
from vedette.trust.operator_gate import OperatorGate

DEADLINE_S = 10.0
INCIDENT = "0123456789abcdef"
DIGEST = "ab" * 32
DONE = Outcome(ResponseStatus.DONE, "3 processes ended", {})


class Scripted:
    """In the place of the responders: answers what the test says, and keeps what was asked."""

    def __init__(self) -> None:
        self.outcome = DONE
        self.orders: list[Order] = []
        self.undone: list[tuple[str, str]] = []
        self.is_stuck = asyncio.Event()
        self.is_stuck.set()

    async def ask(self, order: Order) -> Outcome:
        self.orders.append(order)
        await self.is_stuck.wait()
        return self.outcome

    async def ask_undo(self, response_id: str, by: str) -> Outcome:
        self.undone.append((response_id, by))
        return Outcome(ResponseStatus.UNDONE, "it is as it was", {})


@dataclass
class Device:
    journal: MemoryJournal
    shell: Shell
    operators: Operators
    responses: Scripted
    state: MemoryState
    number: int = 0
    largest_bytes: int = 60_000
    updates: list[tuple[str, str]] = field(default_factory=list)
    why_not: str = ""

    async def ask_update(self, by: str, rollback: str) -> str:
        self.updates.append((by, rollback))
        return self.why_not

    def send(self, verb: str, **arguments: str) -> bytes:
        """A command of Alice's for this device, valid now."""
        self.number += 1
        data = command(
            verb, HERE, ALICE, number=self.number, issued_s=int(now()[1]), arguments=arguments
        )
        self.operators.hear(data, 0)
        return data

    def drafts(self, kind: str) -> list[EntryDraft]:
        return [entry.draft for entry in self.journal.recorded if entry.draft.kind == kind]

    def findings(self, condition: str) -> list[dict[str, str]]:
        documents = [json.loads(draft.body) for draft in self.drafts("incident")]
        return [
            document["evidences"][0]["data"]
            for document in documents
            if document["finding_info"]["analytic"]["uid"] == f"vedette:{condition}"
        ]

    async def receipt(self, data: bytes) -> dict[str, Any]:
        """The receipt of a command."""

        def look() -> dict[str, Any] | None:
            for draft in self.drafts("receipt"):
                body: dict[str, Any] = json.loads(draft.body)
                if body["command"] == codec.digest(data):
                    assert draft.topic == "up/receipt"
                    return body
            return None

        answer: dict[str, Any] = await until(look)
        return answer


async def until(look: Callable[[], Any]) -> Any:
    ends_s = time.monotonic() + DEADLINE_S
    while not (found := look()):
        assert time.monotonic() < ends_s, f"waited {DEADLINE_S} s"
        await asyncio.sleep(0)
    return found


@asynccontextmanager
async def device() -> AsyncIterator[Device]:
    journal, state = MemoryJournal(), MemoryState()
    await journal.open()
    agent = Agent(AgentSettings("acme", "cam-7", "b" * 32))
    shell = Shell(agent, journal, lambda *_: None, lambda _: None)
    gate = OperatorGate(
        STATION, document=trust_document, verifier=Ed25519Verifier(), state=state, build_s=BUILD_S
    )
    responses = Scripted()
    made = Operators(
        gate,
        shell=shell,
        responses=responses,
        evidence=lambda: Evidence(Identity("acme", "cam-7", "b" * 32), agent, journal),
        largest_bytes=lambda: found.largest_bytes,
        ask_update=lambda by, kind: found.ask_update(by, kind),  # noqa: PLW0108 (made below)
    )
    found = Device(journal, shell, made, responses, state)
    tasks = [asyncio.get_running_loop().create_task(work) for work in (shell.run(), made.run())]
    try:
        yield found
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await shell.stop()


def test_a_command_is_recorded_before_it_is_done_and_answered_after() -> None:
    async def story() -> None:
        async with device() as found:
            found.responses.is_stuck.clear()
            data = found.send("kill", process="812/88123")
            await until(lambda: found.responses.orders)
            await until(lambda: found.drafts("command"))
            recorded = json.loads(found.drafts("command")[0].body)
            assert recorded["command"] == codec.digest(data)
            assert recorded["arguments"] == {"process": "812/88123"}
            assert found.drafts("receipt") == []
            found.responses.is_stuck.set()
            receipt = await found.receipt(data)
        (order,) = found.responses.orders
        assert (receipt["status"], receipt["detail"]) == ("done", "3 processes ended")
        assert receipt["facts"] == {"response": order.response_id}
        assert receipt["origin"] == order.cause

    asyncio.run(story())


OUTCOMES = {
    ResponseStatus.DONE: "done",
    ResponseStatus.PARTLY: "partly",
    ResponseStatus.FAILED: "failed",
    ResponseStatus.REFUSED: "refused",
    ResponseStatus.OBSERVED: "failed",
}


@pytest.mark.parametrize(("status", "answer"), OUTCOMES.items())
def test_every_outcome_has_its_receipt(status: ResponseStatus, answer: str) -> None:
    async def story() -> None:
        async with device() as found:
            found.responses.outcome = Outcome(status, "because", {})
            receipt = await found.receipt(found.send("block", address="192.0.2.7"))
        assert (receipt["status"], receipt["detail"]) == (answer, "because")

    asyncio.run(story())


def test_a_slow_command_holds_up_no_other_one() -> None:
    async def story() -> None:
        async with device() as found:
            found.responses.is_stuck.clear()
            slow = found.send("kill", process="812/88123")
            await until(lambda: found.responses.orders)
            quick = await found.receipt(found.send("release"))
            assert quick["detail"] == "nothing of the kind is in force"
            found.responses.is_stuck.set()
            await found.receipt(slow)

    asyncio.run(story())


def test_what_never_ends_is_answered_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operators, "ANSWER_TIMEOUT_S", 0.01)

    async def story() -> None:
        async with device() as found:
            found.responses.is_stuck.clear()
            receipt = await found.receipt(found.send("isolate"))
        assert receipt["status"] == "failed"
        assert "no outcome within" in receipt["detail"]

    asyncio.run(story())


WRONG = {
    "an argument that is missing": ("block", {}, "expected an IPv4 or IPv6 address"),
    "a playbook that is not in force": ("demote", {"playbook": "stop-miners"}, "no playbook"),
    "evidence of an incident nobody had": ("collect", {"incident": INCIDENT}, "has no incident"),
    "an incident nobody had": ("acknowledge", {"incident": INCIDENT}, "has no incident"),
}


@pytest.mark.parametrize(("verb", "arguments", "words"), WRONG.values(), ids=WRONG.keys())
def test_what_cannot_be_done_is_a_failure_with_its_reason(
    verb: str, arguments: dict[str, str], words: str
) -> None:
    async def story() -> None:
        async with device() as found:
            receipt = await found.receipt(found.send(verb, **arguments))
        assert receipt["status"] == "failed"
        assert words in receipt["detail"]

    asyncio.run(story())


def test_a_refused_command_is_a_finding_and_is_answered_and_does_nothing() -> None:
    async def story() -> None:
        async with device() as found:
            data = found.send("kill", process="812/88123")
            await found.receipt(data)
            found.operators.hear(data, 0)
            (told,) = await until(lambda: found.findings("command-refused"))
            assert "it is a replay" in told["Reason"]
            assert told["Signed"] == "by an operator"
            assert told["Action"] == "kill"
            await until(lambda: len(found.drafts("receipt")) == 2)
            assert json.loads(found.drafts("receipt")[1].body)["status"] == "refused"
        assert len(found.responses.orders) == 1

    asyncio.run(story())


def test_a_stranger_s_words_get_into_no_incident() -> None:
    async def story() -> None:
        async with device() as found:
            late = command("kill", HERE, arguments={"process": "1/1", "incident": INCIDENT})
            found.operators.hear(late, 0)
            await found.receipt(late)
        assert [draft.incident_id for draft in found.drafts("receipt")] == [""]

    asyncio.run(story())


def test_a_flood_of_refused_ones_is_not_answered_each_and_not_forgotten() -> None:
    async def story() -> None:
        async with device() as found:
            sent = 2 * MAX_WAITING
            for number in range(sent):
                found.operators.hear(b"garbage %d" % number, 0)
            await until(lambda: found.operators.refused == MAX_WAITING)
            await until(lambda: found.findings("commands-lost"))
            good = await found.receipt(found.send("release"))
            assert good["status"] == "done", "and the next good one is heard"
        refused = [d for d in found.drafts("receipt") if json.loads(d.body)["status"] == "refused"]
        assert len(refused) == REFUSALS_BURST
        lost = found.findings("commands-lost")[0]
        assert lost["Reason"].startswith(f"{sent - MAX_WAITING} were dropped")

    asyncio.run(story())


def test_what_the_uplink_dropped_is_a_finding() -> None:
    async def story() -> None:
        async with device() as found:
            found.operators.hear(b"", 7)
            (lost,) = await until(lambda: found.findings("commands-lost"))
        assert lost["Reason"].startswith("7 were dropped")
        assert found.drafts("receipt") == []

    asyncio.run(story())


def test_nothing_is_done_while_its_number_cannot_be_kept() -> None:
    async def story() -> None:
        async with device() as found:
            found.state.is_full = True
            receipt = await found.receipt(found.send("isolate"))
        assert receipt["status"] == "failed"
        assert "could not be kept, so nothing was done" in receipt["detail"]
        assert found.responses.orders == []

    asyncio.run(story())


def test_a_group_is_isolated_by_two_keys_together() -> None:
    async def story() -> None:
        async with device() as found:
            issued_s = int(now()[1])
            alone = command("isolate", CAMERAS, ALICE, issued_s=issued_s)
            found.operators.hear(alone, 0)
            assert "needs 2" in (await found.receipt(alone))["detail"]
            both = command("isolate", CAMERAS, ALICE, BOB, issued_s=issued_s)
            found.operators.hear(both, 0)
            assert (await found.receipt(both))["status"] == "done"
        assert [order.responder for order in found.responses.orders] == ["isolate"]

    asyncio.run(story())


def test_evidence_comes_in_parts_that_fit_the_broker_and_join() -> None:
    async def story() -> None:
        async with device() as found:
            found.shell.report("folder-lost", "A folder", Severity.CRITICAL, {"Reason": "x" * 3000})
            (draft,) = await until(lambda: found.drafts("incident"))
            found.largest_bytes = 2500
            receipt = await found.receipt(found.send("collect", incident=draft.incident_id))
            parts = await until(
                lambda: (
                    len(found.drafts("collected")) == int(receipt["facts"]["parts"])
                    and found.drafts("collected")
                )
            )
        assert {part.topic for part in parts} == {"up/collected"}
        assert all(len(part.body) < 2500 for part in parts)
        document: Any = parts_codec.join(
            parts_codec.parse_part(json.loads(part.body)) for part in parts
        )
        assert document["incident"] == draft.incident_id
        assert document["reports"][0]["finding_info"]["uid"] == draft.incident_id

    asyncio.run(story())


def test_an_incident_that_was_seen_is_an_entry_of_its_own() -> None:
    async def story() -> None:
        async with device() as found:
            found.shell.report("folder-lost", "A folder", Severity.CRITICAL, {"Reason": "gone"})
            (draft,) = await until(lambda: found.drafts("incident"))
            receipt = await found.receipt(found.send("acknowledge", incident=draft.incident_id))
            (noted,) = found.drafts("acknowledged")
        assert receipt["status"] == "done"
        assert noted.incident_id == draft.incident_id
        assert json.loads(noted.body)["by"] == receipt["origin"]

    asyncio.run(story())


PLAYBOOK = Playbook(
    "end-miner", "End miners", ("rule",), (), Severity.HIGH, (Step("kill", "process", 0),), 5, 1,
    DIGEST,
)  # fmt: skip
PLAYBOOKS = Playbooks("test", 1, 1, 2, (PLAYBOOK,), (), (), "00" * 32)


def test_a_playbook_is_promoted_by_two_operators_and_demoted_by_one() -> None:
    async def story() -> None:
        async with device() as found:
            found.shell.tell(PlaybooksLoaded(*now(), PLAYBOOKS, {}))
            modes = found.shell.agent.defence.modes
            alone = await found.receipt(found.send("promote", playbook=DIGEST))
            assert "promote needs 2" in alone["detail"]
            assert modes.decided(PLAYBOOK) is Mode.OBSERVE
            both = command(
                "promote", HERE, ALICE, BOB, number=9, issued_s=int(now()[1]),
                arguments={"playbook": DIGEST},
            )  # fmt: skip
            found.operators.hear(both, 0)
            assert (await found.receipt(both))["detail"] == "end-miner: enforce"
            assert modes.decided(PLAYBOOK) is Mode.ENFORCE
            found.number = 9
            demoted = await found.receipt(found.send("demote", playbook="end-miner"))
            assert (demoted["status"], demoted["detail"]) == ("done", "end-miner: observe")

    asyncio.run(story())


def test_an_update_is_asked_for_in_the_operators_name() -> None:
    async def story() -> list[dict[str, Any]]:
        async with device() as found:
            answers = [await found.receipt(found.send("update"))]
            answers.append(await found.receipt(found.send("rollback", kind="firmware")))
            origins = [answer["origin"] for answer in answers]
            assert found.updates == [(origins[0], ""), (origins[1], "firmware")]
            found.why_not = "this device is configured to take no releases ([updates])"
            return [*answers, await found.receipt(found.send("update"))]

    done, back, refused = asyncio.run(story())
    assert (done["status"], back["status"], refused["status"]) == ("done", "done", "failed")
    assert "going back with firmware" in back["detail"]
    assert "takes no releases" in refused["detail"] or "take no releases" in refused["detail"]
