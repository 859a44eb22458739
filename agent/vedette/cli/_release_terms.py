"""Flags of `vedette release` as the fields of a release."""

from __future__ import annotations

import argparse
import re
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from vedette.cli._repo_output import tell
from vedette.cli._repository import Repository
from vedette.cli._target_staging import (
    KEPT,
    highest_counter,
    releases,
    stage_release,
    store_file,
)
from vedette.codec.text import human_size
from vedette.errors import RequestError
from vedette.model.release import (
    DAY_MINUTES,
    FOLDERS,
    ROLES,
    WHOLE,
    Need,
    Release,
    ReleaseKind,
    TargetFile,
    Urgency,
    Window,
)

_HOUR_S = 3600
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_NEED = re.compile(r"([a-z]+)/([a-z0-9-]+):([1-9][0-9]{0,15})")
_WINDOW = re.compile(r"([a-z,-]+) ([0-9]{2}):([0-9]{2})-([0-9]{2}):([0-9]{2})")


def begin(
    args: argparse.Namespace, repository: Repository, kind: ReleaseKind, counter: int | None = None
) -> Release:
    """A release as the flags have it, without its files.

    Args:
        args: of the command line.
        repository: in which it will be.
        kind: of it.
        counter: that its content says of itself; None takes the flag, else the next one.

    Raises:
        RequestError: a flag is malformed, or --counter is not the content's.
    """
    if counter is not None and args.counter not in (None, counter):
        raise RequestError(f"expected --counter {counter}, which the content has, or none")
    targets = repository.draft(ROLES[kind]).signed
    number = counter or args.counter or highest_counter(targets, kind, args.name) + 1
    made = Release(
        kind=kind,
        name=args.name,
        version=args.version or str(number),
        counter=number,
        issued_s=int(repository.now.timestamp()),
        target=TargetFile("", 0, ""),
        hardware_ids=tuple(sorted(set(args.hardware))),
        needs=tuple(map(read_need, args.needs)),
        agent=args.agent,
        summary=args.summary,
    )
    return with_rollout(args, made)


def with_rollout(args: argparse.Namespace, release: Release) -> Release:
    """The same release for whom and when the flags say; what they leave out stays.

    Raises:
        RequestError: a flag is malformed.
    """
    rollout = release.rollout
    if args.percent is not None:
        rollout = rollout._replace(fraction=round(args.percent * WHOLE / 100))
    if args.full_after_hours is not None:
        rollout = rollout._replace(full_after_s=round(args.full_after_hours * _HOUR_S))
    if args.starts is not None:
        rollout = rollout._replace(starts_s=read_time(args.starts))
    windows = release.windows if args.window is None else tuple(map(read_window, args.window))
    defer_s = release.defer_s if args.defer_hours is None else round(args.defer_hours * _HOUR_S)
    urgency: Urgency = release.urgency if args.urgency is None else args.urgency
    if urgency is Urgency.URGENT and not defer_s:
        raise RequestError("expected --defer-hours N with --urgency urgent: how long it may wait")
    return replace(release, rollout=rollout, windows=windows, defer_s=defer_s, urgency=urgency)


def file_path(release: Release, suffix: str) -> str:
    """Where a file of a release is in the repository."""
    return f"{FOLDERS[release.kind]}/{release.name}/{release.name}-{release.counter}.{suffix}"


def finish(args: argparse.Namespace, repository: Repository, release: Release, **more: Any) -> int:
    """Take the statements in, stage the release, and say so.

    Args:
        args: of the command line.
        repository: that gets it.
        release: with its target and parts stored.
        more: for `stage_release`.

    Raises:
        RequestError: a statement is none, or not about this release; or as `stage_release`.
    """
    from vedette.cli._statement_files import check_statements  # noqa: PLC0415 - a cycle else

    check_statements(args.statement, release)
    stored = [
        store_file(repository, file_path(release, f"statement-{number}.json"), path)
        for number, path in enumerate(args.statement, 1)
    ]
    whole = replace(release, statements=tuple(stored))
    keep = KEPT if args.keep is None else args.keep
    if keep < 1:
        raise RequestError("expected --keep to be 1 or more")
    signers = stage_release(repository, whole, keep=keep, **more)
    return told(args, whole, signers, "staged; next: vedette repo publish")


