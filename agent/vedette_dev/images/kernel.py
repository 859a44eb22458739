"""The kernel of a device: Debian's package, with the modules that we name and what they need."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vedette.errors import DeviceError, ParseError
from vedette_dev import cache
from vedette_dev.images import debian, tools
from vedette_dev.images.inputs import digest
from vedette_dev.images.target import Target

_MAY_BE_MISSING = frozenset({"i6300esb"})
"""Debian's kernel for armhf has no driver of an emulated watchdog: softdog has to do."""


@dataclass(frozen=True, slots=True)
class ModuleList:
    """Which modules a device has.

    Attributes:
        early: the initrd loads them, in this order.
        options: of them, by name.
        late: loaded when something asks for them.
    """

    early: tuple[str, ...]
    options: Mapping[str, str]
    late: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Kernel:
    """One kernel, as built.

    Attributes:
        image: what a boot loader starts.
        release: such as "6.1.0-50-arm64".
        tree: holds lib/modules/RELEASE with what was named, and its modules.dep.
        order: files of modules below that folder, each after what it needs, for the initrd.
    """

    image: Path
    release: str
    tree: Path
    order: tuple[str, ...]


def read_list(text: str) -> ModuleList:
    """qemu-images/modules.txt.

    Raises:
        ParseError: the line "--" is missing.
    """
    lines = [line.strip() for line in text.splitlines()]
    lines = [line for line in lines if line and not line.startswith("#")]
    if "--" not in lines:
        raise ParseError('modules.txt: expected a line "--" behind what the initrd loads')
    middle = lines.index("--")
    options = dict(([*line.split(None, 1), ""])[:2] for line in lines[:middle])
    return ModuleList(tuple(options), options, tuple(lines[middle + 1 :]))


def built(machine: Target, modules: ModuleList, log: Path, say: Callable[[str], None]) -> Kernel:
    """Fetch it, or take it from the cache.

    Raises:
        DeviceError: it cannot be fetched, or has none of a module's name.
    """
    lines = debian.sources(has_security=machine.has_security)

    def make(folder: Path) -> None:
        say(f"kernel    {machine.kernel} for {machine.arch}")
        package = debian.fetch_kernel(machine.kernel, machine.arch, lines, folder, log)
        release = next((package / "lib/modules").iterdir()).name
        tools.run(["depmod", "-b", package, release], log)
        source = package / "lib/modules" / release
        wanted = with_needs([*modules.early, *modules.late], _needs(source), _built_in(source))
        kept = folder / "tree/lib/modules" / release
        _copy_modules(source, kept, wanted)
        tools.run(["depmod", "-b", folder / "tree", release], log)
        shutil.copy(package / f"boot/vmlinuz-{release}", folder / "vmlinuz")
        shutil.copy(package / f"boot/config-{release}", folder / "config")
        shutil.rmtree(package)
        shutil.rmtree(folder / "apt")

    inputs = digest(machine.arch, machine.kernel, *lines, *modules.early, "--", *modules.late)
    place = cache.cached(f"kernel-{machine.arch}", inputs, make)
    release = next((place / "tree/lib/modules").iterdir()).name
    found = place / "tree/lib/modules" / release
    order = with_needs(modules.early, _needs(found), _built_in(found))
    return Kernel(place / "vmlinuz", release, place / "tree", tuple(order))


def with_needs(
    names: Iterable[str], needs: Mapping[str, Sequence[str]], built_in: frozenset[str]
) -> list[str]:
    """Files of these modules, each behind those it needs.

    Args:
        names: of modules; "-" and "_" are the same.
        needs: by name: its own file, then those that it needs, the nearest first (modules.dep(5)).
        built_in: names that are part of the kernel.

    Raises:
        DeviceError: there is none of a name.
    """
    order: dict[str, None] = {}
    for name in (name.replace("-", "_") for name in names):
        if name in built_in or (name not in needs and name in _MAY_BE_MISSING):
            continue
        if name not in needs:
            raise DeviceError(f"modules.txt: this kernel has no module {name}")
        order.update(dict.fromkeys([*reversed(needs[name][1:]), needs[name][0]]))
    return list(order)


def module_name(path: str) -> str:
    """The name of a module's file."""
    return path.rpartition("/")[2].partition(".ko")[0].replace("-", "_")


def _needs(folder: Path) -> dict[str, list[str]]:
    found = {}
    for line in (folder / "modules.dep").read_text().splitlines():
        path, _, others = line.partition(":")
        found[module_name(path)] = [path, *others.split()]
    return found


def _built_in(folder: Path) -> frozenset[str]:
    return frozenset(map(module_name, (folder / "modules.builtin").read_text().split()))


def _copy_modules(source: Path, kept: Path, files: Iterable[str]) -> None:
    for name in [*files, "modules.builtin", "modules.builtin.modinfo", "modules.order"]:
        place = kept / name
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source / name, place)
