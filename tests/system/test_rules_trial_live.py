"""A new bundle in a running sentinel: given back for what it does, one step, told and kept so."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.system._site import Running, Site, rule

from vedette.errors import RequestError
from vedette.model.rule import Match, Rule
from vedette.trust.content_gate import MAX_STARTS

pytestmark = pytest.mark.system

QUIET = (
    '[sensors]\ndisable = ["ebpf", "audit", "proc_connector", "conntrack", "fanotify", "journald"]'
)
SLOW_NAME = "hostile-" + "a" * 29 + "!"
"""A careless pattern looks at it for seconds."""


def named(rule_id: str, word: str) -> Rule:
    return rule(rule_id, "file_event", Match("TargetFilename", "contains", word, is_cased=False))


OLD = named("old", "found-by-old")
SLOW = rule("slow", "file_event", Match("TargetFilename", "re", "hostile-(a|aa)+$", is_cased=True))


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path, sensors=QUIET)
    made.offer(OLD)
    yield made
    shutil.rmtree(made.run, ignore_errors=True)


def steps(site: Site) -> list[tuple[str, str]]:
    """Steps of rules and their causes, oldest first."""
    found: list[dict[str, Any]] = site.ask("update.history", limit=50)["steps"]
    told = [one["unmapped"]["update"] for one in reversed(found)]
    return [(one["step"], one["cause"]) for one in told]


def counter(site: Site) -> int:
    return int(site.ask("status")["rules"]["counter"])


def test_a_careless_pattern_gives_its_bundle_back_and_it_stays_so(site: Site) -> None:
    with Running(site):
        before = counter(site)
        bad = site.offer(OLD, SLOW)
        site.ask("reload")
        assert counter(site) == before + 1
        assert site.ask("status")["rules"]["trial_left_s"] > 0
        (site.watched / SLOW_NAME).touch()
        finding = site.until_incident("vedette:update-budget")
        assert "'Rule slow', which it brought" in str(finding["evidences"])
        assert site.until(lambda: steps(site) if len(steps(site)) > 1 else None) == [
            ("trial", ""), ("rolled-back", "budget"),
        ]  # fmt: skip
        assert counter(site) == before
        (site.watched / "found-by-old").touch()
        site.until_incident("old")
        site.bundle.write_bytes(bad)
        site.ask("reload")
        assert counter(site) == before
        assert "given back" in site.ask("status")["rules"]["reason"]
    with Running(site):
        assert counter(site) == before
        assert site.find("vedette:rules-mended") is None
        site.offer(OLD, named("new", "found-by-new"))
        site.ask("reload")
        assert counter(site) == before + 2, "a higher counter ends it"


def test_a_bundle_that_ends_the_agent_again_and_again_is_given_back(site: Site) -> None:
    with Running(site):
        before = counter(site)
        site.offer(OLD, named("new", "found-by-new"))
        site.ask("reload")
    for _ in range(MAX_STARTS):
        with Running(site) as running:
            assert counter(site) == before + 1
            running.stop(signal.SIGKILL)
    with Running(site):
        assert counter(site) == before
        assert steps(site)[-1] == ("rolled-back", "health")
        site.until_incident("vedette:update-health")


def test_a_person_has_the_rules_before_back_once(site: Site) -> None:
    with Running(site):
        before = counter(site)
        site.offer(OLD, named("new", "found-by-new"))
        site.ask("reload")
        answer = site.ask("update.rollback", by="control", reason="they miss what we need")
        assert (answer["counter"], counter(site)) == (before, before)
        with pytest.raises(RequestError, match="no rules bundle is kept from before"):
            site.ask("update.rollback", by="control", reason="once more")
        assert steps(site)[-1] == ("rolled-back", "operator")
        assert site.find("vedette:update-budget") is None
