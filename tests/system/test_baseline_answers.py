"""`vedette baseline` from the request to the store, with a real scan in between."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.system._watching import Seen, context

from vedette.codec.strict_json import Json
from vedette.daemon.baseline_answers import BaselineAnswers
from vedette.errors import RequestError
from vedette.sensors.scan import ScanSensor
from vedette.store.baseline import SqliteBaseline

Ask = Callable[[str, dict[str, Json]], Awaitable[Any]]
Story = Callable[[Ask, ScanSensor], Awaitable[None]]


def play(tmp_path: Path, story: Story) -> list[dict[str, Any]]:
    """Let a story ask; returns what was noted in the journal."""
    (tmp_path / "state").mkdir()
    (tmp_path / "tree").mkdir(exist_ok=True)
    noted: list[dict[str, Any]] = []
    baseline = SqliteBaseline(tmp_path / "state")
    baseline.open()

    async def run() -> None:
        given = replace(context(Seen(), tmp_path, tmp_path / "tree"), baseline=baseline)
        sensor = ScanSensor(given)
        answers = BaselineAnswers(
            baseline, lambda: sensor, lambda kind, body: noted.append({kind: json.loads(body)})
        ).handlers()
        await sensor.open()
        try:
            await story(lambda do, params: answers[f"baseline.{do}"](params), sensor)
        finally:
            await sensor.close()

    try:
        asyncio.run(run())
    finally:
        baseline.close()
    return noted


def test_from_trust_on_first_use_to_an_accepted_difference(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "kept").write_text("x")

    async def story(ask: Ask, sensor: ScanSensor) -> None:
        with pytest.raises(RequestError, match="no scan has ended yet"):
            await ask("diff", {})
        assert await ask("scan", {}) == {"scan_number": 1}
        assert (await ask("show", {}))["scanning"] is True
        await sensor.scan("wait")
        shown = await ask("show", {})
        assert (shown["files"], shown["scan"]["first"], len(shown["digest"])) == (2, True, 64)
        (tree / "new").write_text("y")
        (tree / "ne\udcffw").write_text("y")
        (tree / "kept").unlink()
        await sensor.scan("again")
        assert (await ask("state", {}))["scan"]["number"] == 2
        found = await ask("diff", {})
        assert {(d["change"], d["path"]) for d in found["differences"]} == {
            ("added", f"{tree}/new"),
            ("added", f"{tree}/ne\udcffw"),
            ("removed", f"{tree}/kept"),
        }
        assert (await ask("diff", {"limit": 1}))["total"] == 3
        accepted = await ask("accept", {"paths": [f"{tree}/new", f"{tree}/kept"]})
        assert (accepted["accepted"], accepted["removed"]) == (1, 1)
        assert accepted["digest"] != shown["digest"]
        await ask("accept", {"paths": [f"{tree}/ne\\xffw"]})  # as people were shown it
        assert (await ask("diff", {}))["differences"] == []
        await sensor.scan("last")
        assert (await ask("diff", {}))["total"] == 0

    noted = play(tmp_path, story)
    assert [entry["baseline"]["accepted"] for entry in noted] == [1, 1]
    assert noted[0]["baseline"]["digest_after"] == noted[1]["baseline"]["digest_before"]


REFUSED: dict[str, dict[str, Json]] = {
    "expected paths to accept": {},
    "not both": {"paths": ["/etc"], "all": True},
    "no such difference": {"paths": ["/nowhere"]},
    "absolute paths": {"paths": ["etc"]},
    "a list": {"paths": "/etc"},
    "got 5": {"paths": [5]},
}


def test_a_careless_acceptance_is_refused_with_what_to_do(tmp_path: Path) -> None:
    async def story(ask: Ask, sensor: ScanSensor) -> None:
        await sensor.scan("start")
        for words, params in REFUSED.items():
            with pytest.raises(RequestError, match=words):
                await ask("accept", params)

    assert play(tmp_path, story) == []


def test_without_a_scan_sensor_it_points_to_doctor(tmp_path: Path) -> None:
    answers = BaselineAnswers(SqliteBaseline(tmp_path), lambda: None, lambda *_: None)
    with pytest.raises(RequestError, match="vedette doctor"):
        asyncio.run(_call(answers))


async def _call(answers: BaselineAnswers) -> None:
    await answers.handlers()["baseline.show"]({})
