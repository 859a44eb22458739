"""A model in use with the one before it, in a throwaway store, for rollback_model."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

from tests.contract.scenes.scene import Scene
from tests.simulators.model_content import NAME, MadeModel, make, stage

from vedette.daemon.model_options import Models
from vedette.daemon.models.in_use import DeviceModels
from vedette.model.response import ModelTarget
from vedette.ports.responder import ResponderContext
from vedette.store import durable
from vedette.store.models import ModelStore


def version(number: int) -> MadeModel:
    return make({"m.onnx": b"w" * 1000 + b"%d" % number}, version=str(number))


class ModelScene(Scene):
    """Version 2 is in use, version 1 was before; contained once it is out of use."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.models = Models(folder=str(folder / "models"))
        self.store = ModelStore(folder / "models", max_bytes=1 << 20)
        self.first, self.second = self._use(version(1)), self._use(version(2))

    def _use(self, made: MadeModel) -> str:
        digest = stage(self.store, made)
        self.store.switch(NAME, digest)
        self.store.commit(NAME, digest)
        return digest

    def equip(self, context: ResponderContext) -> ResponderContext:
        models = DeviceModels(self.models)
        models.tell(NAME)  # what is imported with the first call counts as no step of it
        return dataclasses.replace(context, models=models)

    def target(self) -> ModelTarget:
        return ModelTarget(NAME, self.second)

    def state(self) -> object:
        home = self.store.folder / NAME
        # A link that a kill left half made leads nobody anywhere; the next switch takes it.
        found = {path.name for path in home.iterdir() if not durable.is_temporary(path)}
        entries = found - {"staging"}
        opened = (home / "current/model/m.onnx").read_bytes()
        return [
            entries,
            *(str((home / name).readlink()) for name in ("current", "last-good")),
            opened,
        ]

    def is_contained(self) -> bool:
        opened = (self.store.folder / NAME / "current/model/m.onnx").read_bytes()
        return opened == b"w" * 1000 + b"1"

    def vanish(self) -> bool:
        shutil.rmtree(self.store.folder / NAME)
        return True

    def replace(self) -> bool:
        self.third = self._use(version(3))
        return True

    def is_replacement_untouched(self) -> bool:
        return self.store.pointers(NAME).current == self.third

    def take_away(self) -> bool:
        """An operator puts the second one into use again."""
        self._use(version(2))
        return True

    def reboot(self) -> bool:
        return True

    def close(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


scene_class = ModelScene
