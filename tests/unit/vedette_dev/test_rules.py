"""Rules of a development run: compiled once for the same files, never from what is out of date."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from vedette.cli import _rule_folder
from vedette.codec import bundle as codec
from vedette.codec import dsse
from vedette.errors import RuleError
from vedette_dev import cache, identity, rules
from vedette_dev.workbench import Workbench

RULE = """
title: A word
id: 6d3aef2b-8a9b-4b2e-9f5f-0c1d2e3f4a5b
author: Somebody
level: high
logsource: {product: linux, category: process_creation}
detection: {found: {CommandLine|contains: WORD}, condition: found}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path / "cache"))
    made = tmp_path / "rules"
    made.mkdir()
    (made / "a.yml").write_text(RULE)
    return made


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The folders that the compiler was given."""
    seen: list[Path] = []
    collect = _rule_folder.collect

    def noted(sources: Iterable[Path]) -> _rule_folder.Collected:
        seen.extend(sources)
        return collect(sources)

    monkeypatch.setattr(_rule_folder, "collect", noted)
    return seen


def words(folder: Path) -> list[str]:
    return [str(rule.condition) for rule in rules.bundle_of(folder).rules]


def test_the_same_rules_are_compiled_once(folder: Path, compiled: list[Path]) -> None:
    assert rules.bundle_of(folder) == rules.bundle_of(folder)
    assert compiled == [folder]


def change(folder: Path) -> None:
    (folder / "a.yml").write_text(RULE.replace("WORD", "other"))


def add(folder: Path) -> None:
    (folder / "b.yml").write_text(RULE.replace("WORD", "other").replace("6d3a", "7d3a"))


@pytest.mark.parametrize("alter", [change, add])
def test_what_was_altered_is_compiled_anew(
    folder: Path, compiled: list[Path], alter: Callable[[Path], None]
) -> None:
    before = words(folder)
    alter(folder)
    assert words(folder) != before
    assert len(compiled) == 2


def test_other_code_compiles_anew(
    folder: Path, compiled: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    rules.bundle_of(folder)
    monkeypatch.setattr(rules, "_compiler", lambda: [b"another compiler"])
    rules.bundle_of(folder)
    assert len(compiled) == 2


def test_where_nothing_can_be_kept_it_is_compiled_each_time(
    folder: Path, compiled: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> Path:
        raise PermissionError

    monkeypatch.setattr(rules, "cached", refuse)
    assert rules.bundle_of(folder) == rules.bundle_of(folder)
    assert len(compiled) == 2


def test_what_is_left_out_is_told_each_time(folder: Path, tmp_path: Path) -> None:
    (folder / "bad.yml").write_text(RULE.replace("contains", "nonsense"))
    told: list[list[str]] = []
    for name in ("first", "second"):
        bench = Workbench(tmp_path / name, tmp_path / name)
        bench.keys.mkdir(parents=True)
        lines: list[str] = []
        rules.build_rules(bench, folder, lines.append)
        told.append(lines)
        bundle = codec.decode(dsse.decode(bench.bundle.read_bytes()).payload)
        assert len(bundle.rules) == 1
        assert bundle.expires_s - bundle.issued_s == rules.VALID_S
        assert 0 < bundle.counter <= bundle.issued_s  # two looks at the clock
    assert told[0] == told[1]
    assert any("left out" in line and "nonsense" in line for line in told[0])


def test_a_signed_bundle_of_the_same_rules_and_key_stays(folder: Path, tmp_path: Path) -> None:
    bench = Workbench(tmp_path, tmp_path)
    bench.keys.mkdir()
    rules.build_rules(bench, folder, lambda _: None)
    before, told = bench.bundle.read_bytes(), list[str]()
    rules.build_rules(bench, folder, told.append)
    assert (bench.bundle.read_bytes(), told) == (
        before,
        ["rules     unchanged since the last start"],
    )
    (bench.keys / identity.RULES).unlink()
    rules.build_rules(bench, folder, told.append)
    assert bench.bundle.read_bytes() != before


def test_a_folder_without_rules_is_refused(folder: Path, tmp_path: Path) -> None:
    (folder / "a.yml").unlink()
    bench = Workbench(tmp_path, tmp_path)
    bench.keys.mkdir()
    with pytest.raises(RuleError, match="found none that compiles"):
        rules.build_rules(bench, folder, lambda _: None)
    with pytest.raises(RuleError, match="expected a file or folder of rules"):
        rules.build_rules(bench, tmp_path / "none", lambda _: None)
