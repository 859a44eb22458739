"""What a run measured and saw, one JSON line each, for the report that the run writes."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from tests.device._device import ARCH, REPOSITORY

FOLDER = REPOSITORY / "build" / "qemu-test"


def tell(what: str, **facts: Any) -> None:
    """Add a line to this architecture's report."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    line = {"what": what, "arch": ARCH, "at_s": round(time.time()), **facts}
    with path().open("a") as stream:
        stream.write(json.dumps(line) + "\n")


def path() -> Path:
    """Of this architecture's report."""
    return FOLDER / f"{ARCH}.jsonl"