def told(args: argparse.Namespace, release: Release, signers: list[str], next_step: str) -> int:
    """Say what was staged."""
    lines = [
        f"{release.title}: {release.target.path}, {human_size(release.target.length)}",
        f"signed by {', '.join(signers) or 'no key here'}; {next_step}",
    ]
    return tell(
        args,
        lines,
        kind=release.kind,
        name=release.name,
        counter=release.counter,
        target=release.target._asdict(),
        parts={use: one._asdict() for use, one in release.parts.items()},
        signed_by=signers,
    )


def newest(args: argparse.Namespace, repository: Repository) -> Release:
    """The release that KIND, NAME and --counter name.

    Raises:
        RequestError: there is none.
    """
    found = [one for one in releases(repository) if (one.kind, one.name) == (args.kind, args.name)]
    if args.counter is not None:
        found = [one for one in found if one.counter == args.counter]
    if not found:
        raise RequestError(f"{repository.folder}: there is no such release of {args.kind} "
                           f"{args.name}; see: vedette repo status")  # fmt: skip
    return max(found, key=lambda one: one.counter)


def read_need(text: str) -> Need:
    """`KIND/NAME:COUNTER`.

    Raises:
        RequestError: it is not of that form.
    """
    found = _NEED.fullmatch(text)
    if found is None or found[1] not in list(ReleaseKind):
        raise RequestError(f"--needs {text!a}: expected KIND/NAME:COUNTER, such as rules/main:7")
    return Need(ReleaseKind(found[1]), found[2], int(found[3]))


def read_time(text: str) -> int:
    """Unix time of an ISO 8601 text with its offset.

    Raises:
        RequestError: it is none.
    """
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise RequestError(f"--starts {text!a}: expected such as 2026-12-01T02:00Z") from error
    if found.tzinfo is None:
        raise RequestError(f"--starts {text!a}: expected an offset: Z, or +01:00")
    return int(found.timestamp())


def read_window(text: str) -> Window:
    """`DAYS HH:MM-HH:MM`; one that ends before it begins reaches into the next day.

    Raises:
        RequestError: it is not of that form.
    """
    found = _WINDOW.fullmatch(text.strip().lower())
    if found is None:
        raise RequestError(
            f"--window {text!a}: expected DAYS HH:MM-HH:MM, such as 'mon-fri 02:00-04:00'"
        )
    opens, ends = _minutes(found[2], found[3], text), _minutes(found[4], found[5], text)
    if opens == DAY_MINUTES:
        raise RequestError(f"--window {text!a}: expected it to open before 24:00")
    return Window(_read_days(found[1], text), opens, (ends - opens) % DAY_MINUTES or DAY_MINUTES)


def _minutes(hours: str, minutes: str, text: str) -> int:
    found = int(hours) * 60 + int(minutes)
    if int(minutes) >= 60 or found > DAY_MINUTES:  # noqa: PLR2004 - minutes of an hour
        raise RequestError(f"--window {text!a}: expected times from 00:00 to 24:00")
    return found


def _read_days(words: str, text: str) -> tuple[int, ...]:
    if words == "daily":
        return tuple(range(len(_DAYS)))
    days: set[int] = set()
    for word in words.split(","):
        first, _, last = word.partition("-")
        if first not in _DAYS or (last or first) not in _DAYS:
            raise RequestError(f"--window {text!a}: expected days of {', '.join(_DAYS)}, or daily")
        start, end = _DAYS.index(first), _DAYS.index(last or first)
        days |= {(start + ahead) % len(_DAYS) for ahead in range((end - start) % len(_DAYS) + 1)}
    return tuple(sorted(days))


def read_file(path: Path, most: int) -> bytes:
    """A file that is read whole.

    Raises:
        RequestError: it cannot be read, or is larger.
    """
    try:
        with path.open("rb") as stream:
            data = stream.read(most + 1)
    except OSError as error:
        raise RequestError(f"{path}: cannot be read: {error.strerror}") from error
    if len(data) > most:
        raise RequestError(f"{path}: expected at most {most} bytes")
    return data
