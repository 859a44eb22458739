"""Runs a fuzz target: guided by coverage where atheris can be had, else by mutation alone.

Rule 1: a target is `target(data: bytes) -> None` in tests/fuzz/fuzz_<name>.py; any exception it
lets out is a defect, and the input is kept in build/fuzz/<name>/ to be replayed.
Rule 2: an input that takes the processor longer than SLOW_S is a defect too: parsers are bounded
in time, however busy the machine is.
"""

from __future__ import annotations

import hashlib
import importlib
import pkgutil
import random
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType

FOLDER = Path(__file__).parent
CORPUS = FOLDER.parent.parent / "build" / "fuzz"
SLOW_S = 2.0
MAX_BYTES = 65536
REPORT_S = 2.0

_INTERESTING = (0, 1, 2, 4, 16, 32, 64, 100, 127, 128, 255, 256, 512, 1024, 32767, 65535, 2**31)


def names() -> list[str]:
    """The targets there are, without fuzz_."""
    modules = sorted(info.name for info in pkgutil.iter_modules([str(FOLDER)]))
    return [name.removeprefix("fuzz_") for name in modules if name.startswith("fuzz_")]


def load(name: str) -> ModuleType:
    """The module of a target."""
    return importlib.import_module(f"tests.fuzz.fuzz_{name}")


def seeds(name: str, module: ModuleType) -> list[bytes]:
    """What to begin with: the module's SEEDS, what earlier runs kept, and nothing at all."""
    kept = [path.read_bytes() for path in sorted((CORPUS / name).glob("*")) if path.is_file()]
    return [b"", *getattr(module, "SEEDS", ()), *kept]


def mutate(chance: random.Random, sources: Sequence[bytes]) -> bytes:
    """One to eight changes to one of the sources, the kinds that break length fields."""
    data = bytearray(chance.choice(sources))
    for _ in range(1 << chance.randint(0, 3)):
        at = chance.randint(0, len(data))
        match chance.randint(0, 5):
            case 0 if data:
                data[at % len(data)] ^= 1 << chance.randint(0, 7)
            case 1:
                del data[at:]
            case 2:
                data[at:at] = chance.randbytes(chance.randint(1, 16))
            case 3:
                width = chance.choice((1, 2, 4))
                value = chance.choice(_INTERESTING) % (1 << 8 * width)
                data[at : at + width] = value.to_bytes(width, chance.choice(("little", "big")))
            case 4:
                del data[at : at + chance.randint(1, 16)]
            case _:
                other = chance.choice(sources)
                data[at:at] = other[: chance.randint(0, 64)]
    return bytes(data[:MAX_BYTES])


def check(target: Callable[[bytes], None], data: bytes, name: str) -> None:
    """Give one input to a target.

    Raises:
        AssertionError: the target let something out or took too long; the input is kept.
    """
    began_s = time.process_time()
    try:
        target(data)
    except Exception as error:
        raise AssertionError(f"{name}: {error!r} on {keep(name, data)}") from error
    took_s = time.process_time() - began_s
    if took_s > SLOW_S:
        raise AssertionError(f"{name}: {took_s:.1f} s (at most {SLOW_S:g}) on {keep(name, data)}")


def keep(name: str, data: bytes) -> Path:
    """Save an input that broke a target; returns where."""
    path = CORPUS / name / f"crash-{hashlib.sha256(data).hexdigest()[:16]}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def by_mutation(name: str, seconds: float, chance: random.Random) -> Iterator[int]:
    """Mutate without coverage; yields the number of inputs so far every other second.

    Raises:
        AssertionError: as `check`.
    """
    module = load(name)
    sources = seeds(name, module)
    for source in sources:
        check(module.target, source, name)
    count, ends_s = len(sources), time.monotonic() + seconds
    told_s = time.monotonic()
    while time.monotonic() < ends_s:
        check(module.target, mutate(chance, sources), name)
        count += 1
        if time.monotonic() - told_s > REPORT_S:
            told_s = time.monotonic()
            yield count
    yield count
