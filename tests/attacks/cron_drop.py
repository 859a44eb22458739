"""Drops a job where cron looks for them.

The file lies in a throwaway tree that the agent watches, as the overlay of a router would: cron of
this machine never sees it. ATT&CK T1053.003.
"""

from __future__ import annotations

from vedette_dev.stage import Stage

TECHNIQUE = "T1053.003"
EXPECTS = ("attack.t1053",)


def act(stage: Stage) -> str:
    name = stage.word()
    table = stage.watched_folder() / "etc" / "cron.d"
    table.mkdir(parents=True)
    stage.begin()
    (table / name).write_text(f"*/5 * * * * root /bin/true {stage.word()}\n")
    return name
