"""Changes a configuration file that the rules watch, drawn at random from the compiled rules.

The file lies in a throwaway tree that the agent watches beside the real one; no file of this
machine is touched. ATT&CK T1546, T1037, T1556 and others, as the drawn rule says.
"""

from __future__ import annotations

from vedette_dev.stage import Drawn, Stage

TECHNIQUE = "T1565.001"
EXPECTS = ("attack.",)

_OTHER_ATTACKS = ("cron", "ssh", "/tmp", "/dev", "/shm", "/run")


def act(stage: Stage) -> str:
    drawn = stage.draw(
        "file_event", "TargetFilename", operators=("contains", "endswith"), where=_is_configuration
    )
    tree = stage.watched_folder()
    value = drawn.match.value.lstrip("/")
    target = tree / (value + stage.word() if drawn.match.value.endswith("/") else value)
    target.parent.mkdir(parents=True)
    target.write_text("# as installed\n")
    stage.begin()
    with target.open("a") as config:
        config.write(f"# {stage.word()}\n")
    return tree.name


def _is_configuration(drawn: Drawn) -> bool:
    value = drawn.match.value
    return value.startswith("/etc/") and not any(word in value for word in _OTHER_ATTACKS)
