"""Releases <-> the `custom` field of their TUF target.

    {"vedette": {"agent": "", "closes-window": false, "counter": 7, "defer": 0, "format": 1,
                 "hardware": ["cam-2"], "issued": 1800000000, "kind": "firmware",
                 "late-rollback": 86400, "name": "cam",
                 "needs": [{"counter": 3, "kind": "rules", "name": "main"}],
                 "parts": {"block-index": {"length": 8192, "path": "firmware/cam/cam-7.index",
                                           "sha256": "<64 hex digits>"}},
                 "rollout": {"fraction": 500, "full-after": 86400, "starts": 1800000000},
                 "statements": [{"length": 900, "path": "...", "sha256": "..."}], "summary": "",
                 "urgency": "routine", "version": "2.1.0",
                 "windows": [{"days": [0, 4], "lasts": 120, "opens": 180}]}}

Rule 1: path, length and digest of the target itself are TUF's and stand outside `custom`.
Rule 2: a target without "vedette" in its custom field is a file that some release names as a part,
and no release. One with it is a whole release or a ParseError; what is unknown is refused.
Rule 3: values of `custom` came through a lax JSON reader: every one is checked, types too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from vedette.codec import strict_fields as strict
from vedette.codec.strict_json import Json
from vedette.codec.text import quoted
from vedette.errors import ParseError
from vedette.model.release import (
    DAY_MINUTES,
    FOLDERS,
    MAX_DEFER_S,
    MAX_HARDWARE_IDS,
    MAX_LATE_ROLLBACK_S,
    MAX_NEEDS,
    MAX_RAMP_S,
    MAX_STATEMENTS,
    MAX_WINDOWS,
    PARTS,
    WEEKDAYS,
    WHOLE,
    Need,
    PartKind,
    Release,
    ReleaseKind,
    Rollout,
    TargetFile,
    Urgency,
    Window,
)

FIELD = "vedette"
FORMAT = 1
MAX_SUMMARY = 256

_RELEASE = frozenset(
    {
        "agent", "closes-window", "counter", "defer", "format", "hardware", "issued", "kind",
        "late-rollback", "name", "needs", "parts", "rollout", "statements", "summary", "urgency",
        "version", "windows",
    }
)  # fmt: skip
_FILE = frozenset({"length", "path", "sha256"})
_NEED = frozenset({"counter", "kind", "name"})
_ROLLOUT = frozenset({"fraction", "full-after", "starts"})
_WINDOW = frozenset({"days", "lasts", "opens"})
NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
VERSION = re.compile(r"[0-9A-Za-z][0-9A-Za-z.+~_-]{0,63}")
_AGENT = re.compile(r"([0-9]{1,6}(\.[0-9]{1,6}){0,3})?")
_HARDWARE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
# A segment with its digest in front ("<sha256>.<segment>", TUF 6.2) must still be a file name.
_SEGMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+~-]{0,127}")
_SEGMENTS = 3


def is_release(custom: object) -> bool:
    """Whether a target says that it is a release; `decode` says whether it is one."""
    return isinstance(custom, Mapping) and FIELD in custom


def encode(release: Release) -> dict[str, Json]:
    """The `custom` field of the release's target.

    Raises:
        ParseError: it is none that `decode` would read.
    """
    custom: dict[str, Json] = {FIELD: _plain(release)}
    decode(*release.target, custom)
    return custom


def decode(path: str, length: object, sha256: object, custom: object) -> Release:
    """Read one target of verified metadata.

    Args:
        path: the target's name in TUF's metadata.
        length: in bytes, as TUF has it.
        sha256: of the target in hex, as TUF has it.
        custom: the target's custom field; names beside "vedette" in it are others' and pass.

    Raises:
        ParseError: it is no release, or one that could be read in two ways.
    """
    if not isinstance(custom, Mapping) or FIELD not in custom:
        raise ParseError(f'{quoted(path)}: expected a custom field with "{FIELD}": no release')
    fields = strict.fields(custom[FIELD], "a release", _RELEASE)
    strict.format_number(fields["format"], FORMAT)
    kind = strict.word(fields["kind"], "a kind", ReleaseKind)
    name = strict.matched(fields["name"], "the name of a release", NAME)
    made = Release(
        kind=kind,
        name=name,
        version=strict.matched(fields["version"], "a version", VERSION),
        counter=strict.number(fields["counter"], "counter", 1),
        issued_s=strict.number(fields["issued"], "issued", 1),
        target=_file({"path": path, "length": length, "sha256": sha256}, kind, name),
        hardware_ids=strict.texts(fields["hardware"], "hardware ids", MAX_HARDWARE_IDS, _HARDWARE),
        needs=strict.rows(fields["needs"], "needs", MAX_NEEDS, _need),
        agent=strict.matched(fields["agent"], "a version of the agent", _AGENT),
        summary=strict.visible(fields["summary"], "a summary", MAX_SUMMARY),
        urgency=strict.word(fields["urgency"], "an urgency", Urgency),
        defer_s=strict.number(fields["defer"], "defer", 0, MAX_DEFER_S),
        rollout=_rollout(fields["rollout"]),
        windows=strict.rows(fields["windows"], "windows", MAX_WINDOWS, _window),
        closes_window=strict.truth(fields["closes-window"], "closes-window"),
        late_rollback_s=strict.number(
            fields["late-rollback"], "late-rollback", 0, MAX_LATE_ROLLBACK_S
        ),
        parts=_parts(fields["parts"], kind, name),
        statements=strict.rows(
            fields["statements"], "statements", MAX_STATEMENTS, lambda one: _file(one, kind, name)
        ),
    )
    _check(made)
    return made


def read_path(path: object) -> tuple[ReleaseKind, str]:
    """The kind and the name of the release to which a target's path belongs.

    Raises:
        ParseError: it is no path of ours: it must be FOLDER/NAME/FILE, of plain characters.
    """
    segments = path.split("/") if isinstance(path, str) else []
    if len(segments) != _SEGMENTS or not all(map(_SEGMENT.fullmatch, segments)):
        raise ParseError(
            f"expected a path FOLDER/NAME/FILE of plain characters, got {strict.shown(path)}"
        )
    kind = next((kind for kind, folder in FOLDERS.items() if folder == segments[0]), None)
    if kind is None or not NAME.fullmatch(segments[1]):
        raise ParseError(
            f"expected a path in one of {', '.join(FOLDERS.values())}, and a name of small "
            f"letters, digits and hyphens, got {quoted(path)}"
        )
    return kind, segments[1]


def _check(made: Release) -> None:
    """What no single field shows."""
    files = [made.target, *made.parts.values(), *made.statements]
    if len({one.path for one in files}) < len(files):
        raise ParseError(f"{made.target.path}: expected each file of a release once")
    if len({(need.kind, need.name) for need in made.needs}) < len(made.needs):
        raise ParseError(f"{made.target.path}: expected each needed release once")
    if any((need.kind, need.name) == (made.kind, made.name) for need in made.needs):
        raise ParseError(f"{made.target.path}: expected no need of the release itself")
    if made.urgency is Urgency.URGENT and not made.defer_s:
        raise ParseError("expected an urgent release to say how long it may be deferred at most")
    if made.kind is ReleaseKind.FIRMWARE:
        if not made.hardware_ids:
            raise ParseError("expected a firmware to name the hardware it is for")
    elif made.closes_window or made.late_rollback_s:
        raise ParseError(f"expected late rollback of firmware alone, got it of {made.kind}")
    if not made.parts.keys() <= PARTS.get(made.kind, frozenset()):
        raise ParseError(f"expected other parts of {made.kind}, got {', '.join(made.parts)}")


def _plain(release: Release) -> dict[str, Json]:
    parts: dict[str, Json] = {str(use): _plain_file(one) for use, one in release.parts.items()}
    return {
        "agent": release.agent,
        "closes-window": release.closes_window,
        "counter": release.counter,
        "defer": release.defer_s,
        "format": FORMAT,
        "hardware": list(release.hardware_ids),
        "issued": release.issued_s,
        "kind": str(release.kind),
        "late-rollback": release.late_rollback_s,
        "name": release.name,
        "needs": [
            {"counter": one.counter, "kind": str(one.kind), "name": one.name}
            for one in release.needs
        ],
        "parts": parts,
        "rollout": {
            "fraction": release.rollout.fraction,
            "full-after": release.rollout.full_after_s,
            "starts": release.rollout.starts_s,
        },
        "statements": [_plain_file(one) for one in release.statements],
        "summary": release.summary,
        "urgency": str(release.urgency),
        "version": release.version,
        "windows": [
            {"days": list(one.days), "lasts": one.lasts_min, "opens": one.opens_min}
            for one in release.windows
        ],
    }


def _plain_file(one: TargetFile) -> dict[str, Json]:
    return {"length": one.length, "path": one.path, "sha256": one.sha256}


def _file(value: object, kind: ReleaseKind, name: str) -> TargetFile:
    fields = strict.fields(value, "a file", _FILE)
    if read_path(fields["path"]) != (kind, name):
        got = strict.shown(fields["path"])
        raise ParseError(
            f"expected a path in {FOLDERS[kind]}/{name}/, got {got}: a release has no file of "
            "another"
        )
    return TargetFile(
        fields["path"],
        strict.number(fields["length"], "length", 1),
        strict.digest(fields["sha256"]),
    )


def _parts(value: object, kind: ReleaseKind, name: str) -> dict[PartKind, TargetFile]:
    if not isinstance(value, Mapping):
        raise ParseError(f"expected parts by what they are for, got {strict.shown(value)}")
    return {
        strict.word(use, "a part", PartKind): _file(one, kind, name) for use, one in value.items()
    }


def _need(value: object) -> Need:
    fields = strict.fields(value, "a need", _NEED)
    return Need(
        strict.word(fields["kind"], "a kind", ReleaseKind),
        strict.matched(fields["name"], "the name of a release", NAME),
        strict.number(fields["counter"], "counter", 1),
    )


def _rollout(value: object) -> Rollout:
    fields = strict.fields(value, "a rollout", _ROLLOUT)
    return Rollout(
        strict.number(fields["starts"], "starts", 0),
        strict.number(fields["fraction"], "fraction", 0, WHOLE),
        strict.number(fields["full-after"], "full-after", 0, MAX_RAMP_S),
    )


def _window(value: object) -> Window:
    fields = strict.fields(value, "a window", _WINDOW)
    days = strict.rows(fields["days"], "days", WEEKDAYS, _day)
    if not days or list(days) != sorted(set(days)):
        raise ParseError("expected the days of a window sorted, each once, one at least")
    return Window(
        days,
        strict.number(fields["opens"], "opens", 0, DAY_MINUTES - 1),
        strict.number(fields["lasts"], "lasts", 1, DAY_MINUTES),
    )


def _day(value: object) -> int:
    return strict.number(value, "a day", 0, WEEKDAYS - 1)
