"""Adds a key that opens an account, in a temporary home below the watched throwaway tree.

ATT&CK T1098.004.
"""

from __future__ import annotations

import base64
import secrets

from vedette_dev.stage import Stage

TECHNIQUE = "T1098.004"
EXPECTS = ("attack.t1098",)


def act(stage: Stage) -> str:
    home = stage.watched_folder() / "home" / stage.word()
    keys = home / ".ssh" / "authorized_keys"
    keys.parent.mkdir(parents=True, mode=0o700)
    key = base64.b64encode(secrets.token_bytes(51)).decode()
    stage.begin()
    keys.write_text(f"ssh-ed25519 {key} {stage.word()}\n")
    return home.name
