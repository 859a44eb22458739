"""Playbooks and profiles as authors write them: TOML files, read with every mistake and its place.

    name = "end-miner"                        name = "home"
    title = "End what mines for others"       classes = ["", "camera", "router"]
    rules = ["<id of a rule>"]
    severity = "high"                         [limits.kill]
    per_hour = 60                             mode = "enforce"
    per_target = 3                            per_hour = 120

    [[step]]                                  [limits.block_peer]
    respond = "kill"                          mode = "enforce"
    to = "process"                            per_hour = 30
    [[step]]                                  longest_s = 86400
    respond = "quarantine"
    to = "image"
    for_s = 604800

Rule: a file with `limits` is a profile, every other one a playbook; there is no mode in a playbook,
because only a promotion gives it one.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple, cast, get_args

from vedette.codec import playbook as codec
from vedette.codec.text import escape
from vedette.codec.toml_places import nearest, places
from vedette.daemon.schema import Choice, Kind, Many, Mistake, Number, Text, describe, read_table
from vedette.errors import ParseError, RuleError
from vedette.model.finding import Severity
from vedette.model.playbook import (
    LONGEST_S,
    MAX_PER_HOUR,
    MAX_RULES,
    MAX_STEPS,
    Aim,
    DeviceProfile,
    Limit,
    Playbook,
    Step,
)
from vedette.model.response import Mode

MAX_FILE_BYTES = 64 << 10
SUFFIX = ".toml"
DEFAULT_PER_HOUR, DEFAULT_PER_TARGET = 60, 3

_NAME = Text(r"[a-z0-9][a-z0-9-]{0,63}", "a name of small letters, digits and hyphens")
_RESPONDER = Text(r"[a-z][a-z0-9_]{0,31}", 'the name of a responder, such as "kill"')
_SEVERITIES = tuple(one.name.lower() for one in Severity)
_PLAYBOOK: Mapping[str, Kind[object]] = {
    "name": _NAME,
    "title": Text(r"[^\x00-\x1f\x7f]{1,256}", "a title of at most 256 characters"),
    "rules": Many(Text(r"[A-Za-z0-9][A-Za-z0-9:._-]{0,127}", "the id of a rule"), 0, MAX_RULES),
    "tags": Many(Text(r"[a-z0-9_-]+(\.[a-z0-9_-]+)+", 'a tag such as "attack.t1496"'), 0, 64),
    "severity": Choice(_SEVERITIES),
    "per_hour": Number(1, MAX_PER_HOUR),
    "per_target": Number(1, MAX_PER_HOUR),
}
_STEP: Mapping[str, Kind[object]] = {
    "respond": _RESPONDER,
    "to": Choice(get_args(Aim)),
    "for_s": Number(0, LONGEST_S),
    "unit": Text(r"[A-Za-z0-9:_.\\@-]{1,250}\.[a-z]+", 'a unit such as "httpd.service"'),
    "model": Text(r"[a-z0-9][a-z0-9-]{0,63}", "the name of a model"),
}
_PROFILE: Mapping[str, Kind[object]] = {
    "name": _NAME,
    "classes": Many(Text(r"([A-Za-z0-9][A-Za-z0-9._-]{0,63})?", "a device class"), 0, 64),
}
_LIMIT: Mapping[str, Kind[object]] = {
    "mode": Choice(tuple(Mode)),
    "per_hour": Number(0, MAX_PER_HOUR),
    "longest_s": Number(0, LONGEST_S),
}


class Source(NamedTuple):
    """What files and folders hold, in the order of their names."""

    playbooks: tuple[Playbook, ...]
    profiles: tuple[DeviceProfile, ...]


def collect(sources: Iterable[Path]) -> Source:
    """Read all files of sources.

    Raises:
        RuleError: one line `file:line:column: ...` for each mistake of all files.
    """
    playbooks: list[Playbook] = []
    profiles: list[DeviceProfile] = []
    problems: list[str] = []
    for file in _files(sources):
        try:
            found = _read(file)
        except RuleError as error:
            problems.append(str(error))
            continue
        if isinstance(found, Playbook):
            playbooks.append(found)
        else:
            profiles.append(found)
    if problems:
        raise RuleError("\n".join(problems))
    return Source(tuple(playbooks), tuple(profiles))


def _files(sources: Iterable[Path]) -> Iterator[Path]:
    for source in sources:
        if source.is_dir():
            yield from sorted(path for path in source.rglob(f"*{SUFFIX}"))
        elif source.exists():
            yield source
        else:
            raise RuleError(f"{source}: expected a file or folder of playbooks, found none")


def _read(file: Path) -> Playbook | DeviceProfile:
    text, document = _document(file)
    mistakes: list[Mistake] = []
    made = _profile(document, mistakes) if "limits" in document else _playbook(document, mistakes)
    if mistakes:
        known = places(text)
        placed = sorted((nearest(known, path), words) for path, words in mistakes)
        raise RuleError(
            "\n".join(f"{file}:{place.line}:{place.column}: {words}" for place, words in placed)
        )
    return made


def _document(file: Path) -> tuple[str, dict[str, object]]:
    with file.open("rb") as stream:
        raw = stream.read(MAX_FILE_BYTES + 1)
    if len(raw) > MAX_FILE_BYTES:
        raise RuleError(f"{file}: expected at most {MAX_FILE_BYTES} bytes, got more")
    try:
        text = raw.decode("utf-8")
        return text, tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise RuleError(f"{file}: not TOML: {escape(str(error))}") from error


def _playbook(document: dict[str, object], mistakes: list[Mistake]) -> Playbook:
    plain = {name: value for name, value in document.items() if name != "step"}
    read = read_table(plain, (), _PLAYBOOK, mistakes)
    for name in ("name", "title", "severity"):
        _need(name, plain, mistakes)
    steps = _steps(document.get("step"), mistakes)
    made = Playbook(
        name=cast("str", read.get("name", "x")),
        title=cast("str", read.get("title", "x")),
        rules=cast("tuple[str, ...]", read.get("rules", ())),
        tags=cast("tuple[str, ...]", read.get("tags", ())),
        severity=Severity[cast("str", read.get("severity", "high")).upper()],
        steps=steps,
        per_hour=cast("int", read.get("per_hour", DEFAULT_PER_HOUR)),
        per_target=cast("int", read.get("per_target", DEFAULT_PER_TARGET)),
        digest="",
    )
    if not (made.rules or made.tags) and not {"rules", "tags"} & plain.keys():
        mistakes.append(Mistake((), "expected rules or tags that it answers, got neither"))
    return made._replace(digest=codec.digest_of(made))


def _steps(value: object, mistakes: list[Mistake]) -> tuple[Step, ...]:
    if not isinstance(value, list) or not 1 <= len(value) <= MAX_STEPS:
        words = f"step: expected 1 to {MAX_STEPS} tables [[step]], got {describe(value)}"
        mistakes.append(Mistake(("step",), words))
        return ()
    return tuple(_step(one, number, mistakes) for number, one in enumerate(value))


def _step(table: object, number: int, mistakes: list[Mistake]) -> Step:
    path = ("step", number)
    before = len(mistakes)
    found: list[Mistake] = []
    read = read_table(table, path, _STEP, found)
    mistakes += [Mistake(one.path, f"step {number + 1}: {one.message}") for one in found]
    made = Step(
        responder=cast("str", read.get("respond", "")),
        aim=cast("Aim", read.get("to", "process")),
        lasts_s=cast("int", read.get("for_s", 0)),
        unit=cast("str", read.get("unit", "") or read.get("model", "")),
    )
    if len(mistakes) == before and not {"respond", "to"} <= read.keys():
        mistakes.append(Mistake(path, f"step {number + 1}: expected respond and to"))
    for name in ("unit", "model"):
        if (name in read) != (made.aim == name):
            words = f'step {number + 1}: expected {name} where to = "{name}", and only there'
            mistakes.append(Mistake(path, words))
    return made


def _profile(document: dict[str, object], mistakes: list[Mistake]) -> DeviceProfile:
    plain = {name: value for name, value in document.items() if name != "limits"}
    read = read_table(plain, (), _PROFILE, mistakes)
    _need("name", plain, mistakes)
    limits = document["limits"]
    made: dict[str, Limit] = {}
    for name, table in limits.items() if isinstance(limits, dict) else ():
        limit = read_table(table, ("limits", name), _LIMIT, mistakes)
        made[name] = Limit(
            Mode(cast("str", limit.get("mode", "observe"))),
            cast("int", limit.get("per_hour", MAX_PER_HOUR)),
            cast("int", limit.get("longest_s", LONGEST_S)),
        )
    return DeviceProfile(
        cast("str", read.get("name", "x")), cast("tuple[str, ...]", read.get("classes", ())), made
    )


def _need(name: str, table: dict[str, object], mistakes: list[Mistake]) -> None:
    if name not in table:
        mistakes.append(Mistake((name,), f"{name}: expected one, got none"))


def check(source: Source, rules: Iterable[str]) -> list[str]:
    """Rules that playbooks answer and that are not among those given, one line each."""
    known = set(rules)
    return [
        f"playbook {one.name}: there is no rule {rule_id}"
        for one in source.playbooks
        for rule_id in one.rules
        if rule_id not in known and not rule_id.startswith("vedette:")
    ]


def readable(error: ParseError) -> RuleError:
    """What no single file shows, such as a name given twice."""
    return RuleError(f"no device would read these playbooks: {error}")
