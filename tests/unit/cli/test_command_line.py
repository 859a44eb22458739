"""The command itself: what a person gets for a wrong word, an error, a closed pipe."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

import pytest

from vedette.cli import _command_line as cli
from vedette.daemon import last_words
from vedette.errors import ConfigError


def outcome(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    """Exit code and what stands on stderr."""
    return cli.main(words), capsys.readouterr().err


WRONG = {
    "a mistyped subcommand": (["statsu"], 'unknown subcommand "statsu": did you mean "status"?'),
    "a mistyped flag": (
        ["status", "--jsno"],
        'unknown flag "--jsno": did you mean "--json"? See: vedette status --help',
    ),
    "an abbreviated flag": (["status", "--js"], 'unknown flag "--js": did you mean "--json"?'),
    "a word too many": (["status", "now"], 'expected no further word, got "now"; see: vedette'),
    "a missing word": (["replay"], "the following arguments are required: FILE; see: vedette repl"),
    "a flag of a verb": (
        ["incidents", "list", "--limt=3"],
        'unknown flag "--limt": did you mean "--limit"? See: vedette incidents list --help',
    ),
    "a word that would steer the terminal": (["\x1b[2J"], 'unknown subcommand "\\e[2J": there are'),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_word_gets_one_line_that_says_what_to_do(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words, expected = WRONG[name]
    code, err = outcome(capsys, *words)
    assert code == 2
    assert err.startswith(f"vedette: {expected}")
    assert err.count("\n") == 1


def test_every_subcommand_has_help_with_an_example_and_exit_codes(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in cli.command_names():
        assert cli.main([name, "--help"]) == 0
        text = capsys.readouterr().out.lower()
        assert f"\n  vedette {name}" in text, f"{name}: expected an example to copy"
        assert "exit code" in text, name


def test_an_error_of_ours_is_one_line_without_a_traceback(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    code, err = outcome(capsys, "status", "--config", str(tmp_path / "none.toml"))
    assert code == 2
    assert err.startswith(f"vedette: {tmp_path}/none.toml: cannot read the configuration")
    assert "Traceback" not in err


def test_a_missing_file_is_named(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, err = outcome(capsys, "replay", str(tmp_path / "none"))
    expected = (
        f"vedette: No such file or directory ({tmp_path}/none); "
        "check that it exists and that you may use it\n"
    )
    assert (code, err) == (2, expected)


def test_lines_of_an_error_stay_lines_and_hold_no_control_characters(
    capsys: pytest.CaptureFixture[str],
) -> None:
    last_words.say("first\nsecond \x1b[31m\rthird")
    assert capsys.readouterr().err == "vedette: first\n  second \\e[31m\\rthird\n"


@pytest.mark.parametrize(("raised", "code"), [(KeyboardInterrupt(), 130), (ConfigError("no"), 2)])
def test_exit_codes_of_interrupts_and_errors(
    raised: BaseException, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(words: list[str]) -> int:
        raise raised

    monkeypatch.setattr(cli, "_run", run)
    assert cli.main(["status"]) == code


def test_only_the_chosen_subcommand_is_imported() -> None:
    script = (
        "import sys; from vedette.cli._command_line import main\n"
        "try: main(['restore', '--help'])\n"
        "finally: print(sorted(m for m in sys.modules if m.startswith('vedette.cli.')))"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines()[-1] == str(
        ["vedette.cli._command_line", "vedette.cli._options", "vedette.cli.restore"]
    )


def test_a_closed_pipe_is_quiet() -> None:
    script = (
        "import sys; from vedette.cli import _command_line as cli\n"
        "cli._run = lambda words: print('a line') or 0\n"
        "sys.exit(cli.main([]))"
    )
    reading, writing = os.pipe()
    os.close(reading)
    run = subprocess.run(
        [sys.executable, "-c", script], stdout=writing, stderr=subprocess.PIPE, check=False
    )
    os.close(writing)
    assert (run.returncode, run.stderr) == (141, b"")


def test_files_with_an_underscore_are_no_subcommands() -> None:
    names = cli.command_names()
    assert {"run", "status", "incidents", "doctor", "replay"} <= set(names)
    assert not any(name.startswith(("_", "-")) for name in names)
    assert isinstance(cli.Parser(prog="vedette"), argparse.ArgumentParser)


INTERRUPTED = """
import os, runpy, signal, sys

class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == {at!r}:
            os.kill(os.getpid(), signal.SIGINT)

signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in a shell's background
sys.meta_path.insert(0, Interrupting())
sys.argv[1:] = {words!r}
runpy.run_module({package!r}, run_name="__main__", alter_sys=True)
"""
IMPORTS = {
    "vedette": ("vedette.cli", ["status"], ("argparse", "vedette.errors", "vedette.cli.status")),
    "make": ("vedette_dev", ["images"], ("argparse", "vedette.cli", "vedette_dev.images")),
}


@pytest.mark.parametrize("program", IMPORTS)
def test_an_interrupt_while_python_imports_is_quiet(program: str) -> None:
    package, words, moments = IMPORTS[program]
    for at in moments:
        script = INTERRUPTED.format(at=at, words=words, package=package)
        run = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, check=False
        )
        assert (run.returncode, run.stdout, run.stderr) == (130, "", ""), at
