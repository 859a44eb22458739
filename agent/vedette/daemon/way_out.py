"""Tells a blocked way out from a network that is down.

Rule 1: blocked is: no session for BLOCKED_S, while the interfaces that lead out receive packets.
Rule 2: told once for each time that no session could be had.
Rule 3: what cannot be read counts as a network that is down: this is a finding, never a guess.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from vedette.codec.procnet import default_interfaces
from vedette.errors import ParseError

BLOCKED_S: Final = 180.0
"""Longer than a broker's restart, and than our own longest pause between two tries."""
ALIVE_PACKETS: Final = 60
"""In that time: a link on which nobody answers still brings a few packets (ARP, neighbours)."""


class WayOut:
    """Follows session and network.

    Args:
        now_s: seconds of a clock that does not jump.
        proc: where proc(5) is mounted.
        sys: where sysfs(5) is mounted.
    """

    def __init__(self, now_s: float, proc: Path = Path("/proc"), sys: Path = Path("/sys")) -> None:
        self._proc, self._sys = proc, sys
        self._since_s = now_s
        self._is_told = False
        self._before = self._received()

    def blocked(self, now_s: float, *, is_up: bool) -> str:
        """What speaks for a blocked way out, for people; "" while nothing does, or it was told."""
        if is_up:
            self._begin(now_s)
            return ""
        if self._is_told or now_s - self._since_s < BLOCKED_S:
            return ""
        now = self._received()
        grown = {name: now[name] - self._before[name] for name in now if name in self._before}
        best = max(grown, key=grown.__getitem__, default="")
        if not best or grown[best] < ALIVE_PACKETS:
            self._begin(now_s)  # look at the next span: the network may come back and we may not
            return ""
        self._is_told = True
        lasted_s = now_s - self._since_s
        return (
            f"no session with the broker for {lasted_s:.0f} s, while {best} received "
            f"{grown[best]} packets"
        )

    def _begin(self, now_s: float) -> None:
        self._since_s = now_s
        self._is_told = False
        self._before = self._received()

    def _received(self) -> dict[str, int]:
        """Packets received by the interfaces that have a default route."""
        try:
            routes = (self._proc / "net/route").read_text("ascii", "replace")
            names = default_interfaces(routes)
            return {name: self._packets(name) for name in names}
        except (OSError, ParseError, ValueError):
            return {}

    def _packets(self, name: str) -> int:
        return int((self._sys / "class/net" / name / "statistics/rx_packets").read_text("ascii"))
