"""The models of this device, put into use and rolled back (ports.models.ModelsInUse).

Rule: nothing is imported before a model is asked for: the sentinel has one of these from its start.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from vedette.daemon.model_options import Models
from vedette.errors import DeviceError
from vedette.ports.models import ModelsInUse

if TYPE_CHECKING:
    from vedette.model.model_use import ModelPointers, ModelUse
    from vedette.store.models import ModelStore

CURRENT = "current"
_MIB = 1 << 20


class DeviceModels(ModelsInUse):
    """As the configuration has them.

    Args:
        models: the [models] table.
    """

    def __init__(self, models: Models) -> None:
        self._models = models
        self._store: ModelStore | None = None

    @property
    def store(self) -> ModelStore:
        """Where they lie."""
        if self._store is None:
            from vedette.store.models import ModelStore  # noqa: PLC0415 (see the rule)

            folder = Path(self._models.folder)
            self._store = ModelStore(folder, max_bytes=self._models.max_mb * _MIB)
        return self._store

    def names(self) -> list[str]:
        """The models there are; where none ever was, nothing is imported to say so."""
        return self.store.names() if Path(self._models.folder).is_dir() else []

    def pointers(self, name: str) -> ModelPointers:
        """What of a model is in use."""
        return self.store.pointers(name)

    def has(self, name: str, digest: str) -> bool:
        """Whether a content is there."""
        return digest in self.store.digests(name)

    def roll_back(self, name: str) -> str:
        """Put what was in use before into use again."""
        self.store.roll_back(name)
        return self._tell(name)

    def put_back(self, name: str, digest: str) -> str:
        """Put a content into use that was in use before."""
        if self.store.pointers(name).current != digest:
            self.store.switch(name, digest)
        self.store.commit(name, digest)
        return self._tell(name)

    def recover(self) -> dict[str, str]:
        """After a start: end trials that were cut; why the user of each could not be told, or "".

        Where there are no models no folder is made: a device without them may have no place for it,
        and its firmware must come all the same.

        Raises:
            StoreError: the disk does not allow it.
        """
        if not Path(self._models.folder).is_dir():
            return {}
        return {name: self._tell(name) for name in self.store.recover()}

    def use_of(self, name: str) -> ModelUse:
        """Who uses a model; nobody, where the configuration names nobody."""
        from vedette.model.model_use import ModelUse  # noqa: PLC0415 (see the rule)

        return self._models.uses.get(name, ModelUse(name, trial_s=0))

    def tell(self, name: str) -> None:
        """Tell the user of a model what is in force.

        Raises:
            HookError: it was not told, or says no.
        """
        from vedette.daemon.models import hook  # noqa: PLC0415 (see the rule)

        digest = self.store.pointers(name).current
        hook.tell(self.use_of(name), digest, self.store.folder / name / CURRENT)

    def _tell(self, name: str) -> str:
        try:
            self.tell(name)
        except DeviceError as error:
            return str(error)
        return ""
