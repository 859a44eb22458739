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
import operator
import sys
import threading
from importlib.machinery import ModuleSpec, SourceFileLoader
from opcode import opmap
from types import CodeType, ModuleType

UNUSED = ("inspect", "ipaddress", "locale")
"""What asyncio, dataclasses, subprocess and urllib import for a use that a resident has not: with
ast and dis 1.6 MB. From 3.12 on dataclasses does use inspect, and it is loaded then."""

MMAP_THRESHOLD, TRIM_THRESHOLD = -3, -1  # mallopt(3), malloc.h
LARGE_BYTES = 32 * 1024
KEPT_BYTES = 64 * 1024

CO_FUNCTION = 0x1 | 0x2  # OPTIMIZED and NEWLOCALS, inspect(3): neither a module nor a class
_DOCSTRING = 0  # a function's first constant is its docstring, or None (funcobject.c)
_LOADS = tuple(bytes((opmap[name], 0)) for name in ("LOAD_CONST", "RETURN_CONST") if name in opmap)

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


def forget_docstrings() -> None:
    """Have what is imported from now on keep no docstrings of functions and modules.

    Nobody asks a resident for help(). Not python -OO, whose compiled files no distribution ships:
    each start would compile all of the library; it leaves out assertions and classes' texts too.
    """
    read, run = SourceFileLoader.get_code, SourceFileLoader.exec_module

    def get_code(loader: SourceFileLoader, name: str) -> CodeType | None:
        code = read(loader, name)
        return code and _without_docstrings(code)

    def exec_module(loader: SourceFileLoader, module: ModuleType) -> None:
        run(loader, module)
        module.__doc__ = None

    SourceFileLoader.get_code = get_code  # type: ignore[method-assign,assignment]
    SourceFileLoader.exec_module = exec_module  # type: ignore[method-assign,assignment]


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


def _without_docstrings(code: CodeType) -> CodeType:
    """The same code, of which no function holds a docstring that it does not use itself."""
    consts = [
        _without_docstrings(const) if isinstance(const, CodeType) else const
        for const in code.co_consts
    ]
    if _has_docstring(code) and not any(load in code.co_code for load in _LOADS):
        consts[_DOCSTRING] = None
    if all(map(operator.is_, consts, code.co_consts)):
        return code
    return code.replace(co_consts=tuple(consts))


def _has_docstring(code: CodeType) -> bool:
    is_function = code.co_flags & CO_FUNCTION == CO_FUNCTION and not code.co_name.startswith("<")
    return is_function and bool(code.co_consts) and isinstance(code.co_consts[_DOCSTRING], str)


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
