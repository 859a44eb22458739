"""Lets the running agent of the workbench enforce, against what carries a run's word and no more.

Rule 1: every rule is narrowed to events that hold the word, which is random: whatever else happens
on this machine meanwhile is detected by no rule, and so answered by nothing.
Rule 2: the sets are signed with the development keys and taken by a reload, as on a device; at the
end those from before are in force again, under a higher counter.
Rule 3: only what the word's processes and files are is touched: nothing here aims at an image, a
unit or the device, and at a parent only below a program whose name holds the word.
Rule 4: a command that is over in milliseconds leaves whoever gave it: the shell of a throwaway root
is ended for it, as an intruder's would be.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from types import TracebackType
from typing import NamedTuple, Self

from vedette.cli._signing import sealed
from vedette.codec import bundle as bundle_codec
from vedette.codec import dsse
from vedette.codec import playbook as playbook_codec
from vedette.daemon import config
from vedette.daemon.control_client import ask
from vedette.model.finding import Severity
from vedette.model.playbook import DeviceProfile, Limit, Playbook, Playbooks, Step
from vedette.model.response import Mode
from vedette.model.rule import AllOf, AnyOf, Bundle, Condition, Match
from vedette.trust.ed25519 import Ed25519Signer
from vedette_dev import identity
from vedette_dev.responses import BELOW, Responses
from vedette_dev.rules import SOURCE_MARK
from vedette_dev.session import Running
from vedette_dev.workbench import Workbench, find_workbench

VALID_S = 86_400
LASTS_S = 600
PER_HOUR = 1000
MOST_RULES = 256
RELOAD_TIMEOUT_S = 60.0

WHERE = (
    "Image", "CommandLine", "Argv0", "Ancestors", "ParentImage", "ParentCommandLine",
    "CurrentDirectory", "TargetFilename", "OldFilename", "QueryName",
)  # fmt: skip
"""Fields of events that can hold the word of a run."""

PROCESS_STEPS = (Step("kill", "process", 0),)
FILE_STEPS = (Step("quarantine", "file", LASTS_S),)
"""Never the process: some attacks write their file from the player itself."""
PARENT_STEPS = (Step("kill", "parent", 0),)
RUNNER_STEPS = (Step("kill", "runner", 0),)
"""The file of a running program is gone: there is nothing to take, and who runs it is the run's."""
PEER_STEPS = (Step("block_peer", "peer", LASTS_S),)
"""Who comes from outside again and again has no process here: the one he reached is his victim."""


def narrowed(bundle: Bundle, word: str) -> Bundle:
    """The same rules, of events that hold this word alone."""
    holds = AnyOf(tuple(Match(name, "contains", word, is_cased=False) for name in WHERE))
    rules = tuple(replace(one, condition=AllOf((one.condition, holds))) for one in bundle.rules)
    return replace(bundle, rules=rules)


def with_twins(bundle: Bundle, word: str) -> Bundle:
    """The same, and of each rule about processes one that matches below the word's programs alone.

    What such a twin finds has a parent that is one of them or runs below one.
    """
    below = Match("Ancestors", "contains", word, is_cased=False)
    twins = (
        replace(one, rule_id=one.rule_id + BELOW, condition=AllOf((one.condition, below)))
        for one in bundle.rules
        if one.is_reported and one.category != "file_event"
    )
    return replace(bundle, rules=(*bundle.rules, *twins))


def playbooks_for(
    bundle: Bundle,
    *,
    process: tuple[Step, ...] = PROCESS_STEPS,
    file: tuple[Step, ...] = FILE_STEPS,
) -> tuple[Playbook, ...]:
    """Which response answers which rule: those that speak of files, too, have steps of their own.

    A correlation has some if all of its rules are about connections: the process of any other may
    be who made a file, and that may be the player.
    """
    reported = [rule for rule in bundle.rules if rule.is_reported]
    twins = dict.fromkeys(rule.rule_id for rule in reported if rule.rule_id.endswith(BELOW))
    of_files = {rule.rule_id for rule in reported if rule.category == "file_event"}
    of_runners = {one.rule_id for one in reported if _asks(one.condition, "TargetRunning", "true")}
    others = dict.fromkeys(
        rule.rule_id for rule in reported if rule.rule_id not in of_files | twins.keys()
    )
    outgoing, arrivals = _of_connections(bundle)
    others.update(dict.fromkeys(outgoing))
    chosen = (
        (list(others), process), (sorted(of_files - of_runners), file),
        (sorted(of_runners), RUNNER_STEPS), (list(twins), PARENT_STEPS), (arrivals, PEER_STEPS),
    )  # fmt: skip
    made: list[Playbook] = []
    for ids, steps in chosen:
        for start in range(0, len(ids) if steps else 0, MOST_RULES):
            name = f"workbench-{len(made)}"
            made.append(playbook(name, ids[start : start + MOST_RULES], steps))
    return tuple(made)


