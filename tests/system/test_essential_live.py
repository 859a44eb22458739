"""An essential function of a real device: probed, never touched, and what breaks it is undone."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.system._site import Running, Site, rule
from tests.system.test_defence_live import QUIET, entries, playbook

from vedette.model.playbook import Step
from vedette.model.rule import Match

pytestmark = [pytest.mark.system, pytest.mark.usefixtures("as_root")]

CHANGED = rule("changed", "file_event", Match("TargetFilename", "endswith", ".model", False))
HIDE = playbook("hide", "changed", Step("quarantine", "file", 3600))


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path, sensors=QUIET)
    yield made
    shutil.rmtree(made.run, ignore_errors=True)


def matches(site: Site) -> int:
    """How often a rule has matched so far."""
    rows = site.ask("status")["ledger"]
    return sum(int(row["out"]) for row in rows if row["stage"] == "engine")


def test_a_response_that_breaks_it_is_undone_at_once_and_its_playbook_observes(site: Site) -> None:
    model = site.watched / "camera.model"
    model.write_text("one")
    site.write_config(
        f'[essential]\nevery_s = 5\n[essential.camera]\ncommand = ["/bin/sh", "-c", '
        f'"test -e {model}"]\nuser = "0"\n'
    )
    site.offer(CHANGED)
    site.offer_playbooks(HIDE, promoted=True)
    with Running(site):
        site.until(lambda: site.ask("status")["essential"]["functions"][0]["up"] is True)
        model.write_text("two")
        found = site.until_incident("vedette:response-broke-essential")
        assert "camera" in str(found)
        (undone,) = site.until(lambda: entries(site, phase="undone"))
        assert undone["status"] == "undone", undone
        assert model.read_text() == "two"
        assert site.ask("status")["defence"]["enforcing"] == []
        before = matches(site)
        model.write_text("three")
        site.until(lambda: matches(site) > before)
        assert site.ask("responses.list")["active"] == []
        assert model.read_text() == "three"


def test_what_it_needs_is_never_touched(site: Site) -> None:
    model = site.watched / "camera.model"
    site.write_config(f'[essential.camera]\nport = 1\npaths = ["{model}"]\n')
    site.offer(CHANGED)
    site.offer_playbooks(HIDE, promoted=True)
    with Running(site):
        model.write_text("one")
        outcomes = site.until(lambda: entries(site, phase="outcome"))
        assert {one["status"] for one in outcomes} == {"refused"}, outcomes
        assert model.read_text() == "one"
