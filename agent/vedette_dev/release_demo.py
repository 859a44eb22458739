"""`python -m vedette_dev release-demo`: releases from the keys to the device, in one terminal.

Rule 1: every chapter ends with what the fleet heard: steps over MQTT, each signature verified.
Rule 2: a chapter whose end is not the expected one ends the demo with an error.
Rule 3: with `--json` the same chapters are one JSON line each, and nothing else is printed.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vedette.codec.strict_json import Json
from vedette.errors import DeviceError
from vedette.model.update import Cause, Step, UpdateReport
from vedette_dev.calls import call
from vedette_dev.reader import Reader
from vedette_dev.release_desk import Desk
from vedette_dev.release_device import Hardware, Steps, image
from vedette_dev.session import Session
from vedette_dev.terminal import BOLD, GREEN, GREY, RED, paint, say
from vedette_dev.workbench import Workbench, open_workbench

UPDATE_TIMEOUT_S = 90.0
WORD = "vedette-release-demo"
NEW_RULE = "5d0f7c1e-3a52-4b7e-9c15-6a1d0c3b9e77"
RULE = """\
title: A word that the demo looks for
id: {id}
status: experimental
description: Found once the release that brings it is in use
author: Vedette
logsource: {{category: process_creation, product: linux}}
detection:
  selection: {{CommandLine|contains: {word}}}
  condition: selection
