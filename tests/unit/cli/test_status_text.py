"""The status as text: golden for a degraded agent, and unharmed by answers of any shape."""

from __future__ import annotations

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.simulators.examples import examples

from vedette.cli._status_text import Table, is_well, render
from vedette.cli._terminal import Painter

ANSWER: Table = {
    "version": "0.1.0",
    "device": "router-17",
    "tenant": "acme",
    "pid": 4711,
    "uptime_s": 7320.4,
    "memory": {"rss_kb": 30_000, "pss_kb": 20_000},
    "tiers": [
        {"class": "process", "tier": "audit", "sees": "every exec", "misses": ["a", "b"]},
        {"class": "log", "tier": "", "sees": "", "misses": ["everything"]},
    ],
    "ledger": [
        {"stage": "audit", "class": "process", "in": 1200, "out": 1200, "dropped": 0, "losses": 0},
        {"stage": "core", "class": "file", "in": 7, "out": 7, "dropped": 12, "losses": 2},
    ],
    "journal": {
        "epoch": 2, "size": 301, "pending": 4, "bytes_used": 120_000, "bytes_limit": 16_777_216,
        "dropped": 0, "degraded": True, "reason": "No space left\x1b[2J",
    },
    "uplink": {
        "state": "down", "reason": "connection refused", "delivered": 17, "newest": 21,
        "spent_bytes": 34_100, "budget_bytes": 1_000_000,
        "conditions": {"uplink-down": "connection refused", "uplink-budget": "used\x07up"},
    },
    "rules": {
        "bundle": "base", "counter": 3, "rules": 31, "expires_s": 0, "reason": "",
        "muted": [{"title": "Loud\x07"}, {"title": "b"}, {"title": "c"}, {"title": "d"}],
    },
    "profile": {
        "state": "in force", "name": "cam\x07", "counter": 4, "drift": 2, "expired": True,
        "reason": "",
    },
    "defence": {
        "playbooks": {"count": 5, "reason": "sig\x07nature"}, "mode": "enforce", "profile": "home",
        "enforcing": ["a", "b"], "active": 3, "responders": [],
    },
    "learning": {"state": "learning", "elapsed_s": 60, "wanted_s": 7200, "left_out": {"peers": 3}},
    "essential": {
        "functions": [
            {"name": "stream", "up": True, "detail": "active"},
            {"name": "web\x07", "up": False, "detail": "refused"},
        ],
        "problem": "",
    },
    "incidents_open": 1,
}  # fmt: skip

GOLDEN = """\
acme/router-17  vedette 0.1.0, up 2 h 2 min, pid 4711, 20 MB of memory (sentinel, PSS), \
1 open incident(s)

sources
  process  audit    every exec   misses 2 kind(s)
  log      nothing  not watched

rules, profile, defence, journal, uplink
  rules      31 of bundle base, counter 3; muted for a while: Loud\\x07, b, c and 1 more
  profile    in force: cam\\x07, counter 4, 2 thing(s) left it: vedette profile drift; past its date
  learning   learning, 1 min of 2 h; some of it had no room: vedette learn status
  defence    5 playbooks, 2 enforce; 3 in force: vedette responses list; sig\\x07nature
  essential  1 of 2 work; web\\x07 does not: refused
  journal    301 entries in epoch 2, 120 kB of 17 MB, 0 dropped; in memory only; No space left\\e[2J
  uplink     down, 4 waiting, delivered up to 17, 34 kB of 1.0 MB sent today; \
connection refused; uplink-budget: used\\x07up

events: in, out, dropped
  audit  process  1200  1200   0
  core   file        7     7  12  2 loss(es)

why a source is no better: vedette doctor     what happened: vedette incidents list"""


def test_the_text_as_a_whole() -> None:
    assert "\n".join(render(ANSWER, Painter(is_coloured=False))) == GOLDEN


def well() -> Table:
    answer = copy.deepcopy(ANSWER)
    answer["tiers"] = [{"class": "process", "tier": "audit"}]
    answer["ledger"] = []
    answer["journal"] = {"degraded": False}
    answer["uplink"] = {"state": "up"}
    answer["essential"] = {"functions": [{"name": "stream", "up": None}]}
    return answer


WORSE = {
    "a blind class": {"tiers": [{"class": "log", "tier": ""}]},
    "dropped events": {"ledger": [{"dropped": 1}]},
    "a loss of unknown size": {"ledger": [{"dropped": 0, "losses": 1}]},
    "a journal in memory": {"journal": {"degraded": True}},
    "a closed way out": {"uplink": {"state": "down"}},
    "a way out with a condition": {
        "uplink": {"state": "up", "conditions": {"uplink-refused": "x"}}
    },
    "an essential function that is down": {"essential": {"functions": [{"up": False}]}},
    "no rules": {"rules": {"rules": 0}},
    "a profile of another firmware": {"profile": {"state": "stale"}},
    "a profile refused": {"profile": {"state": "none", "reason": "a foreign key"}},
}


@pytest.mark.parametrize("name", WORSE)
def test_what_asks_for_a_person(name: str) -> None:
    assert is_well(well())
    assert not is_well({**well(), **WORSE[name]})  # type: ignore[dict-item] # tables of tables


ODD = "a\n\x1b\u202e\ud800"
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text("a\n\x1b\u202e\ud800", max_size=3),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(["class", "tier", "stage", "state", "size"]), inner, max_size=3
        )
    ),
    max_leaves=5,
)


@examples(1)
@given(st.dictionaries(st.sampled_from(sorted(ANSWER)), VALUES, max_size=4))
def test_an_answer_of_any_shape_is_shown(answer: Table) -> None:
    assert all("\n" not in line for line in render(answer, Painter(is_coloured=False)))
    is_well(answer)
