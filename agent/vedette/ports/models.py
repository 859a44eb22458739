"""The port of the models in use: what a response rolls back, and brings back.

Rule 1: `roll_back` and `put_back` switch first and tell the inference process afterwards: what it
opens from then on is the right one, whether or not it heard.
Rule 2: calls block: some fsyncs, and whatever the inference process takes to answer.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the sentinel has this port, and mostly no models
    from vedette.model.model_use import ModelPointers


class ModelsInUse(ABC):
    """The models of this device."""

    @abstractmethod
    def names(self) -> list[str]:
        """The models there are.

        Raises:
            StoreError: they cannot be listed.
        """

    @abstractmethod
    def pointers(self, name: str) -> ModelPointers:
        """What of a model is in use.

        Raises:
            StoreError: it cannot be read.
        """

    @abstractmethod
    def has(self, name: str, digest: str) -> bool:
        """Whether a content of a model is there, to be put into use."""

    @abstractmethod
    def roll_back(self, name: str) -> str:
        """Put what was in use before into use again.

        Returns:
            Why its user could not be told, or "".

        Raises:
            StoreError: there is nothing to return to, or the disk did not take it.
        """

    @abstractmethod
    def put_back(self, name: str, digest: str) -> str:
        """Put a content into use that was in use before, without a trial; `roll_back`'s opposite.

        Returns:
            Why its user could not be told, or "".

        Raises:
            StoreError: it is not there, or the disk did not take it.
        """
