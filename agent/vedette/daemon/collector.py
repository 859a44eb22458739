"""Python's cycle collector, kept off what is made by the hundred thousand and stays."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def paused() -> Iterator[None]:
    """Make what stays within, such as rules and their index; what is made is never looked at again.

    While objects grow in number the collector looks through all of them again and again, for tens
    of milliseconds at once. What is made here must hold no circles: it is freed by its reference
    counts alone. Not to be nested.
    """
    gc.collect()  # short from the second time on: what stayed before is frozen
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
