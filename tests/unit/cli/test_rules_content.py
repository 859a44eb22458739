"""The shipped rules: complete, quiet, and written against behaviour instead of our own attacks."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from tests.simulators.device_stream import benign_events
from tests.simulators.linear_engine import LinearEngine
from tests.simulators.shipped import RULES, shipped, shipped_bundle

from vedette.cli._rule_folder import rule_files
from vedette.cli._rule_samples import Subjects, run_file, subjects
from vedette.cli._sigma_compiler import Compiled
from vedette.cli._sigma_correlation import CompiledCorrelation
from vedette.core.drills import TAG as DRILL
from vedette.core.engine import Engine
from vedette.core.redact import REDACTED, Redactor
from vedette.model.rule import AllOf, AnyOf, Condition, Match, Not

ROOT = Path(__file__).parents[3]
ATTACKS = ROOT / "tests" / "attacks"
MIN_DETECTIONS = 80
MIN_CORRELATIONS = 15
MIN_WORD_CHARS = 4
WORD = re.compile(rf"[a-z0-9_]{{{MIN_WORD_CHARS},}}")
MIN_DESCRIPTION_CHARS = 60
RULE_FILES = [file for file in rule_files([RULES]) if file.parent != RULES]
TECHNIQUE = re.compile(r"attack\.t\d{4}(\.\d{3})?")


def name_of(compiled: Compiled) -> str:
    return compiled.document.file.stem


def literals(condition: Condition) -> Iterator[str]:
    match condition:
        case Match():
            yield condition.value.lower()
        case Not():
            yield from literals(condition.part)
        case AllOf() | AnyOf():
            for part in condition.parts:
                yield from literals(part)


def strings(source: str) -> Iterator[str]:
    """The text constants of a module, its documentation left out."""
    tree = ast.parse(source)
    documentation = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.FunctionDef | ast.ClassDef)
        and isinstance(node.body[0], ast.Expr)
    }
    constants = (node for node in ast.walk(tree) if isinstance(node, ast.Constant))
    for constant in constants:
        if isinstance(constant.value, str) and id(constant) not in documentation:
            yield constant.value.lower()


def shared_words(rule_texts: Iterable[str], attacks: Iterable[str], known: set[str]) -> set[str]:
    """Words that rules and attacks share and that no reviewer has called a fact of Linux."""
    of_rules = {word for text in rule_texts for word in WORD.findall(text)}
    of_attacks = {
        word for source in attacks for text in strings(source) for word in WORD.findall(text)
    }
    return (of_rules & of_attacks) - known


def vocabulary() -> dict[str, str]:
    lines = (RULES / "vocabulary.txt").read_text().splitlines()
    pairs = (line.partition(":") for line in lines if line and not line.startswith("#"))
    return {word.strip(): reason.strip() for word, _, reason in pairs}


def test_every_shipped_rule_compiles_and_nothing_in_it_is_idle() -> None:
    assert shipped().problems == ()
    assert shipped().warnings == ()
    detections = [compiled for compiled in shipped().compiled if compiled.rule.is_reported]
    assert len(detections) >= MIN_DETECTIONS
    assert len(shipped().correlations) >= MIN_CORRELATIONS
    held = (*shipped().compiled, *shipped().correlations, *shipped().filters)
    assert len(held) == len(RULE_FILES)


def lacking(document: Mapping[str, Any], author: str, *, is_tagged: bool) -> Iterator[str]:
    """What a reader of a rule or correlation would miss in it."""
    if author != "Vedette project":
        yield f"author: {author}"
    if not document["falsepositives"]:
        yield "falsepositives"
    if len(str(document["description"])) < MIN_DESCRIPTION_CHARS:
        yield "a longer description"
    if not is_tagged:
        yield "technique and tactic"


def is_tagged(compiled: Compiled) -> bool:
    folder, tags = compiled.document.file.parent.name, compiled.rule.tags
    if folder == "drill":
        return tags == (DRILL,)
    tactic = f"attack.{folder.replace('_', '-')}"
    return tactic in tags and any(TECHNIQUE.fullmatch(tag) for tag in tags)


def is_correlation_tagged(found: CompiledCorrelation) -> bool:
    tags = found.correlation.tags
    return tags == (DRILL,) or any(TECHNIQUE.fullmatch(tag) for tag in tags)


def test_a_rule_says_who_wrote_it_and_what_it_guards_against() -> None:
    rules = {
        name_of(one): list(lacking(one.document.value, one.rule.author, is_tagged=is_tagged(one)))
        for one in shipped().compiled
    }
    assert {name: found for name, found in rules.items() if found} == {}


def test_a_correlation_says_who_wrote_it_and_what_it_guards_against() -> None:
    correlations = {
        one.document.file.stem: list(
            lacking(
                one.document.value, one.correlation.author, is_tagged=is_correlation_tagged(one)
            )
        )
        for one in shipped().correlations
    }
    assert {name: found for name, found in correlations.items() if found} == {}


@cache
def by_file() -> Mapping[Path, Subjects]:
    """Compiled when a test first asks: not while tests are listed, which each process does."""
    return {of.file: of for of in subjects(shipped())}


@pytest.mark.parametrize("file", RULE_FILES, ids=lambda file: file.stem)
def test_rules_correlations_and_filters_do_what_their_samples_say(file: Path) -> None:
    outcomes = list(run_file(by_file()[file], shipped_bundle()))
    assert {outcome.is_met for outcome in outcomes} == {True, False}
    for outcome in outcomes:
        assert outcome.is_expected, f"{outcome.place}: {'; '.join(outcome.reasons)}"


@pytest.mark.thorough
def test_samples_of_all_rules_give_the_same_findings_without_the_index() -> None:
    bundle = shipped_bundle()
    engine, linear = Engine(bundle), LinearEngine(bundle)
    for category, fields in benign_events(300, seed=3):
        assert engine.match(category, fields) == linear.match(category, fields)


def test_every_rule_is_reached_through_the_index() -> None:
    engine = Engine(shipped_bundle())
    assert engine.always == ()
    assert engine.refused == ()


def test_a_quiet_device_stays_quiet() -> None:
    engine = Engine(shipped_bundle())
    found = [
        (rule.title, fields)
        for category, fields in benign_events(10_000, seed=1)
        for rule in engine.match(category, fields)
        if rule.is_reported
    ]
    assert len(found) <= 1, found[:5]


def test_no_rule_was_written_around_one_of_our_attacks() -> None:
    texts = [text for compiled in shipped().compiled for text in literals(compiled.rule.condition)]
    sources = [path.read_text() for path in sorted(ATTACKS.rglob("*.py"))]
    assert sources
    unknown = shared_words(texts, sources, set(vocabulary()))
    assert unknown == set(), "review these words: facts of Linux go to rules/vocabulary.txt"


def test_a_word_taken_from_an_attack_would_be_noticed() -> None:
    attack = '"""Plays with qzxdocumented."""\nNAME = "/tmp/qzxdropper -x"\n'
    assert shared_words(["*/qzxdropper"], [attack], {"tmp"}) == {"qzxdropper"}
    assert shared_words(["*/qzxdocumented"], [attack], set()) == set()


def test_the_vocabulary_holds_reasons_and_nothing_idle() -> None:
    known = vocabulary()
    assert all(len(reason) >= 8 for reason in known.values())
    texts = [text for compiled in shipped().compiled for text in literals(compiled.rule.condition)]
    sources = [path.read_text() for path in sorted(ATTACKS.rglob("*.py"))]
    assert set(known) <= shared_words(texts, sources, set())


SECRETS = {
    "a long option": ("app --db-password=hunter2 --port 1", "hunter2"),
    "an option and a space": ("app --token s3cr3tvalue run", "s3cr3tvalue"),
    "a variable": ("sh -c MYSQL_PASSWORD=hunter2 mysqld", "hunter2"),
    "a field": ("db_password: hunter2", "hunter2"),
    "a field of JSON": ('curl -d {"token" : "hunter2"} http://h', "hunter2"),
    "a header with a token": ("curl -H X-Vault-Token: hunter2 http://h", "hunter2"),
    "a colon alone": ("app conf/token:hunter2", "hunter2"),
    "a URL": ("curl https://joe:hunter2@host.example/x", "hunter2"),
    "a query": ("curl https://host.example/x?id=1&access_token=hunter2", "hunter2"),
    "a bearer header": ("curl -H Authorization: Bearer abc.def-123 https://h", "abc.def-123"),
    "an API key header": ("curl -H X-Api-Key: abcdef123456", "abcdef123456"),
    "curl's user": ("curl -s -u joe:hunter2 https://h", "hunter2"),
    "mysql's letter": ("mysqldump -u root -phunter2 db", "hunter2"),
    "sshpass": ("sshpass -p hunter2 ssh host", "hunter2"),
    "an MQTT client": ("mosquitto_pub -h h -u joe -P hunter2 -t x", "hunter2"),
    "chpasswd": ("sh -c echo root:hunter2 | chpasswd", "hunter2"),
    "an AWS key": ("aws configure set k AKIAIOSFODNN7EXAMPLE", "AKIAIOSFODNN7EXAMPLE"),
    "a GitHub token": ("git clone x ghp_abcdefghijklmnopqrst0123", "ghp_abcdefghijklmnopqrst0123"),
    "a JSON web token": ("x eyJhbGciOiJIUzI1.eyJzdWIiOiIxMjM0.abcdefghij", "eyJzdWIiOiIxMjM0"),
    "a WPA passphrase": ("wpa_passphrase home hunter2hunter2", "hunter2hunter2"),
}


@pytest.mark.parametrize(("text", "secret"), SECRETS.values(), ids=SECRETS)
def test_a_secret_is_taken_out(text: str, secret: str) -> None:
    redacted = Redactor(shipped().redactions)(text)
    assert secret not in redacted
    assert REDACTED in redacted


@pytest.mark.parametrize(
    "text",
    [
        "wget -q -O abc http://10.0.0.9:8080/x",
        "/bin/sh -c /usr/lib/iot/job1.sh",
        "mosquitto_pub -h 127.0.0.1 -p 1883 -t dev/1 -m {t:5}",
        "chmod 755 /tmp/abc",
        "curl -s https://api.vendor.example/v1/hb?device=5",
        "passwd joe",
        "cut -d: -f1 /etc/passwd",
        "/etc/passwd: No such file or directory",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert Redactor(shipped().redactions)(text) == text
