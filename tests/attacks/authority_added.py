"""Adds a certificate authority, so that forged servers are believed.

ATT&CK T1553.004. Cleanup: the throwaway root is removed.
"""

from __future__ import annotations

import base64
import secrets

from vedette_dev.stage import Stage

TECHNIQUE = "T1553.004"
EXPECTS = ("attack.t1553", "attack.t1557")


def act(stage: Stage) -> str:
    body = base64.b64encode(secrets.token_bytes(300)).decode()
    return stage.type(
        f"echo '-----BEGIN CERTIFICATE-----{body}' >/etc/ssl/certs/{stage.word()}.pem"
    )