level: medium
"""


@dataclass
class Chapter:
    """One part of the story.

    Attributes:
        name: for programs.
        title: for people.
        facts: what came of it.
        steps: what the fleet heard of it.
    """

    name: str
    title: str
    facts: dict[str, Json] = field(default_factory=dict)
    steps: list[UpdateReport] = field(default_factory=list)


class Demo:
    """The story, played once.

    Args:
        bench: where all of it lies.
        rules: that the device begins with.
        is_json: print JSON lines.
        is_short: only as far as the release of rules.
    """

    def __init__(
        self, bench: Workbench, rules: Path, *, is_json: bool, is_short: bool = False
    ) -> None:
        self._is_short = is_short
        self._bench, self._rules, self._is_json = bench, rules, is_json
        self._desk = Desk(bench.folder / "desk", bench.passing / "served", self._show)
        self._hardware = Hardware(bench.passing / "hardware")
        self._steps = Steps()
        self._began_s = time.monotonic()

    def play(self) -> None:
        """Play all chapters.

        Raises:
            DeviceError: one of them did not end as it should.
        """
        self._keys()
        self._repository()
        tables = self._hardware.tables(self._desk)
        with (
            Session(
                self._bench.folder,
                self._say,
                rules=self._rules,
                watch=(),
                prepare=self._prepare,
                tables=tables,
            ) as session,
            Reader(
                session.running, self._steps.hear_incident, on_update=self._steps.hear
            ) as reader,
        ):
            reader.await_device()
            self._chapters()

    def _chapters(self) -> None:
        self._new_rules()
        if self._is_short:
            return
        kept = self._desk.copy_served("kept")
        self._firmware("firmware-committed", "2.0", is_good=True)
        self._firmware("firmware-rolled-back", "3.0", is_good=False)
        self._model("model-refused", "1", weights="0.5 0.5", is_good=False)
        self._model("model-activated", "2", weights="2 3", is_good=True)
        self._replay(kept)

    # the operator's side

    def _keys(self) -> None:
        chapter = self._begin("keys", "Keys: the root's two count only together")
        self._desk.make_keys()
        chapter.facts["keys"] = [*sorted(path.stem for path in self._desk.keys.glob("*.pub"))]
        self._end(chapter)

    def _repository(self) -> None:
        chapter = self._begin("repository", "A repository: static files, each role with its key")
        self._desk.make_repository()
        self._small_rules(())
        self._first = self._desk.build_rules(self._desk.folder / "rules", 1)
        files = sorted(path.name for path in (self._desk.served / "metadata").iterdir())
        chapter.facts["metadata"] = [*files]
        self._end(chapter)

    def _prepare(self, bench: Workbench) -> None:
        """What a device is made with: root, trust document, and the rules of that day."""
        shutil.rmtree(bench.state, ignore_errors=True)
        bench.state.mkdir(mode=0o700)
        shutil.copyfile(self._desk.trust, bench.trust)
        shutil.copyfile(self._first, bench.bundle)

    def _small_rules(self, words: Sequence[str]) -> None:
        folder = self._desk.folder / "rules"
        if not folder.exists():
            shutil.copytree(self._rules, folder)
        for word in words:
            (folder / "demo.yml").write_text(RULE.format(id=NEW_RULE, word=word))
            (folder / "demo.match.yml").write_text(f"- {{CommandLine: /bin/echo {word}}}\n")
            (folder / "demo.nomatch.yml").write_text("- {CommandLine: /bin/echo hello}\n")

    # the device's side

    def _new_rules(self) -> None:
        chapter = self._begin("rules-live", "Rules: a release appears live, no restart")
        self._execute()
        was_found = self._steps.has_incident(NEW_RULE)
        self._small_rules((WORD,))
        bundle = self._desk.build_rules(self._desk.folder / "rules", 2)
        self._desk.release_rules(bundle)
        published_s = time.monotonic()
        self._update()
        chapter.facts["publish_to_active_s"] = round(time.monotonic() - published_s, 2)
        chapter.steps = self._steps.await_step(Step.TRIAL, "rules")
        self._execute()
        self._steps.await_incident(NEW_RULE)
        chapter.facts["found_before"], chapter.facts["found_after"] = was_found, True
        self._end(chapter)

    def _firmware(self, name: str, version: str, *, is_good: bool) -> None:
        title = (
            "Firmware: written beside the running one, tried, committed"
            if is_good
            else "Firmware: its service does not come up, so it goes back"
        )
        chapter = self._begin(name, title)
        path = self._desk.folder / f"camera-{version}.img"
        path.write_bytes(image(version, is_good=is_good))
        self._desk.release_firmware(path, version)
        self._update()
        chapter.facts["boots"] = self._start_anew()
        last = Step.COMMITTED if is_good else Step.ROLLED_BACK
        self._update("--by", "boot")
        chapter.steps = self._steps.await_step(last, "firmware")
        if not is_good:
            self._start_anew()
            self._update("--by", "boot")
        chapter.facts["running"] = self._hardware.version()
        expected = version if is_good else "2.0"
        if chapter.facts["running"] != expected:
            raise DeviceError(
                f"expected firmware {expected} to run, {self._hardware.version()} does"
            )
        self._end(chapter)

    def _model(self, name: str, version: str, *, weights: str, is_good: bool) -> None:
        title = (
            "A model: its golden test passes in the worker, and it is put into use"
            if is_good
            else "A model: its golden test fails in the worker, and it is refused"
        )
        chapter = self._begin(name, title)
        model, golden = self._desk.folder / f"model-{version}", self._desk.folder / "golden"
        model.mkdir()
        golden.mkdir(exist_ok=True)
        (model / "weights.txt").write_text(f"{weights}\n")
        (golden / "one.input.json").write_text("[1, 10]")
        (golden / "one.expected.json").write_text("[32.0]")
        self._desk.release_model(model, golden, version)
        self._update()
        last = (Step.COMMITTED, None) if is_good else (Step.REFUSED, Cause.GOLDEN)
        chapter.steps = self._steps.await_step(last[0], "model", last[1])
        self._end(chapter)

    def _replay(self, kept: Path) -> None:
        chapter = self._begin("replay-refused", "A mirror that plays an old state again")
        self._desk.serve_instead(kept)
        self._update()
        chapter.steps = self._steps.await_step(Step.REFUSED, "", Cause.OLDER)
        incident = self._steps.await_incident("vedette:update-older")
        info = incident["finding_info"]
        chapter.facts["incident"] = str(info["title"])
        chapter.facts["attacks"] = json.loads(json.dumps(info.get("attacks", [])))
        self._end(chapter)

    def _start_anew(self) -> str:
        slot = self._hardware.boot()
        self._say(f"          the device starts anew: the boot loader takes slot {slot}")
        return slot

    def _update(self, *more: str) -> None:
        """On the device: what its own schedule would do at some random time."""
        self._show(f"vedette update run {' '.join(more)}".rstrip())
        config = str(self._bench.config)
        argv = [sys.executable, "-I", "-m", "vedette.cli", "update", "run", "--config", config]
        done = call([*argv, *more], UPDATE_TIMEOUT_S)
        for line in done.stdout.splitlines():
            self._say(f"          {line}")
        if done.returncode not in {0, 1}:
            raise DeviceError(f"vedette update run: {done.stderr.strip() or done.returncode}")

    def _execute(self) -> None:
        subprocess.run(["/bin/echo", WORD], stdout=subprocess.DEVNULL, check=True)

    # telling

    def _begin(self, name: str, title: str) -> Chapter:
        self._say("")
        self._say(paint(title, BOLD) if not self._is_json else title)
        return Chapter(name, title)

    def _end(self, chapter: Chapter) -> None:
        words = " > ".join(str(one.step) for one in chapter.steps)
        if self._is_json:
            steps: list[Json] = [
                {
                    "step": str(one.step), "kind": str(one.kind or ""), "name": one.name,
                    "version": one.version, "counter": one.counter, "cause": str(one.cause),
                    "reason": one.reason,
                }
                for one in chapter.steps
            ]  # fmt: skip
            at_s = round(time.monotonic() - self._began_s, 2)
            line = {"chapter": chapter.name, "ok": True, "at_s": at_s, "steps": steps}
            print(json.dumps({**line, "facts": chapter.facts}), flush=True)
            return
        if words:
            say(f"  {paint('fleet', GREEN)}   {words}")
        for name, value in chapter.facts.items():
            say(f"          {name.replace('_', ' ')}: {_shown(value)}")

    def _say(self, line: str) -> None:
        if not self._is_json:
            say(line)

    def _show(self, command: str) -> None:
        self._say(paint(f"  $ {command}", GREY))


def run(folder: Path, rules: Path, *, is_json: bool, is_short: bool = False) -> int:
    """Play it.

    Args:
        folder: of the demo.
        rules, is_json, is_short: as `Demo` has them.

    Raises:
        VedetteError: a chapter did not end as it should.
    """
    if os.geteuid() != 0:
        raise DeviceError(
            "the demo needs root: its updater, installer and worker become users of their own; "
            "run: sudo make release-demo"
        )
    began_s = time.monotonic()
    demo = Demo(open_workbench(folder), rules, is_json=is_json, is_short=is_short)
    try:
        demo.play()
    except DeviceError as error:
        if is_json:
            print(json.dumps({"chapter": "failed", "ok": False, "reason": str(error)}), flush=True)
        else:
            say(paint(f"it did not end as it should: {error}", RED))
        raise
    if not is_json:
        say("")
        say(paint(f"all of it in {time.monotonic() - began_s:.0f} s", BOLD))
    return 0


def _shown(value: Json) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
