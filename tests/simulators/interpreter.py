"""A fresh interpreter: for what changes one for good."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

AGENT = Path(__file__).parents[2] / "agent"


def run(code: str) -> object:
    """What it writes as JSON, with the agent on its path and no other settings."""
    command = [
        sys.executable,
        "-I",
        "-c",
        f"import sys; sys.path.insert(0, {str(AGENT)!r})\n{code}",
    ]
    done = subprocess.run(command, capture_output=True, check=True, text=True, timeout=60)
    return json.loads(done.stdout)
