"""`python -m tests.bench`: runs the measurements of this folder and prints one JSON line each.

Rule 1: a measurement is a module with `figures()`, which yields Figures (or mappings with their
names); one that this machine cannot run says why and the others go on.
Rule 2: figures are medians; nothing here passes or fails.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import json
import os
import pkgutil
import platform
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import ModuleType

from tests.bench.figure import Figure, from_mapping, to_line
from tests.conftest import locked_kernel

from vedette.errors import VedetteError

FOLDER = Path(__file__).parent
RESULTS = FOLDER.parent.parent / "build" / "bench.jsonl"


def names() -> list[str]:
    """The measurements there are."""
    found = (info.name for info in pkgutil.iter_modules([str(FOLDER)]))
    return sorted(name for name in found if hasattr(_load(name), "figures"))


def _load(name: str) -> ModuleType:
    if name == "__main__":
        return sys.modules[__name__]
    return importlib.import_module(f"tests.bench.{name}")


def main(argv: list[str] | None = None) -> int:
    """Run them; returns 1 when one could not be run."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--only", metavar="NAME", action="append", choices=names())
    parser.add_argument("--quick", action="store_true", help="fewer and shorter runs")
    options = parser.parse_args(argv)
    chosen = options.only or names()
    RESULTS.parent.mkdir(exist_ok=True)
    kept = _others(chosen)
    failed = []
    with locked_kernel():
        for name in chosen:
            print(f"# {name}", file=sys.stderr, flush=True)
            try:
                for found in _figures(name, is_quick=options.quick):
                    kept.append({"module": name, **json.loads(to_line(found))})
                    print(to_line(found), flush=True)
            except (VedetteError, OSError) as error:
                failed.append(name)
                print(f"# {name}: {error}", file=sys.stderr)
            _save(kept)
    return 1 if failed else 0


def machine() -> str:
    """What the figures were measured on."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    memory_gb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{model}, {os.cpu_count()} cores, {memory_gb:.0f} GB, Linux {platform.release()}, "
        f"Python {platform.python_version()}"
    )


def _figures(name: str, *, is_quick: bool) -> Iterable[Figure]:
    function = _load(name).figures
    arguments = (
        {"is_quick": is_quick} if "is_quick" in inspect.signature(function).parameters else {}
    )
    for found in function(**arguments):
        yield from_mapping(found if isinstance(found, Mapping) else found._asdict())


def _others(chosen: Iterable[str]) -> list[dict[str, object]]:
    """What earlier runs said of the measurements that are not made now."""
    if not RESULTS.exists():
        return []
    lines = [json.loads(line) for line in RESULTS.read_text().splitlines()]
    return [line for line in lines if line.get("module") not in {*chosen, "machine"}]


def _save(lines: list[dict[str, object]]) -> None:
    head = {"module": "machine", "name": machine()}
    ordered = [head, *sorted(lines, key=lambda line: str(line["module"]))]
    RESULTS.write_text("".join(json.dumps(line) + "\n" for line in ordered))


if __name__ == "__main__":
    sys.exit(main())
