"""Keeps out of a resident's memory what it never uses: modules that others import, freed blocks.

Rule 1: called by a process that stays, as its first act; never by a module that others import, and
never by a test in its own process: `sys.modules` is changed for good.
Rule 2: nothing is lost by it: a module put off by `later` is whole as soon as anybody uses it, and
one refused by `never` is one whose importers are written to live without it.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
import sys
import threading
from importlib.machinery import ModuleSpec
from types import ModuleType

UNUSED = ("inspect", "ipaddress", "locale")
"""What asyncio, dataclasses, subprocess and urllib import for a use that a resident has not: with
ast and dis 1.6 MB. From 3.12 on dataclasses does use inspect, and it is loaded then."""

MMAP_THRESHOLD, TRIM_THRESHOLD = -3, -1  # mallopt(3), malloc.h
LARGE_BYTES = 32 * 1024
KEPT_BYTES = 64 * 1024

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


def never(*names: str) -> None:
    """Let imports of these modules fail with ImportError, unless they are loaded already.

    The import system reads None in `sys.modules` so (Python reference 5.3.1).
    """
    for name in names:
        sys.modules.setdefault(name, None)  # type: ignore[arg-type] # typeshed knows modules only


def later(*names: str) -> None:
    """Load these modules when somebody first uses what is in them, instead of on import.

    Not importlib.util.LazyLoader: there the second `import` of a module already loads it.
    """
    for name in names:
        if name not in sys.modules:
            _put_off(name)


def now(*names: str) -> None:
    """Load what was put off, before its files are out of reach."""
    for name in names:
        load = vars(sys.modules[name]).get("__getattr__")
        if load is not None:
            with contextlib.suppress(AttributeError):  # no module has a nameless attribute
                load("")


def _put_off(name: str) -> None:
    spec = importlib.util.find_spec(name)  # imports the packages above it
    if spec is None or spec.loader is None:
        return  # whoever imports it is told
    module = importlib.util.module_from_spec(spec)
    vars(module)["__getattr__"] = _loader_of(module, spec)
    sys.modules[name] = module
    package, _, leaf = name.rpartition(".")
    if package:
        setattr(sys.modules[package], leaf, module)


def _loader_of(module: ModuleType, spec: ModuleSpec) -> object:
    """The `__getattr__` of a module (PEP 562) that fills it at the first look."""
    waiting = [spec.loader]

    def load(attribute: str) -> object:
        if attribute.startswith("__"):  # only asked whether it is there, as importing does
            raise AttributeError(attribute)
        with _loading:
            loader = waiting.pop() if waiting else None
            if loader is not None:
                loader.exec_module(module)
                del vars(module)["__getattr__"]
        try:
            return vars(module)[attribute]
        except KeyError:
            raise AttributeError(f"module {module.__name__!r} has no {attribute!r}") from None

    return load
