"""A corpus is read whole, or refused with the place of what is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from vedette.errors import DeviceError
from vedette_dev.corpus import INSIDE, read_corpus

GOOD = {"technique": "T1057", "name": "n", "executor": "bash", "command": "ps\n"}


def write(folder: Path, document: object) -> Path:
    path = folder / "corpus.json"
    path.write_text(json.dumps(document))
    return path


def test_commands_are_numbered_in_the_order_of_the_file(tmp_path: Path) -> None:
    found = read_corpus(write(tmp_path, {"tests": [GOOD, {**GOOD, "command": "id"}]}))
    assert [(one.number, one.text, one.shell) for one in found] == [
        (0, "ps\n", "bash"),
        (1, "id", "bash"),
    ]


def test_the_placeholder_becomes_a_folder_inside(tmp_path: Path) -> None:
    text = "cp PathToAtomicsFolder/a $PathToAtomicsFolder/b"
    (found,) = read_corpus(write(tmp_path, {"tests": [{**GOOD, "command": text}]}))
    assert found.text == f"cp {INSIDE}/a {INSIDE}/b"


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ([], "expected an object with a list `tests`"),
        ({"tests": []}, "expected an object with a list `tests`"),
        ({"tests": ["x"]}, r"tests\[0\]: expected an object, got str"),
        ({"tests": [GOOD, {**GOOD, "command": " "}]}, r"tests\[1\]: expected a text `command`"),
        ({"tests": [{**GOOD, "technique": 5}]}, "expected a text `technique`, got 5"),
        ({"tests": [{**GOOD, "executor": "powershell"}]}, "expected executor sh or bash"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(
    document: object, words: str, tmp_path: Path
) -> None:
    with pytest.raises(DeviceError, match=words):
        read_corpus(write(tmp_path, document))


def test_a_missing_or_broken_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match="name a corpus with --corpus"):
        read_corpus(tmp_path / "none.json")
    broken = tmp_path / "broken.json"
    broken.write_text("{")
    with pytest.raises(DeviceError, match="expected JSON"):
        read_corpus(broken)
