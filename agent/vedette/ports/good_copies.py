"""The port of good copies: small watched files as they were when the baseline took them.

Rule: a copy whose content does not have the digest that is asked for is none.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from vedette.model.baseline import GoodCopy


class GoodCopies(ABC):
    """Copies by path. Calls may block on the disk: use them in a worker thread."""

    @abstractmethod
    def find(self, path: str, sha256: str) -> GoodCopy | None:
        """The copy of a path whose content has this digest, or None.

        Raises:
            StoreError: the disk does not give it.
        """
