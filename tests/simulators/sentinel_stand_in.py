"""A sentinel's control socket for processes of an update: it answers what a test says."""

from __future__ import annotations

import json
import socket
import threading
from pathlib import Path
from types import TracebackType
from typing import Any, Self


class SentinelStandIn:
    """Serves the socket from a thread; use it as a context.

    Args:
        path: of the control socket.

    Attributes:
        reasons: what update.health says is wrong; empty: it is well.
        critical: how many critical incidents it tells.
        probes: what update.probe answers.
        told: the steps, in order.
        asked: the names of all requests.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.reasons: list[str] = []
        self.critical = 0
        self.probes: list[dict[str, object]] = []
        self.told: list[dict[str, Any]] = []
        self.asked: list[str] = []
        self._listening = socket.socket(socket.AF_UNIX)
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Self:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.unlink(missing_ok=True)
        self._listening.bind(str(self._path))
        self._listening.listen(8)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join(10)

    def steps(self) -> list[str]:
        """The steps in words."""
        return [str(one["step"]) for one in self.told]

    def _serve(self) -> None:
        while True:
            try:
                client = self._listening.accept()[0]
            except OSError:
                return
            with client, client.makefile("rwb") as stream:
                request = json.loads(stream.readline())
                answer = self._answer(request["do"], request["with"])
                stream.write(json.dumps({"ok": answer}).encode() + b"\n")

    def _answer(self, do: str, params: dict[str, Any]) -> dict[str, object]:
        self.asked.append(do)
        match do:
            case "update.tell":
                self.told.append(params["step"])
                return {"epoch": 1, "index": len(self.told), "is_new": True}
            case "update.health":
                rows = [{"id": f"{n:016x}", "title": "t"} for n in range(self.critical)]
                named = [f"critical incident {row['id']}: t" for row in rows]
                return {"well": False, "reasons": [*self.reasons, *named], "critical": rows}
            case "update.probe":
                return {"probes": self.probes}
            case _:
                return {"done": ""}
