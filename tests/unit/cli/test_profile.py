"""`vedette learn` and `vedette profile` as a person uses them, without an agent."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from vedette.cli import _profile_text, learn
from vedette.cli._command_line import main
from vedette.codec import dsse
from vedette.codec.profile import decode, decode_draft, encode_draft
from vedette.codec.strict_json import Json
from vedette.daemon import control_client
from vedette.model.profile import (
    Learnt,
    LeftOut,
    Listener,
    Origin,
    Pair,
    Peer,
    Profile,
    Program,
)
from vedette.trust.keyfile import create_signer

LEARNT = Learnt(
    (Program("/app", ("ab" * 32,)),),
    (Pair("/init", "/app"),),
    (Listener("/app", "tcp", 80), Listener("/app", "udp", 0)),
    (Peer("", "udp", "9.9.9.9", 53), Peer("/app", "tcp", "cloud.example", 0)),
)


def draft(learnt: Learnt = LEARNT, *, firmware: str = "os 1") -> Profile:
    return Profile("", 0, 0, 0, "camera", firmware, Origin("cam-1", 5, 3600, 1, 0), learnt, "")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    create_signer(tmp_path / "key")
    (tmp_path / "draft").write_bytes(encode_draft(draft()))
    return tmp_path


def run(*words: str | Path) -> int:
    return main([str(word) for word in words])


def signed(folder: Path, *more: str) -> int:
    return run(
        "profile", "sign", folder / "draft", "-o", folder / "signed", "--key", folder / "key",
        "--counter", "3", *more,
    )  # fmt: skip


def test_a_signed_profile_is_the_draft_with_numbers(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1800000000")
    assert signed(folder, "--name", "cam", "--expires-days", "2") == 0
    assert "class camera" in capsys.readouterr().out
    profile = decode(dsse.decode((folder / "signed").read_bytes()).payload)
    assert (profile.name, profile.counter, profile.learnt) == ("cam", 3, LEARNT)
    assert (profile.issued_s, profile.expires_s) == (1_800_000_000, 1_800_172_800)
    first = (folder / "signed").read_bytes()
    assert signed(folder, "--name", "cam", "--expires-days", "2") == 0
    assert (folder / "signed").read_bytes() == first, "the same draft and key, the same bytes"
    assert run("profile", "diff", folder / "draft", folder / "signed") == 0
    assert run("profile", "show", folder / "signed") == 0
    shown = capsys.readouterr().out
    for words in ("cam, counter 3", "/init -> /app", "/app udp ephemeral", "(any program) -> 9.9",
                  "/app -> cloud.example tcp any port", "not checked"):  # fmt: skip
        assert words in shown


def test_a_difference_is_told_entry_by_entry(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    newer = LEARNT._replace(pairs=(Pair("/app", "/sh"),))
    (folder / "newer").write_bytes(encode_draft(draft(newer, firmware="os 2")))
    assert run("profile", "diff", folder / "draft", folder / "newer", "--json") == 1
    assert json.loads(capsys.readouterr().out) == [
        "~ firmware: os 1 -> os 2", "- starts: /init -> /app", "+ starts: /app -> /sh",
    ]  # fmt: skip


def test_a_draft_with_gaps_is_signed_only_if_that_is_meant(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gaps = LEARNT._replace(left_out=LeftOut(programs=7))
    (folder / "draft").write_bytes(encode_draft(draft(gaps)))
    assert signed(folder) == 2
    assert "7 programs were left out" in capsys.readouterr().err
    assert not (folder / "signed").exists()
    assert signed(folder, "--accept-gaps") == 0


def test_what_is_no_draft_is_refused_with_what_to_do(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "draft").write_text("{}")
    assert signed(folder) == 2
    assert "as vedette learn write makes it" in capsys.readouterr().err
    assert run("profile", "show", folder / "nothing") == 2
    assert signed(folder, "--counter", "0") == 2


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("30m", 1800), ("7d", 604_800)])
def test_times(text: str, seconds: int) -> None:
    assert learn.duration(text) == seconds


@pytest.mark.parametrize("text", ["", "h", "0h", "-1h", "1w", "1.5h", "72", "9" * 9 + "s"])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="such as 90m"):
        learn.duration(text)


RUN: dict[str, Json] = {
    "state": "learning", "device": "cam-1", "class": "camera", "firmware": "os 1", "from": 5,
    "elapsed_s": 60, "wanted_s": 7200, "starts": 0, "losses": 2, "written": False, "programs": 3,
    "pairs": 2, "listeners": 1, "peers": 0, "left_out": {"peers": 4},
}  # fmt: skip


class Agent:
    """Answers in the agent's place."""

    def __init__(self, answers: dict[str, dict[str, Json]]) -> None:
        self.answers = answers
        self.asked: list[tuple[str, dict[str, Json]]] = []

    def ask(self, _: Path, do: str, params: dict[str, Json] | None = None) -> dict[str, Json]:
        self.asked.append((do, dict(params or {})))
        return self.answers[do]


