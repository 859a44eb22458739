"""What `vedette enroll` is given: files and words, from flags and from a folder.

Rule 1: a flag goes before the folder.
Rule 2: every file is read once, bounded, here; what is verified is what is written.
Rule 3: a folder that others can write to is refused: a root of trust is believed because of where
it lies. So is a private key: keys are made on the device.
"""

from __future__ import annotations

import argparse
import os
import stat
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from vedette.codec.dsse import MAX_ENVELOPE_BYTES
from vedette.codec.text import escape
from vedette.daemon.config import Device
from vedette.daemon.schema import Kind, Mistake, kinds, read_table, unknown
from vedette.daemon.update_options import Updates
from vedette.daemon.uplink_options import Uplink
from vedette.errors import RequestError

WORDS: Mapping[str, tuple[str, str]] = {
    "device": ("device", "id"),
    "tenant": ("device", "tenant"),
    "class": ("device", "class"),
    "groups": ("device", "groups"),
    "broker": ("uplink", "host"),
    "port": ("uplink", "port"),
    "updates": ("updates", "source"),
}
"""What may be said in a word, and where the configuration has it (table, key)."""

FILES: Mapping[str, str] = {
    "trust": "trust.json",
    "root": "root.json",
    "rules": "rules.bundle",
    "playbooks": "playbooks.signed",
    "profile": "device.profile",
    "ca": "ca.pem",
    "certificate": "device.pem",
}
"""What is brought as a file: its flag, and its name in a folder."""

WORDS_FILE = "enroll.toml"
_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK  # a fifo must not hold us


class Brought(NamedTuple):
    """One file."""

    path: Path
    data: bytes


class Offer(NamedTuple):
    """All that is brought.

    Attributes:
        words: by (table, key) of the configuration.
        files: by flag.
        spent: files of the device's own folder: once taken they are removed from it, so that the
            next enrolment doesn't bring old ones again.
    """

    words: Mapping[tuple[str, str], object]
    files: Mapping[str, Brought]
    spent: tuple[Path, ...] = ()


def read(args: argparse.Namespace, default: Path) -> Offer:
    """Read what flags and folder bring.

    Args:
        args: of `vedette enroll`.
        default: the folder where none is named; it need not be there.

    Raises:
        RequestError: something cannot be read or is malformed; one line for each mistake.
    """
    folder = args.folder if args.folder is not None else default if default.is_dir() else None
    mistakes: list[str] = []
    words: dict[str, object] = {}
    paths: dict[str, Path] = {}
    names: frozenset[str] = frozenset()
    if folder is not None:
        names = _names(folder, mistakes)
        paths = {flag: folder / name for flag, name in FILES.items() if name in names}
        if WORDS_FILE in names:
            words = _document(folder / WORDS_FILE, mistakes)
    given = vars(args)
    paths |= {flag: given[flag] for flag in FILES if given[flag] is not None}
    found = _words(words, f"{folder}/{WORDS_FILE}: ", mistakes)
    found |= _words(
        {word: given[word] for word in WORDS if given[word] is not None}, "--", mistakes
    )
    files = {}
    for flag, path in paths.items():
        data = _data(path, mistakes)
        if data is not None:
            files[flag] = Brought(path, data)
    if mistakes:
        raise RequestError("\n".join(mistakes))
    spent = [folder / name for name in sorted(names)] if args.folder is None and folder else []
    return Offer(found, files, tuple(spent))


def _names(folder: Path, mistakes: list[str]) -> frozenset[str]:
    """The files of a folder that is ours alone; hidden ones are not looked at."""
    try:
        place = folder.stat()
        names = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    except OSError as error:
        mistakes.append(f"{folder}: expected a folder to enroll from: {error.strerror}")
        return frozenset()
    _require_ours(folder, place, mistakes)
    known = {*FILES.values(), WORDS_FILE}
    for name in names:
        if name.endswith(".key"):
            mistakes.append(
                f"{folder}/{escape(name)}: expected no private key: keys are made on this device; "
                "have its request signed (device.csr) and bring device.pem"
            )
        elif name not in known:
            mistakes.append(f"{folder}: {unknown('file', name, known)}")
    return frozenset(names)


def _require_ours(path: Path, found: os.stat_result, mistakes: list[str]) -> None:
    if found.st_uid not in (0, os.geteuid()) or found.st_mode & 0o022:
        mistakes.append(
            f"{path}: expected that root alone can write it, got {stat.filemode(found.st_mode)} of "
            f"uid {found.st_uid}: look at what it holds, then chown root and chmod go-w"
        )


def _document(path: Path, mistakes: list[str]) -> dict[str, object]:
    data = _data(path, mistakes)
    try:
        return tomllib.loads((data or b"").decode())
    except (ValueError, RecursionError) as error:
        mistakes.append(f"{path}: not TOML: {escape(str(error))}")
        return {}


def _words(
    table: Mapping[str, object], place: str, mistakes: list[str]
) -> dict[tuple[str, str], object]:
    sections = {"device": kinds(Device), "uplink": kinds(Uplink), "updates": kinds(Updates)}
    known: dict[str, Kind[object]] = {
        word: sections[section][key] for word, (section, key) in WORDS.items()
    }
    wrong: list[Mistake] = []
    good = read_table(dict(table), (), known, wrong)
    mistakes.extend(f"{place}{mistake.message}" for mistake in wrong)
    return {WORDS[word]: value for word, value in good.items()}


def _data(path: Path, mistakes: list[str]) -> bytes | None:
    try:
        descriptor = os.open(path, _READ)
        with os.fdopen(descriptor, "rb") as stream:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode):
                mistakes.append(f"{path}: expected a file, got {stat.filemode(found.st_mode)}")
                return None
            _require_ours(path, found, mistakes)
            data = stream.read(MAX_ENVELOPE_BYTES + 1)
    except OSError as error:
        mistakes.append(f"{path}: cannot be read: {error.strerror}")
        return None
    if len(data) > MAX_ENVELOPE_BYTES:
        mistakes.append(f"{path}: expected at most {MAX_ENVELOPE_BYTES} bytes, got more")
        return None
    return data
