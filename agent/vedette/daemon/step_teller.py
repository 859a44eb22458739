"""Tells the sentinel the steps of an update, and keeps those that it cannot be told yet.

Used by the short-lived processes of an update alone (installer, boot, models).

Rule 1: `tell` returns when the step is on the disk: in the journal, or kept here to be told later.
Whoever gets an error instead must not do what the step allows.
Rule 2: steps are told in their order; what is kept is told before anything new.
Rule 3: what the sentinel refuses is no step of ours and an error; only where it does not answer is
a step kept.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from vedette.codec import strict_json, update_report
from vedette.codec.strict_json import Json
from vedette.daemon import control_client
from vedette.errors import DeviceError, ParseError, StoreError
from vedette.model.release import Release, ReleaseKind
from vedette.model.update import Cause, Step, UpdateReport
from vedette.store import durable

MAX_KEPT = 512
"""Ours: above it nothing is applied until the sentinel has heard what was done."""
MAX_STEP_BYTES = 32 << 10
TIMEOUT_S = 20.0
_SUFFIX = ".step"


class Ask(Protocol):
    """How the sentinel is asked (daemon/control_client.py: ask)."""

    def __call__(
        self, path: Path, do: str, params: Mapping[str, Json] | None = None, *, timeout_s: float
    ) -> dict[str, Json]:
        """Send one request and return its answer."""


class StepTeller:
    """The one way in which a step is told.

    Args:
        socket: the sentinel's control socket.
        folder: a folder of the caller's, 0700; made where it is missing.
        by: who wants the update, as `UpdateReport.by` has it.
        ask: asks the sentinel.
        on_step: told of each step that is on the disk, and whether the sentinel has it.
    """

    def __init__(
        self,
        socket: Path,
        folder: Path,
        *,
        by: str,
        ask: Ask = control_client.ask,
        on_step: Callable[[UpdateReport, bool], None] = lambda _report, _is_told: None,
    ) -> None:
        self._socket, self._folder, self._by, self._ask = socket, folder, by, ask
        self._on_step = on_step
        durable.make_folder(folder)

    def release(
        self,
        step: Step,
        release: Release,
        *,
        cause: Cause = Cause.NONE,
        reason: str = "",
        facts: Mapping[str, str] | None = None,
    ) -> bool:
        """Tell a step of a release; as `tell`."""
        return self.tell(
            UpdateReport(
                new_id(), step, release.kind, release.name, release.version, release.counter,
                release.target.sha256, cause, reason, self._by, int(time.time()), facts or {},
            )
        )  # fmt: skip

    def metadata(self, cause: Cause, reason: str, *, role: str = "", version: str = "") -> bool:
        """Tell that metadata of the repository were refused; as `tell`."""
        return self.tell(
            UpdateReport(
                new_id(), Step.REFUSED, None, role, version, 0, "", cause, reason, self._by,
                int(time.time()),
            )
        )  # fmt: skip

    def name(
        self,
        step: Step,
        kind: ReleaseKind,
        name: str,
        *,
        version: str = "",
        counter: int = 0,
        digest: str = "",
        cause: Cause = Cause.NONE,
        reason: str = "",
        facts: Mapping[str, str] | None = None,
    ) -> bool:
        """Tell a step of a release of which no more than its name is at hand; as `tell`."""
        return self.tell(
            UpdateReport(
                new_id(), step, kind, name, version, counter, digest, cause, reason, self._by,
                int(time.time()), facts or {},
            )
        )  # fmt: skip

    def tell(self, report: UpdateReport) -> bool:
        """Tell one step.

        Returns:
            Whether the sentinel has it; False where it is kept to be told later.

        Raises:
            RequestError: the sentinel refuses to record it.
            StoreError: it could be neither told nor kept: do not go on.
        """
        if self.flush():
            try:
                self._send(report)
            except DeviceError:
                pass  # it went away since: kept like all others
            else:
                self._on_step(report, True)
                return True
        self._keep(report)
        self._on_step(report, False)
        return False

    def flush(self) -> bool:
        """Tell what was kept, oldest first; whether nothing is left.

        Raises:
            StoreError: what is kept cannot be read or forgotten.
        """
        for path in self._kept():
            report = _read(path)
            if report is not None:
                try:
                    self._send(report)
                except DeviceError:
                    return False
            durable.remove(path)
        return True

    def _send(self, report: UpdateReport) -> None:
        params: dict[str, Json] = {"step": update_report.plain(report)}
        self._ask(self._socket, "update.tell", params, timeout_s=TIMEOUT_S)

    def _keep(self, report: UpdateReport) -> None:
        kept = self._kept()
        if len(kept) >= MAX_KEPT:
            raise StoreError(
                f"{self._folder}: {MAX_KEPT} steps wait to be told; start the agent (vedette run) "
                "before anything more is applied"
            )
        number = int(kept[-1].stem) + 1 if kept else 1
        data = json.dumps(update_report.plain(report)).encode()
        durable.write(self._folder / f"{number:012d}{_SUFFIX}", data)

    def _kept(self) -> list[Path]:
        try:
            names = sorted(self._folder.iterdir())
        except OSError as error:
            raise StoreError(f"{self._folder}: cannot be read: {error.strerror}") from error
        return [path for path in names if path.suffix == _SUFFIX and path.stem.isdecimal()]


def new_id() -> str:
    """An id for a step."""
    return secrets.token_hex(8)


def _read(path: Path) -> UpdateReport | None:
    """A kept step; None for what no `write` of ours left (a damaged disk)."""
    data = durable.read(path, MAX_STEP_BYTES)
    try:
        return update_report.parse(strict_json.parse(data or b"", max_bytes=MAX_STEP_BYTES))
    except ParseError:
        return None
