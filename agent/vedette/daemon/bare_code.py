"""Has a resident keep of its code what runs, and not what only describes it.

Nobody asks a resident for help() or for the types of arguments. What goes: docstrings, annotations
of functions, and the class's name in that of its functions. What stays: file, line and name for
every traceback, and the annotations of classes, which records are read by: those of a NamedTuple as
the text they were written as, of which `typing` had made an object and code of each.

Rule 1: called by a process that stays, before it imports anything else; never by a module that
others import, and never by a test in its own process: the import system is changed for good.
Rule 2: nothing that runs may depend on it; so a docstring that its function returns is kept.

Not python -OO, whose compiled files no distribution ships: each start would compile all of the
library; it leaves out assertions too.
"""

from __future__ import annotations

import contextlib
import operator
from importlib.machinery import SourceFileLoader
from opcode import opmap
from types import CodeType, FunctionType, ModuleType

CO_FUNCTION = 0x1 | 0x2  # OPTIMIZED and NEWLOCALS, inspect(3): neither a module nor a class
_DOCSTRING = 0  # a function's first constant is its docstring, or None (funcobject.c)
_LOADS = tuple(bytes((opmap[name], 0)) for name in ("LOAD_CONST", "RETURN_CONST") if name in opmap)


def forget_descriptions() -> None:
    """From now on, whatever is imported is left bare."""
    read, run = SourceFileLoader.get_code, SourceFileLoader.exec_module

    def get_code(loader: SourceFileLoader, name: str) -> CodeType | None:
        code = read(loader, name)
        return code and bare(code)

    def exec_module(loader: SourceFileLoader, module: ModuleType) -> None:
        run(loader, module)
        strip(module)

    SourceFileLoader.get_code = get_code  # type: ignore[method-assign,assignment]
    SourceFileLoader.exec_module = exec_module  # type: ignore[method-assign,assignment]


def bare(code: CodeType) -> CodeType:
    """Code that does the same and is called by its name alone; so for all code within."""
    consts = [bare(const) if isinstance(const, CodeType) else const for const in code.co_consts]
    if _has_docstring(code) and not any(load in code.co_code for load in _LOADS):
        consts[_DOCSTRING] = None
    is_same = all(map(operator.is_, consts, code.co_consts))
    return code.replace(
        co_consts=code.co_consts if is_same else tuple(consts),
        co_qualname=code.co_name,
    )


def strip(module: ModuleType) -> None:
    """Take the texts and annotations from what a module has defined."""
    module.__doc__ = None
    for value in list(vars(module).values()):
        if getattr(value, "__module__", None) == module.__name__:
            _strip_value(value)


def _has_docstring(code: CodeType) -> bool:
    is_function = code.co_flags & CO_FUNCTION == CO_FUNCTION and not code.co_name.startswith("<")
    return is_function and bool(code.co_consts) and isinstance(code.co_consts[_DOCSTRING], str)


def _strip_value(value: object) -> None:
    match value:
        case FunctionType():
            value.__doc__ = None
            del value.__annotations__
        case staticmethod() | classmethod():
            _strip_value(value.__func__)
        case property():
            _strip_value(value.fget)
        case type():
            _strip_class(value)
        case _:
            pass


def _strip_class(kind: type) -> None:
    within = f"{kind.__qualname__}."
    for member in list(vars(kind).values()):
        if not isinstance(member, type) or member.__qualname__.startswith(within):
            _strip_value(member)
    annotations = vars(kind).get("__annotations__", {})
    for name, annotation in annotations.items():
        annotations[name] = getattr(annotation, "__forward_arg__", annotation)
    with contextlib.suppress(TypeError):  # one of C stays as it is
        kind.__doc__ = None
