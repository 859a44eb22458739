"""Steps of an update that wait to be told while the sentinel does not run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.powercut.story import Mark, Promises, require

from vedette.codec.strict_json import Json
from vedette.daemon.control_client import NotRunningError
from vedette.daemon.step_teller import Ask, StepTeller
from vedette.model.release import ReleaseKind
from vedette.model.update import Step

STEPS = 6


def play(folder: Path, mark: Mark) -> None:
    """Steps are kept, told when the sentinel runs, and kept again."""
    for number in range(1, STEPS + 1):
        mark(f"begun {number}")
        _teller(folder, _refuse).name(Step.VERIFIED, ReleaseKind.RULES, "core", counter=number)
        mark(f"done {number}")
        if number == STEPS // 2:
            mark(f"telling {number}")
            _teller(folder, _take).flush()
            mark(f"told {number}")


def check(folder: Path, marks: Sequence[str]) -> None:
    """Every kept step that was not told is told now, in order; the one begun may be."""
    promises = Promises(marks)
    log = folder / "heard"  # a step is heard once for all, also by a start that was cut itself

    def hear(
        path: Path, do: str, params: Mapping[str, Json] | None = None, *, timeout_s: float
    ) -> dict[str, Json]:
        step = (params or {})["step"]
        require(isinstance(step, dict), "no step was told")
        with log.open("a") as heard:
            heard.write(f"{step['counter']}\n")  # type: ignore[call-overload, index]
        return {}

    require(_teller(folder, hear).flush(), "steps are left that cannot be told")
    heard = [int(line) for line in log.read_text().splitlines()] if log.exists() else []
    told = max(promises.last("telling"), promises.last("told"))
    missing = set(range(told + 1, promises.last("done") + 1)) - set(heard)
    require(not missing, f"steps that nobody will hear of: {sorted(missing)}")
    require(heard == sorted(heard), f"expected the steps in order, got {heard}")
    require(all(one <= promises.last("begun") for one in heard), f"invented: {heard}")


def _teller(folder: Path, ask: Ask) -> StepTeller:
    return StepTeller(folder / "none", folder / "steps", by="boot", ask=ask)


def _refuse(
    path: Path, do: str, params: Mapping[str, Json] | None = None, *, timeout_s: float
) -> dict[str, Json]:
    raise NotRunningError("the sentinel does not run")


def _take(
    path: Path, do: str, params: Mapping[str, Json] | None = None, *, timeout_s: float
) -> dict[str, Json]:
    return {}
