"""Keeps out of a resident's memory what it never uses: modules that others import, freed blocks.

Rule 1: called by a process that stays, as its first act; never by a module that others import, and
never by a test in its own process: `sys.modules` is changed for good.
Rule 2: nothing is lost by it: a module put off by `later` is whole as soon as anybody uses it, and
one refused by `never` is one whose importers are written to live without it.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

UNUSED = (
    "inspect", "ipaddress", "locale",
    "asyncio.sslproto", "asyncio.streams", "asyncio.subprocess",
)  # fmt: skip
"""What asyncio, dataclasses, subprocess and urllib import for a use that a resident has not: with
ast and dis 1.8 MB. From 3.12 on dataclasses does use inspect, and it is loaded then."""

MMAP_THRESHOLD, TRIM_THRESHOLD = -3, -1  # mallopt(3), malloc.h
LARGE_BYTES = 32 * 1024
KEPT_BYTES = 64 * 1024

TYPE_CHECKING = False
if TYPE_CHECKING:  # neither typing nor importlib.abc is loaded before bare_code.py is at work
    from importlib.abc import Loader

_loading = threading.RLock()


def give_back() -> None:
    """Have the C library return large blocks to the kernel as soon as they are freed.

    glibc would raise its threshold with each one that is freed, to 32 MB at most, and put all later
    ones into the heap, between small blocks that stay: 2.3 MB of the sentinel's start. A library
    without mallopt(3), such as musl, returns them anyway.
    """
    with contextlib.suppress(AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(MMAP_THRESHOLD, LARGE_BYTES)
        mallopt(TRIM_THRESHOLD, KEPT_BYTES)


def settle() -> None:
    """Return the pages that the start has freed between what stays: once, when it is over.

    By malloc_trim(3), which musl has not; a few milliseconds.
    """
    with contextlib.suppress(AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def never(*names: str) -> None:
    """Let imports of these modules fail with ImportError, unless they are loaded already.

    The import system reads None in `sys.modules` so (Python reference 5.3.1).
    """
    for name in names:
        sys.modules.setdefault(name, None)  # type: ignore[arg-type] # typeshed knows modules only


def later(*names: str) -> None:
    """Load these modules when somebody first uses what is in them, instead of on import.

    Not importlib.util.LazyLoader: there the second `import` of a module already loads it. Whoever
    imports names from one loads it at once, except by `*`, which finds none: so a package that
    takes up all of its parts does not have those.
    """
    for name in names:
        partly(name)


def partly(name: str, **known: object) -> None:
    """Load a module later as well, and let these names of it be used before."""
    _Finder.of_now().wanted[name] = known


def at_call(name: str, *functions: str) -> None:
    """Let these functions be imported from a module, and load it when one of them is called."""
    partly(name, **{function: _calling(name, function) for function in functions})


def now(*names: str) -> None:
    """Load what was put off, before its files are out of reach."""
    for name in names:
        load = vars(importlib.import_module(name)).get("__getattr__")
        if load is not None:
            with contextlib.suppress(AttributeError):  # no module has a nameless attribute
                load("")


class _Finder:
    """Finds what is to be put off, before others do (Python reference 5.3.1, sys.meta_path)."""

    def __init__(self) -> None:
        self.wanted: dict[str, Mapping[str, object]] = {}

    @classmethod
    def of_now(cls) -> _Finder:
        """The one of this process."""
        for finder in sys.meta_path:
            if isinstance(finder, cls):
                return finder
        finder = cls()
        sys.meta_path.insert(0, finder)
        return finder

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        known = self.wanted.get(name)
        spec = None if known is None else PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None and known is not None:
            spec.loader = _Waiting(spec.loader, known)  # type: ignore[assignment] # no base
        return spec  # None where there is none: whoever imports it is told


class _Waiting:
    """Makes a module whose content comes at the first look (PEP 562)."""

    def __init__(self, loader: Loader, known: Mapping[str, object]) -> None:
        self._loader, self._known = loader, known

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        waiting = [self._loader]

        def load(attribute: str) -> object:
            if attribute.startswith("__"):  # only asked whether it is there, as importing does
                raise AttributeError(attribute)
            with _loading:
                loader = waiting.pop() if waiting else None
                if loader is not None:
                    del module.__getattr__, module.__all__
                    loader.exec_module(module)
            try:
                return vars(module)[attribute]
            except KeyError:
                raise AttributeError(f"module {module.__name__!r} has no {attribute!r}") from None

        module.__getattr__, module.__all__ = load, ()  # type: ignore[method-assign,attr-defined]
        vars(module).update(self._known)


def _calling(name: str, function: str) -> Callable[..., object]:
    """Stands for a function of a module that may not be loaded yet."""

    def call(*arguments: object, **named: object) -> object:
        now(name)
        found: object = getattr(sys.modules[name], function)(*arguments, **named)
        return found

    return call
