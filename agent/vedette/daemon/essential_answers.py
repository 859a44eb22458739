"""Says in `status` and `doctor` how the essential functions stand.

ESSENTIAL is {functions: [{name, up: bool or null, detail, pids: [int]}], problem}; up is null until
a function was probed, and problem says why the last round of probes could not be made.
"""

from __future__ import annotations

from vedette.codec.strict_json import Json
from vedette.daemon.essentials import Essentials


def essential(found: Essentials) -> dict[str, Json]:
    """How they stand."""
    functions: list[Json] = []
    for one in found.functions:
        probed = found.newest.get(one.name)
        functions.append(
            {
                "name": one.name,
                "up": probed.is_up if probed else None,
                "detail": probed.detail if probed else "not probed yet",
                "pids": [*probed.pids] if probed else [],
            }
        )
    return {"functions": functions, "problem": found.problem}
