"""Steps of updates and the state of releases, for people."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from vedette.codec import update_report
from vedette.codec.text import escape, human_age
from vedette.errors import DeviceError, ParseError

if TYPE_CHECKING:
    from vedette.codec.strict_json import Json
    from vedette.daemon.config import Config
    from vedette.model.update import UpdateReport

_STEP = 11


def live(line: str) -> str:
    """A step as the installer said it."""
    try:
        found = json.loads(line)
        is_recorded = found.pop("recorded", True)
        report = update_report.parse(found)
    except (ValueError, AttributeError, ParseError):
        return escape(line)
    later = "" if is_recorded else "  (kept, to be journalled when the agent runs)"
    return _line(report) + later


def journalled(document: Json) -> str:
    """A step as the journal has it."""
    try:
        report, _ = update_report.parse_document(document)
    except ParseError as error:
        return f"an entry that cannot be read: {error}"
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(report.happened_s))
    return f"{when}  {_line(report)}  by {escape(report.by)}"


def status(config: Config) -> dict[str, Any]:
    """The last look, and what the running agent says of what it uses."""
    from vedette.daemon.control_client import ask  # noqa: PLC0415 (not for --help)
    from vedette.daemon.installer.memory import Memory  # noqa: PLC0415

    found: dict[str, Any] = {
        "enabled": config.updates.enabled,
        "source": config.updates.source,
        "every_m": config.updates.every_m,
        "hardware": list(config.updates.hardware),
        "look": Memory(config.updates_folder).look._asdict(),
    }
    try:
        found["rules"] = ask(config.control_socket, "status").get("rules")
        found["agent"] = ""
    except DeviceError as error:
        found["rules"], found["agent"] = None, str(error)
    if config.firmware.backend:
        found["firmware"] = _firmware(config)
    return found


def _firmware(config: Config) -> dict[str, Any] | None:
    from vedette.daemon.installer.firmware_around import state_folder  # noqa: PLC0415
    from vedette.store.firmware import peek  # noqa: PLC0415

    record = peek(state_folder(config))
    if record is None:
        return None
    return {
        "state": str(record.state), "release": record.release.title if record.release else "",
        "slot": record.slot, "running": record.running._asdict(),
        "window_left_s": record.window_left_s, "reason": record.reason,
    }  # fmt: skip


def status_lines(found: dict[str, Any]) -> Iterator[str]:
    """The same, for people."""
    look = found["look"]
    source = escape(found["source"]) or "none"
    yield f"source    {source}" + ("" if found["enabled"] else " (updates are not enabled)")
    yield f"schedule  {_schedule(found['every_m'])}"
    yield f"last look {_look(look)}"
    if look["expires_s"]:
        left_s = look["expires_s"] - time.time()
        word = f"for {human_age(left_s)} more" if left_s > 0 else "no more: it has expired"
        yield f"trusted   what the repository said is fresh {word}"
    rules = found["rules"]
    if rules is None:
        yield f"agent     {escape(found['agent'])}"
    else:
        trial = ", on trial" if rules.get("trial_left_s") else ""
        yield f"rules     {rules['rules']} with counter {rules['counter']}{trial}"

    if "firmware" in found:
        yield f"firmware  {_standing(found['firmware'])}"


def _standing(firmware: dict[str, Any] | None) -> str:
    if firmware is None or not firmware["release"]:
        return "as the device was made with"
    words = f"{firmware['state'].replace('_', ' ')}: {escape(firmware['release'])}"
    if firmware["window_left_s"]:
        words += f", can be rolled back for {human_age(firmware['window_left_s'])} of running time"
    return f"{words}: {escape(firmware['reason'])}" if firmware["reason"] else words


def _schedule(every_m: int) -> str:
    return f"every {human_age(every_m * 60)}, at random times" if every_m else "only when asked"


def _look(look: dict[str, Any]) -> str:
    if not look["result"]:
        return "never"
    ago = human_age(time.time() - look["at_s"])
    reason = f": {escape(look['reason'])}" if look["reason"] else ""
    return f"{ago} ago, {look['result']}{reason}"


def _line(report: UpdateReport) -> str:
    words = f"{report.step:<{_STEP}}  {escape(report.title)}"
    why = ": ".join(filter(None, (report.cause, report.reason)))
    return f"{words}  {escape(why)}" if why else words