def _of_connections(bundle: Bundle) -> tuple[list[str], list[str]]:
    """The correlations whose rules are all about connections: others, and those from outside."""
    incoming = {one.rule_id for one in bundle.rules if _asks(one.condition, "Initiated", "false")}
    networked = {one.rule_id for one in bundle.rules if one.category == "network_connection"}
    networked -= {one.rule_id for one in bundle.rules if one.category != "network_connection"}
    found = [
        one for one in bundle.correlations if one.is_reported and networked.issuperset(one.rules)
    ]
    arrivals = [one.rule_id for one in found if incoming.issuperset(one.rules)]
    return [one.rule_id for one in found if one.rule_id not in arrivals], arrivals


def _asks(condition: Condition, field: str, value: str) -> bool:
    """Whether only events with this value can match."""
    match condition:
        case Match():
            return (condition.field, condition.operator, condition.value) == (
                field, "equals", value,
            )  # fmt: skip
        case AllOf(parts):
            return any(_asks(part, field, value) for part in parts)
        case _:
            return False


def playbook(name: str, rules: Sequence[str], steps: tuple[Step, ...]) -> Playbook:
    """A playbook of the workbench, with its digest."""
    made = Playbook(
        name=name,
        title="What the workbench plays is contained",
        rules=tuple(rules),
        tags=(),
        severity=Severity.INFORMATIONAL,
        steps=steps,
        per_hour=PER_HOUR,
        per_target=PER_HOUR,
        digest="",
    )
    return made._replace(digest=playbook_codec.digest_of(made))


class Enforcement(Responses):
    """The running agent of the workbench enforces while the context lasts.

    Args:
        running: the run to change.
        word: what everything that is to be contained holds.
        playbooks: promoted; by default those for every rule of the bundle.
        bundle: the rules, narrowed; by default those of the run.
    """

    def __init__(
        self,
        running: Running,
        word: str,
        playbooks: tuple[Playbook, ...] | None = None,
        bundle: Bundle | None = None,
    ) -> None:
        super().__init__(config.load(running.config).control_socket, word)
        self._running = running
        self._bench: Workbench = find_workbench(running.config.parent)
        self._before = running.bundle.read_bytes()
        self._bundle = bundle_codec.decode(dsse.decode(self._before).payload)
        self._playbooks = playbooks
        self._wanted = bundle if bundle is not None else self._bundle

    def __enter__(self) -> Self:
        chosen, wanted = self._playbooks, narrowed(self._wanted, self.word)
        if chosen is None:
            wanted = with_twins(wanted, self.word)
            chosen = playbooks_for(wanted)
        # Should this be cut short, the next start builds the rules anew.
        (self._bench.folder / SOURCE_MARK).unlink(missing_ok=True)
        try:
            self._offer(wanted, chosen, is_promoted=True)
            self.expect_enforcing(len(chosen))
        except BaseException:
            self._back()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._back()

    def _back(self) -> None:
        self._offer(self._bundle, (), is_promoted=False)

    def _offer(self, bundle: Bundle, playbooks: tuple[Playbook, ...], *, is_promoted: bool) -> None:
        keys = self._bench.keys
        signers = [identity.signer(keys / name) for name in (identity.RULES, identity.PLAYBOOKS)]
        counter = self._counter(int(time.time()))
        made = sealed_sets(bundle, playbooks, counter, *signers, is_promoted=is_promoted)
        self._running.bundle.write_bytes(made.bundle)
        self._bench.playbooks.write_bytes(made.playbooks)
        ask(self._socket, "reload", timeout_s=RELOAD_TIMEOUT_S)

    def _counter(self, now_s: int) -> int:
        """Above the one before, also within a second of it."""
        offered = dsse.decode(self._running.bundle.read_bytes())
        return max(now_s, bundle_codec.decode(offered.payload).counter + 1)


class SealedSets(NamedTuple):
    """Signed rules, and the signed playbooks that answer them."""

    bundle: bytes
    playbooks: bytes


def sealed_sets(
    bundle: Bundle,
    playbooks: tuple[Playbook, ...],
    counter: int,
    rules_key: Ed25519Signer,
    playbooks_key: Ed25519Signer,
    *,
    is_promoted: bool,
) -> SealedSets:
    """Sign rules with playbooks under one counter, for a day.

    Args:
        bundle: its counter and times are replaced.
        playbooks: for those rules.
        counter: of both.
        rules_key: that the device trusts for rules.
        playbooks_key: that it trusts for playbooks.
        is_promoted: whether the playbooks enforce.
    """
    now_s = int(time.time())
    made = replace(bundle, counter=counter, issued_s=now_s, expires_s=now_s + VALID_S)
    found = Playbooks(
        name="workbench",
        counter=counter,
        issued_s=now_s,
        expires_s=now_s + VALID_S,
        playbooks=playbooks,
        profiles=(_PROFILE,),
        promoted=tuple(one.digest for one in playbooks) if is_promoted else (),
        digest="",
    )
    return SealedSets(
        sealed(bundle_codec.PAYLOAD_TYPE, bundle_codec.encode(made), rules_key),
        sealed(playbook_codec.PAYLOAD_TYPE, playbook_codec.encode(found), playbooks_key),
    )


_LIMIT = Limit(Mode.ENFORCE, PER_HOUR, LASTS_S)
_PROFILE = DeviceProfile(
    "workbench", ("",), dict.fromkeys(("kill", "freeze", "quarantine", "block_peer"), _LIMIT)
)
