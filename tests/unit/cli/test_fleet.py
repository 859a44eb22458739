from __future__ import annotations

import json
from pathlib import Path

import pytest

from vedette.cli import _fleet_lines
from vedette.cli._command_line import main
from vedette.cli._fleet_options import read_registry
from vedette.codec.report import Link, Report
from vedette.core.fleet import Kind, Note
from vedette.model.finding import Severity
from vedette.trust.ed25519 import Ed25519Signer
from vedette.trust.keyfile import save_public


def key(folder: Path, number: int) -> Path:
    path = folder / f"{number}.pub"
    save_public(path, Ed25519Signer(number.to_bytes(32, "big")).public_key)
    return path


def enroll(folder: Path, device: str, number: int, *more: str) -> int:
    file = folder / f"{number}.pub"
    public = file if file.exists() else key(folder, number)
    words = ["fleet", "enroll", "--registry", str(folder / "fleet.json"), "--tenant", "acme"]
    return main([*words, "--device", device, "--key", str(public), *more])


def test_enrolling_writes_the_registry_and_keeps_what_was_there(tmp_path: Path) -> None:
    assert enroll(tmp_path, "cam-1", 1, "--note", "gate") == 0
    assert enroll(tmp_path, "cam-2", 2) == 0
    found = read_registry(tmp_path / "fleet.json")
    assert [device for _, device in found] == ["cam-1", "cam-2"]
    assert found["acme", "cam-1"].note == "gate"
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_a_known_device_gets_another_key_only_when_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    enroll(tmp_path, "cam-1", 1)
    before = (tmp_path / "fleet.json").read_bytes()
    assert enroll(tmp_path, "cam-1", 2) == 2
    assert "--replace" in capsys.readouterr().err
    assert (tmp_path / "fleet.json").read_bytes() == before
    assert enroll(tmp_path, "cam-1", 1) == 0, "the same again changes nothing"
    assert enroll(tmp_path, "cam-1", 2, "--replace") == 0


def test_no_two_devices_share_a_key(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    enroll(tmp_path, "cam-1", 1)
    assert enroll(tmp_path, "cam-2", 1) == 2
    assert "acme/cam-1 has that key" in capsys.readouterr().err


def test_a_name_that_no_topic_can_have_is_refused(tmp_path: Path) -> None:
    assert enroll(tmp_path, "cam/+", 1) == 2
    assert not (tmp_path / "fleet.json").exists()


REPORT = Report(
    incident_id="feed", status="created", revision=1, severity=Severity.HIGH,
    title="A shell\x1b[2J", rule_id="r", author="a", tier="audit", times=3, time_ms=0,
    chain=(Link(40, "/bin/wget", "wget http://x/\u202ey"), Link(30, "/bin/sh", "sh")),
    fields=(("Image", "/bin/wget"),), actions=("froze 40",), losses=("process: 3 at kernel",),
    is_reduced=False, whole_sha256="",
)  # fmt: skip


def test_an_incident_is_one_line_with_nothing_that_steers_a_terminal() -> None:
    note = Note(Kind.INCIDENT, "acme", "cam-7", 5, REPORT.title, REPORT)
    line = _fleet_lines.text(note, 0.0, is_coloured=False)
    assert line.isprintable()
    for part in ("HIGH", "acme/cam-7", "A shell\\e[2J", "sh > wget", "[40]", "by audit",
                 "froze 40", "x3", "process: 3 at kernel"):  # fmt: skip
        assert part in line


@pytest.mark.parametrize(
    ("fields", "what"),
    [
        ({"Action": "created", "TargetFilename": "/etc/x\x1b"}, "created /etc/x\\e"),
        ({"TargetFilename": "/etc/x", "DestinationIp": "::1"}, "/etc/x"),
        ({"DestinationIp": "192.0.2.1", "DestinationHostname": "c2.example"}, "c2.example"),
        ({"Class": "uplink", "Reason": "was ended by SIGKILL"}, "was ended by SIGKILL"),
    ],
)
def test_a_line_says_what_it_is_about(fields: dict[str, str], what: str) -> None:
    report = REPORT._replace(fields=tuple(sorted(fields.items())))
    note = Note(Kind.INCIDENT, "acme", "cam-7", 5, REPORT.title, report)
    assert f" · {what} · by audit" in _fleet_lines.text(note, 0.0, is_coloured=False)


def test_colours_surround_the_severity_alone() -> None:
    note = Note(Kind.INCIDENT, "acme", "cam-7", 5, REPORT.title, REPORT)
    line = _fleet_lines.text(note, 0.0, is_coloured=True)
    assert line.count("\x1b") == 2


def test_a_hostile_detail_is_escaped_too() -> None:
    note = Note(Kind.BAD_SIGNATURE, "acme", "cam-7", 0, "signed as \x1b]0;x\x07\n", None)
    assert _fleet_lines.text(note, 0.0, is_coloured=False).isprintable()


@pytest.mark.parametrize("time_ms", [-(2**63), 0, 2**62])
def test_any_time_of_a_device_can_be_shown(time_ms: int) -> None:
    note = Note(Kind.INCIDENT, "t", "d", 1, "", REPORT._replace(time_ms=time_ms))
    assert _fleet_lines.text(note, 0.0, is_coloured=False)


def test_json_holds_the_whole_incident() -> None:
    note = Note(Kind.INCIDENT, "acme", "cam-7", 5, REPORT.title, REPORT)
    found = json.loads(json.dumps(_fleet_lines.document(note, 1.5)))
    assert (found["incident"]["severity"], found["incident"]["count"]) == ("high", 3)
    assert found["incident"]["chain"][0]["pid"] == 40
    assert found["incident"]["fields"] == {"Image": "/bin/wget"}
