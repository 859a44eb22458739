"""How many examples a property is tried with, where it needs another number than all others."""

from __future__ import annotations

from hypothesis import HealthCheck, settings


def examples(times: float, *suppressed: HealthCheck) -> settings:
    """A multiple of what the profile in use gives: fewer in `make check`, all in `make test`."""
    count = max(1, round(times * settings().max_examples))
    return settings(max_examples=count, suppress_health_check=suppressed)