def agent(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, answers: dict[str, dict[str, Json]]
) -> Agent:
    made = Agent(answers)
    monkeypatch.setattr(control_client, "ask", made.ask)
    (tmp_path / "v.toml").write_text('[device]\nid = "x"\n')
    monkeypatch.setenv("VEDETTE_CONFIG", str(tmp_path / "v.toml"))
    return made


def test_a_run_says_how_far_it_is_and_what_is_missing() -> None:
    text = "\n".join(_profile_text.run_lines(RUN))
    for words in ("learning on os 1: 1 min of 2 h", "3 programs, 2 starts", "start it anew once",
                  "lost on 2 occasions", "left out: 4 peers"):  # fmt: skip
        assert words in text
    done = "\n".join(_profile_text.run_lines({**RUN, "state": "done", "starts": 1}))
    assert "not written yet" in done
    assert "start it anew" not in done
    hostile = _profile_text.run_lines({"state": "learning", "firmware": "\x1b[2J", "left_out": 5})
    assert "\x1b" not in "".join(hostile)


@pytest.mark.parametrize(("reply", "code"), [("y\n", 0), ("n\n", 1), ("\n", 1), ("", 1)])
def test_stopping_early_is_asked_at_a_terminal(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, reply: str, code: int
) -> None:
    made = agent(monkeypatch, tmp_path, {"learn.status": RUN, "learn.stop": RUN})
    terminal = type("Terminal", (), {"isatty": lambda _: True, "readline": lambda _: reply})()
    monkeypatch.setattr("sys.stdin", terminal)
    assert run("learn", "stop") == code
    stops = [params for do, params in made.asked if do == "learn.stop"]
    assert stops == ([{"early": True}] if code == 0 else [])


def test_without_a_terminal_an_early_stop_needs_yes_and_a_late_one_does_not(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = agent(monkeypatch, tmp_path, {"learn.status": RUN, "learn.stop": RUN})
    monkeypatch.setattr("sys.stdin", type("Pipe", (), {"isatty": lambda _: False})())
    assert run("learn", "stop") == 2
    assert "--yes" in capsys.readouterr().err
    assert run("learn", "stop", "--yes") == 0
    made.answers["learn.status"] = {**RUN, "elapsed_s": 7200}
    assert run("learn", "stop") == 0
    assert [params for do, params in made.asked if do == "learn.stop"] == [
        {"early": True}, {"early": False},
    ]  # fmt: skip


def test_writing_gives_a_file_that_only_its_owner_reads(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = encode_draft(draft()).decode()
    agent(monkeypatch, tmp_path, {"learn.write": {"run": RUN, "draft": text}})
    assert run("learn", "write", tmp_path / "out") == 0
    assert decode_draft((tmp_path / "out").read_bytes()) == draft()
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o600
    assert "vedette profile sign" in capsys.readouterr().out
    assert run("learn", "write", tmp_path / "no" / "out") == 2
    agent(monkeypatch, tmp_path, {"learn.write": {"run": RUN, "draft": "{}"}})
    assert run("learn", "write", tmp_path / "other") == 2
    assert not (tmp_path / "other").exists()


def test_drift_is_listed_by_how_often_and_is_a_no(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    things: list[Json] = [
        {"kind": "peer", "key": ["", "tcp", "203.0.113.5", "23"], "count": 2},
        {"kind": "program", "key": ["/tmp/\x1bx"], "count": 30},
    ]
    answer: dict[str, Json] = {"profile": {"state": "in force"}, "things": things, "full": False}
    made = agent(monkeypatch, tmp_path, {"profile.drift": answer})
    assert run("profile", "drift") == 1
    assert capsys.readouterr().out.splitlines() == [
        "     30  program: /tmp/\\ex", "      2  peer: (any program) tcp 203.0.113.5 23",
    ]  # fmt: skip
    made.answers["profile.drift"] = {"profile": {"state": "in force"}, "things": [], "full": False}
    assert run("profile", "drift") == 0
    made.answers["profile.drift"] = {"profile": {"state": "none"}, "things": [], "full": False}
    assert run("profile", "drift") == 2
