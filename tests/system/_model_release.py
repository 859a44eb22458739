"""Model releases as they come to a device: a source, a teller that listens, the real applier."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from tests.simulators.model_content import NAME, MadeModel, make
from tests.simulators.tuf_repository import MemorySource, Repository
from tests.system._worker import LIMITS, USER, plain_model, plain_models

from vedette.codec.strict_json import Json
from vedette.daemon.appliers import model as model_applier
from vedette.daemon.appliers.applier import Applied, Context
from vedette.daemon.config import Config
from vedette.daemon.model_options import Models
from vedette.daemon.step_teller import Ask, StepTeller
from vedette.daemon.update_options import Updates
from vedette.model.model_manifest import RunLimits
from vedette.model.model_use import ModelUse
from vedette.model.release import Release, ReleaseKind, TargetFile
from vedette.store.models import ModelStore
from vedette.store.state import FileState
from vedette.trust.tuf_floors import Floors


class Site:
    """A device and where its models come from.

    Attributes:
        steps: what was told, as the sentinel would get it.
    """

    def __init__(self, folder: Path, **options: Any) -> None:
        plain = plain_models(folder)
        options.setdefault("uses", {NAME: ModelUse(NAME, trial_s=0)})
        self.models = Models(folder=plain.folder, runners=plain.runners, **options)
        self.store = ModelStore(Path(plain.folder), max_bytes=self.models.max_mb << 20)
        self.source = MemorySource(Repository())
        self.steps: list[dict[str, Any]] = []
        teller = StepTeller(
            folder / "control", folder / "steps", by="schedule", ask=cast("Ask", self._hear)
        )
        config = Config(models=self.models, updates=Updates(worker=USER))
        floors = Floors(FileState(folder / "floors"), 0)
        self.context = Context(config, teller, folder / "staging", floors)
        self._counter = 0

    def publish(self, made: MadeModel, version: str = "1") -> Release:
        digest = made.digest
        self._counter += 1
        path = f"models/{NAME}/{NAME}.json"
        self.source.targets[f"models/{NAME}/{digest}.{NAME}.json"] = made.data
        for one, data in made.content.items():
            self.source.targets[f"models/{NAME}/{one}.{one}"] = data
        return Release(
            ReleaseKind.MODEL, NAME, version, self._counter, 1, TargetFile(
                path, len(made.data), digest
            ),
        )  # fmt: skip

    def apply(self, release: Release) -> Applied:
        return model_applier.applier(self.context).apply(release, self.source)

    def told(self) -> list[tuple[str, str]]:
        """(step, cause) of each."""
        return [(one["step"], one["cause"]) for one in self.steps]

    def reason(self) -> str:
        return str(self.steps[-1]["reason"])

    def in_use(self) -> str:
        """Which version the inference process opens, "" for none."""
        place = self.store.folder / NAME / "current/model/model.json"
        return hashlib.sha256(place.read_bytes()).hexdigest() if place.exists() else ""

    def _hear(
        self, _path: Path, do: str, params: Mapping[str, Json] | None = None, **_options: object
    ) -> dict[str, Json]:
        assert do == "update.tell"
        assert params is not None
        step: Any = params["step"]
        self.steps.append({"cause": "", "reason": "", "facts": {}, **step})
        return {}


def model(
    act: str = "answer", *, version: str = "1", limits: RunLimits = LIMITS, signature: bytes = b""
) -> MadeModel:
    files, golden, _, _ = plain_model(act, version=version)
    return make(files, golden=golden, limits=limits, version=version, signature=signature)


def entry(made_version: str, act: str = "answer") -> str:
    """As `Site.in_use` gives it."""
    files, _, _, _ = plain_model(act, version=made_version)
    return hashlib.sha256(files["model.json"]).hexdigest()
