"""Answers the installer about a firmware on trial; the sentinel does what only it can do.

do | with | ok
-- | ---- | --
update.manifest | | {done: text}: carries out what daemon/firmware_baseline.py is asked for
update.probe | | {probes: [{name, up, detail}]}: essential functions and [firmware.health], once

Rule: both read or change what is the sentinel's: the installer has neither network nor baseline.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from vedette.codec.ocsf import canonical
from vedette.codec.strict_json import Json
from vedette.daemon.control import Answer
from vedette.daemon.essentials import ask_prober
from vedette.daemon.firmware_baseline import FirmwareBaseline
from vedette.errors import DeviceError, ParseError, RequestError

if TYPE_CHECKING:
    from vedette.daemon.parts import Parts


async def answer(parts: Parts, name: str) -> Answer:
    """Answer `update.NAME`.

    Raises:
        RequestError: it could not be done.
    """
    return await (_manifest(parts) if name == "manifest" else _probe(parts))


async def _manifest(parts: Parts) -> Answer:
    baseline = FirmwareBaseline(parts.baseline, parts.config.firmware_folder)
    try:
        done, before, after = await asyncio.to_thread(_carry_out, parts, baseline)
    except (DeviceError, ParseError) as error:
        raise RequestError(f"the baseline stays as it is: {error}") from error
    if before != after:
        parts.scanning.changed()
        noted: dict[str, Json] = {
            "firmware": done, "digest_before": before, "digest_after": after,
        }  # fmt: skip
        parts.shell.note("baseline", canonical(noted))
    return {"done": done}


def _carry_out(parts: Parts, baseline: FirmwareBaseline) -> tuple[str, str, str]:
    before = parts.baseline.digest()
    done = baseline.carry_out()
    return done, before, parts.baseline.digest() if done else before


async def _probe(parts: Parts) -> Answer:
    config = parts.config
    functions = (*config.essential.functions, *config.firmware.health)
    if not functions:
        return {"probes": []}
    try:
        found = await ask_prober(functions)
    except (DeviceError, ParseError, OSError) as error:
        raise RequestError(f"nothing could be probed: {error}") from error
    probes: list[Json] = [
        {"name": one.name, "up": one.is_up, "detail": one.detail} for one in found
    ]
    return {"probes": probes}
