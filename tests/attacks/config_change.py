"""Changes a configuration file that the rules watch, drawn at random from the compiled rules.

The file lies in a throwaway tree that the agent watches beside the real one; no file of this
machine is touched. ATT&CK T1565.001, or what the drawn rule says.
"""

from __future__ import annotations

from vedette_dev.stage import Drawn, Stage

TECHNIQUE = "T1565.001"
EXPECTS = ("attack.t",)
"""Any technique: which one it is depends on the file."""


def act(stage: Stage) -> str:
    drawn = stage.draw(
        "file_event", "TargetFilename", operators=("endswith",), where=_is_configuration
    )
    tree = stage.watched_folder()
    target = tree / drawn.match.value.lstrip("/")
    target.parent.mkdir(parents=True)
    target.write_text("# as installed\n")
    stage.begin()
    with target.open("a") as config:
        config.write(f"# {stage.word()}\n")
    return tree.name


def _is_configuration(drawn: Drawn) -> bool:
    return drawn.match.value.startswith("/etc/") and "cron" not in drawn.match.value
