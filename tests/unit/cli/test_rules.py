from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from vedette.cli._command_line import main
from vedette.codec import bundle, dsse
from vedette.trust.ed25519 import Ed25519Verifier
from vedette.trust.keyfile import create_signer

RULE = """\
title: Shell of a web server
id: 6f1f2f5e-8d0b-4c1e-9d7e-1f8e3c8f9a01
author: Somebody
level: high
tags: [attack.t1059]
logsource: {product: linux, category: process_creation}
detection:
  shell: {Image|endswith: [/sh, /bash]}
  parent: {ParentImage|endswith: /httpd}
  quiet: {CommandLine|contains: health}
  condition: shell and parent and not quiet
"""
BAD = RULE.replace("9a01", "9a02").replace("endswith: /httpd", "minute: /httpd")
REDACTIONS = "redactions:\n  - {name: x, pattern: '--pass=([^ ]+)'}\n"
GOOD = "- {Image: /bin/sh, ParentImage: /usr/sbin/httpd, CommandLine: id}\n"
QUIET = "- {Image: /bin/sh, ParentImage: /usr/sbin/httpd, CommandLine: health}\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rules = tmp_path / "rules" / "execution"
    rules.mkdir(parents=True)
    (rules / "shell.yml").write_text(RULE)
    (rules / "shell.match.yml").write_text(GOOD)
    (rules / "shell.nomatch.yml").write_text(QUIET)
    (tmp_path / "rules" / "redactions.yml").write_text(REDACTIONS)
    return tmp_path / "rules"


@pytest.fixture
def build(folder: Path) -> Callable[[], tuple[int, Path]]:
    key, output = folder.parent / "rules.key", folder.parent / "rules.bundle"
    create_signer(key)

    def run() -> tuple[int, Path]:
        words = ["rules", "build", str(folder), "-o", str(output), "--key", str(key)]
        return main([*words, "--counter", "7", "--expires-days", "10", "--name", "test"]), output

    return run


Capture = pytest.CaptureFixture[str]


def test_a_bundle_is_built_and_signed(
    build: Callable[[], tuple[int, Path]], folder: Path, capsys: Capture
) -> None:
    code, output = build()
    assert code == 0
    assert "1 rules, 1 redactions" in capsys.readouterr().out
    envelope = dsse.decode(output.read_bytes())
    read = bundle.decode(envelope.payload)
    assert envelope.payload_type == "application/vnd.vedette.rules+msgpack"
    assert (read.name, read.counter, read.expires_s - read.issued_s) == ("test", 7, 864_000)
    assert [rule.title for rule in read.rules] == ["Shell of a web server"]
    assert read.redactions == ("--pass=([^ ]+)",)
    public = create_signer(folder.parent / "other.key").public_key
    message = dsse.pae(envelope.payload_type, envelope.payload)
    assert not Ed25519Verifier().verify(public, envelope.signatures[0].sig, message)


def test_the_same_rules_and_time_give_the_same_bytes(
    build: Callable[[], tuple[int, Path]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    first = build()[1].read_bytes()
    assert build()[1].read_bytes() == first


def test_one_bad_rule_stops_no_other(
    build: Callable[[], tuple[int, Path]], folder: Path, capsys: Capture
) -> None:
    (folder / "bad.yml").write_text(BAD)
    code, output = build()
    assert code == 1
    complaint = capsys.readouterr().err
    assert f"refused {folder}/bad.yml:9:24: " in complaint
    assert "got 'minute'" in complaint
    assert len(bundle.decode(dsse.decode(output.read_bytes()).payload).rules) == 1


def test_two_rules_with_one_id_are_refused(
    build: Callable[[], tuple[int, Path]], folder: Path, capsys: Capture
) -> None:
    (folder / "twin.yml").write_text(RULE)
    code, _ = build()
    assert code == 1
    assert f"got that of {folder}/execution/shell.yml" in capsys.readouterr().err


def test_nothing_is_written_when_no_rule_compiles(
    build: Callable[[], tuple[int, Path]], folder: Path
) -> None:
    (folder / "execution" / "shell.yml").write_text(BAD)
    code, output = build()
    assert code == 2
    assert not output.exists()


def test_samples_that_go_as_expected_are_counted(folder: Path, capsys: Capture) -> None:
    assert main(["rules", "test", str(folder)]) == 0
    assert capsys.readouterr().out == "1 rules, 2 samples, 0 not as expected\n"


def test_a_sample_that_goes_wrong_says_which_clause_came_nearest(
    folder: Path, capsys: Capture
) -> None:
    sample = folder / "execution" / "shell.match.yml"
    sample.write_text(GOOD + "- {Image: /bin/bashful, ParentImage: /usr/sbin/httpd}\n")
    assert main(["rules", "test", str(folder)]) == 1
    told = capsys.readouterr().out
    assert f"WRONG {sample}:2: 'Shell of a web server' does not match" in told
    assert "expected Image endswith '/bash', got '/bin/bashful'" in told
    assert "ParentImage" not in told


def test_why_a_sample_matches_is_told_when_asked(folder: Path, capsys: Capture) -> None:
    assert main(["rules", "test", "--verbose", str(folder)]) == 0
    told = capsys.readouterr().out
    assert "Image endswith '/sh': '/bin/sh'" in told
    assert "not: CommandLine contains 'health': 'health'" in told


def test_results_are_for_programs_too(folder: Path, capsys: Capture) -> None:
    assert main(["rules", "test", "--json", str(folder)]) == 0
    found = json.loads(capsys.readouterr().out)
    (row,) = found["files"]
    assert found["problems"] == []
    assert row["title"] == "Shell of a web server"
    assert [sample["is_met"] for sample in row["samples"]] == [True, False]
    shell, parent, _ = row["samples"][0]["clauses"]
    assert (shell["field"], shell["operator"], shell["value"]) == ("Image", "endswith", "/sh")
    assert (shell["selection"], shell["line"], shell["found"]) == ("shell", 8, ["/bin/sh"])
    assert (parent["selection"], parent["line"], parent["is_met"]) == ("parent", 9, True)


def test_rules_are_listed(folder: Path, capsys: Capture) -> None:
    assert main(["rules", "list", str(folder)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "high          process_creation     Shell of a web server  t1059",
        "1 rules",
    ]


def test_a_source_that_is_missing_is_an_error(tmp_path: Path, capsys: Capture) -> None:
    assert main(["rules", "list", str(tmp_path / "none")]) == 2
    assert "expected a file or folder of rules, found none" in capsys.readouterr().err
