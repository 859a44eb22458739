"""Sends a signed command over MQTT and shows what devices answer."""

from __future__ import annotations

import argparse
import json
import queue
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from vedette.cli._files import replace_file
from vedette.cli._fleet_command import words
from vedette.cli._fleet_listener import Acknowledged, Arrived, Listener
from vedette.cli._fleet_options import read_registry
from vedette.codec import command as codec
from vedette.codec import receipt, strict_json, topics
from vedette.codec.text import escape
from vedette.core.answers import Answered, Answers
from vedette.errors import ParseError, RequestError, UplinkError
from vedette.model.command import Audience, Command, ReceiptStatus, Verb
from vedette.trust.ed25519 import Ed25519Verifier

CONNECT_TIMEOUT_S = 20.0
PARTS_TIMEOUT_S = 60.0
"""Evidence comes in parts behind its receipt; a slow link takes a while for them."""

_MAX_WAITING = 10_000
_REFUSED_FROM = 0x80
_NOBODY_LISTENS = 0x10  # MQTT 5.0 3.4.2.1
_STATUS_WIDTH = 8


def send(args: argparse.Namespace, command: Command, data: bytes) -> int:
    """Publish a command, wait for receipts, and print them; returns the exit code.

    Raises:
        RequestError: the device is not in the registry: nobody could verify its answer.
        UplinkError: the broker cannot be reached, or refuses.
    """
    audience = command.audience
    registry = read_registry(args.registry)
    if not audience.is_group and (audience.tenant, audience.name) not in registry:
        raise RequestError(
            f"{audience.tenant}/{audience.name} is not in {args.registry}: its receipt could not "
            "be verified; enroll it first"
        )
    answers = Answers(audience, codec.digest(data), registry, Ed25519Verifier())
    arrived: queue.Queue[Arrived] = queue.Queue(_MAX_WAITING)
    listener = Listener(args.host, args.port, _filters(audience), arrived)
    listener.begin(args.ca, args.certificate, args.key)
    try:
        if not listener.is_listening.wait(CONNECT_TIMEOUT_S):
            raise UplinkError(f"{args.host}:{args.port}: {_first_text(arrived)}")
        _remark(words(command))
        topic = topics.for_commands(audience.tenant, audience.name, is_group=audience.is_group)
        valid_s = max(1, command.expires_s - int(time.time()))
        listener.publish(topic, data, codec.CONTENT_TYPE, valid_s)
        wanted = args.expect if audience.is_group else 1
        _gather(args, answers, arrived, wanted)
        if command.verb == Verb.COLLECT:
            _gather_evidence(args, answers, arrived)
    finally:
        listener.end()
    return _exit_code(args, answers)


def _filters(audience: Audience) -> tuple[str, ...]:
    device = "+" if audience.is_group else audience.name
    return tuple(
        f"{topics.ROOT}/{audience.tenant}/{device}/{suffix}"
        for suffix in (topics.RECEIPT, topics.COLLECTED)
    )


def _gather(
    args: argparse.Namespace, answers: Answers, arrived: queue.Queue[Arrived], wanted: int
) -> None:
    for found in _until(arrived, args.wait):
        if isinstance(found, Acknowledged):
            _check(found)
        elif isinstance(found, str):
            _remark(found)
        else:
            _take(args, answers.handle(found))
        if len(answers.receipts) >= wanted:
            return


def _gather_evidence(
    args: argparse.Namespace, answers: Answers, arrived: queue.Queue[Arrived]
) -> None:
    """Devices that said that they send parts have so long to do it; then what came is written."""
    senders = [d for d, r in answers.receipts.items() if r.status is ReceiptStatus.DONE]
    if any(answers.missing_parts(device) for device in senders):
        for found in _until(arrived, PARTS_TIMEOUT_S):
            if not isinstance(found, str | Acknowledged):
                _take(args, answers.handle(found))
            if not any(answers.missing_parts(device) for device in senders):
                break
    for device in senders:
        _write_evidence(args, answers, device)


def _write_evidence(args: argparse.Namespace, answers: Answers, device: str) -> None:
    missing = answers.missing_parts(device)
    if missing:
        parts = answers.receipts[device].facts.get("parts", "?")
        raise UplinkError(
            f"{device}: {len(missing)} of {parts} parts of the evidence did not come; collect again"
        )
    try:
        document = answers.evidence(device)
    except ParseError as error:
        raise UplinkError(f"{device}: {error}; collect again") from error
    path = args.output or Path(f"evidence-{device}-{answers.command[:16]}.json")
    if args.output is not None and len(answers.receipts) > 1:
        path = path.with_name(f"{path.stem}-{device}{path.suffix}")
    replace_file(path, strict_json.canonical(document) + b"\n")
    _remark(f"{device}: the evidence is in {path}")


def _until(arrived: queue.Queue[Arrived], wait_s: float) -> Iterator[Arrived]:
    """What arrives within so many seconds."""
    ends_s = time.monotonic() + wait_s
    while (left_s := ends_s - time.monotonic()) > 0:
        try:
            yield arrived.get(timeout=left_s)
        except queue.Empty:
            return


def _take(args: argparse.Namespace, answer: Answered | str) -> None:
    if isinstance(answer, str):
        if answer:
            _remark(answer)
    elif args.json:
        found = {"device": answer.device, **receipt.plain(answer.receipt)}
        print(json.dumps(found, sort_keys=True, ensure_ascii=True), flush=True)
    else:
        print(_line(answer), flush=True)


def _line(answer: Answered) -> str:
    found = answer.receipt
    facts = ", ".join(f"{name} {text}" for name, text in sorted(found.facts.items()) if text)
    line = f"{answer.device}  {found.status:<{_STATUS_WIDTH}}  {escape(found.detail)}"
    return f"{line}  ({escape(facts)})" if facts else line


def _check(found: Acknowledged) -> None:
    if found.reason_code >= _REFUSED_FROM:
        raise UplinkError(
            f"the broker refuses the command: {found.words}; check what this operator may publish"
        )
    if found.reason_code == _NOBODY_LISTENS:
        _remark("no device listens there now; the broker does not keep it for one it never saw")


def _exit_code(args: argparse.Namespace, answers: Answers) -> int:
    if not answers.receipts:
        _remark(f"no device answered within {args.wait} s: it may be off, and do it later")
        return 2
    statuses = {found.status for found in answers.receipts.values()}
    return 0 if statuses == {ReceiptStatus.DONE} else 1


def _first_text(arrived: queue.Queue[Arrived]) -> str:
    texts = [found for found in list(arrived.queue) if isinstance(found, str)]
    return texts[0] if texts else f"no answer within {CONNECT_TIMEOUT_S:g} s"


def _remark(text: str) -> None:
    """What is about the sending goes to stderr: stdout is for what devices say."""
    print(f"vedette fleet: {escape(text)}", file=sys.stderr, flush=True)
