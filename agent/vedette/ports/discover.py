"""Lists a folder of implementations: a new one is a new file, never an edit of a registry."""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType

from vedette.ports.sensor import Sensor


def modules(package: ModuleType) -> list[ModuleType]:
    """Import every public module of a package, in the order of their names."""
    names = sorted(info.name for info in pkgutil.iter_modules(package.__path__))
    return [
        importlib.import_module(f"{package.__name__}.{name}")
        for name in names
        if not name.startswith("_")
    ]


def sensor_classes(package: ModuleType) -> list[type[Sensor]]:
    """The classes that the modules of a package offer as `sensor_class`."""
    found: list[type[Sensor]] = []
    for module in modules(package):
        offered = getattr(module, "sensor_class", None)
        if isinstance(offered, type) and issubclass(offered, Sensor):
            found.append(offered)
    return found
