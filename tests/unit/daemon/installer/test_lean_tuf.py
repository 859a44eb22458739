from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

AGENT = Path(__file__).parents[4] / "agent"
PROGRAM = """
import json, sys
sys.path.insert(0, sys.argv[1])
from vedette.daemon.installer import lean_tuf
lean_tuf.leave_out_http()
from vedette.trust import tuf_client
from tuf.ngclient import Updater, Urllib3Fetcher
try:
    Urllib3Fetcher()
except RuntimeError as error:
    words = str(error)
loaded = [name for name in ("urllib3", "http.client", "ssl", "requests") if name in sys.modules]
print(json.dumps([loaded, words]))
"""


def test_the_installer_loads_no_http_client() -> None:
    """In a process of its own; tuf 7.0 must still look where we put the stand-in."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(AGENT)], check=True, capture_output=True, text=True
    )
    loaded, words = json.loads(done.stdout)
    assert loaded == []
    assert "no network" in words
