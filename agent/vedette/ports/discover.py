"""Lists a folder of implementations: a new one is a new file, never an edit of a registry."""

from __future__ import annotations

import importlib
import os
from importlib.machinery import all_suffixes
from types import ModuleType
from typing import TYPE_CHECKING

from vedette.ports.responder import Responder
from vedette.ports.sensor import Sensor

if TYPE_CHECKING:
    from vedette.ports.slot_backend import SlotBackend


def module_names(package: ModuleType) -> list[str]:
    """The public modules of a package, sorted; a leading underscore makes one private."""
    # Not pkgutil.iter_modules: it loads inspect, 1.1 MB that a resident process does not need.
    suffixes = tuple(all_suffixes())
    files = [file for folder in package.__path__ for file in os.listdir(folder)]  # noqa: PTH208
    modules = {file.partition(".")[0] for file in files if file.endswith(suffixes)}
    return sorted(name for name in modules if not name.startswith("_"))


def modules(package: ModuleType) -> list[ModuleType]:
    """Import every public module of a package, in the order of their names."""
    return [importlib.import_module(f"{package.__name__}.{name}") for name in module_names(package)]


def sensor_classes(package: ModuleType) -> list[type[Sensor]]:
    """The classes that the modules of a package offer as `sensor_class`."""
    found: list[type[Sensor]] = []
    for module in modules(package):
        offered = getattr(module, "sensor_class", None)
        if isinstance(offered, type) and issubclass(offered, Sensor):
            found.append(offered)
    return found


def responder_classes(package: ModuleType) -> dict[str, type[Responder]]:
    """The classes that the modules of a package offer as `responder_class`, by module name."""
    found: dict[str, type[Responder]] = {}
    for module in modules(package):
        offered = getattr(module, "responder_class", None)
        if isinstance(offered, type) and issubclass(offered, Responder):
            found[module.__name__.rpartition(".")[2]] = offered
    return found


def slot_backend_classes(package: ModuleType) -> dict[str, type[SlotBackend]]:
    """The classes that the modules of a package offer as `slot_backend_class`, by module name."""
    from vedette.ports.slot_backend import SlotBackend  # noqa: PLC0415 (no resident has slots)

    found: dict[str, type[SlotBackend]] = {}
    for module in modules(package):
        offered = getattr(module, "slot_backend_class", None)
        if isinstance(offered, type) and issubclass(offered, SlotBackend):
            found[module.__name__.rpartition(".")[2]] = offered
    return found
